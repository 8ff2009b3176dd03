package acl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// fetchTimeout bounds one read, its place in the line and all its pages included.
const fetchTimeout = 30 * time.Second

// A runner is what the shelves of a store share: their goroutines, how many of
// them may be at the source at once, and the tale of its outages.
type runner struct {
	ttl, maxStale time.Duration
	log           *slog.Logger
	stats         counters
	places        chan struct{} // one for each read that may be at the source

	ctx    context.Context // ends with the store
	cancel context.CancelFunc

	mu         sync.Mutex // guards what follows
	closed     bool
	reads      sync.WaitGroup
	downSince  time.Time // zero: the source can be read
	lastFailed time.Time
}

func newRunner(ttl, maxStale time.Duration, log *slog.Logger) *runner {
	r := &runner{ttl: ttl, maxStale: maxStale, log: log, places: make(chan struct{}, forgeParallel)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// start runs f in a goroutine that close joins; false after close.
func (r *runner) start(f func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.reads.Go(f)
	return true
}

// close ends all reads and waits for them.
func (r *runner) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.reads.Wait()
}

var errFullLine = errors.New("the reads in line took too long")

// askSource is one read at the source, counted.
func (s *shelf[T]) askSource(name string, last T) (T, error) {
	r := s.run
	ctx, cancel := context.WithTimeoutCause(r.ctx, fetchTimeout, errFullLine)
	defer cancel()
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
	r.stats.fetches.Add(1)
	value, err := s.fetch(ctx, name, last)
	switch {
	case err == nil, errors.Is(err, ErrNoUser):
		r.succeeded()
	case r.ctx.Err() == nil: // not our own end
		r.stats.failures.Add(1)
		r.failed(err)
	}
	return value, err
}

// failed tells an outage once, however many reads it fails.
func (r *runner) failed(err error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastFailed = now
	if !r.downSince.IsZero() {
		return
	}
	r.downSince = now
	r.log.Warn("the source of users' rules cannot be read, what was read last serves on",
		"error", err.Error(), "for", r.maxStale.String())
}

// succeeded ends an outage once a read succeeded and none has failed for a while:
// one user's trouble must not fill the log.
func (r *runner) succeeded() {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.downSince.IsZero() || now.Sub(r.lastFailed) < 2*retryAfter {
		return
	}
	r.log.Info("the source of users' rules can be read again", "after", fmt.Sprint(now.Sub(r.downSince).Round(time.Second)))
	r.downSince = time.Time{}
}

// down is how long the source has not been readable.
func (r *runner) down() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.downSince.IsZero() {
		return 0
	}
	return time.Since(r.downSince)
}

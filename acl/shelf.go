package acl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	// retryAfter is how long a source that failed is left alone, for each name.
	retryAfter = 10 * time.Second
	// patience is how long a caller waits for a new answer when there is an old
	// one that may still be used.
	patience = 2 * time.Second
	// maxFlights is how many reads may be under way or in line.
	maxFlights = 1024
)

// A shelf keeps the last answer of a source for each name, and reads it anew when
// it is due. Answers that there is nothing are kept as well, apart from the
// others: whoever asks for a million names that are not there must not push out
// those that are.
type shelf[T any] struct {
	run    *runner
	fetch  func(ctx context.Context, name string, last T) (T, error)
	absent func(ctx context.Context, name string) bool // of a name not kept: there is nothing, do not ask; nil: always ask
	good   *otter.Cache[string, kept[T]]
	none   *otter.Cache[string, kept[T]]

	mu      sync.Mutex // guards flights, and that they and the caches agree
	flights map[string]*flight[T]
}

// kept is what a shelf knows about a name.
type kept[T any] struct {
	value   T
	err     error     // ErrNoUser: there is nothing. Others: nothing is known
	at      time.Time // when the source said so
	due     time.Time // when it is to be asked again
	failing bool      // the last attempt to ask failed
}

// A flight is one read that is under way, for all that wait for it.
type flight[T any] struct {
	done   chan struct{}
	result kept[T]     // after done is closed
	late   atomic.Bool // somebody's patience has ended: nobody else needs to wait for it to end too
	dirty  bool        // what is being read may be out of date already; guarded by mu
}

const (
	maxWeight = 256 << 20 // bytes of good answers, roughly
	maxNames  = 1 << 16   // names of which nothing is known
)

func newShelf[T any](run *runner, weigh func(T) int, fetch func(context.Context, string, T) (T, error)) *shelf[T] {
	return &shelf[T]{
		run: run, fetch: fetch, flights: map[string]*flight[T]{},
		good: otter.Must(&otter.Options[string, kept[T]]{
			MaximumWeight: maxWeight,
			Weigher:       func(name string, k kept[T]) uint32 { return uint32(512 + len(name) + weigh(k.value)) },
		}),
		none: otter.Must(&otter.Options[string, kept[T]]{MaximumSize: maxNames}),
	}
}

// look returns what is known about a name, however old.
func (s *shelf[T]) look(name string) (kept[T], bool) {
	if k, ok := s.good.GetIfPresent(name); ok {
		return k, true
	}
	return s.none.GetIfPresent(name)
}

// get returns the value for a name, ErrNoUser, or ErrUnavailable. It waits for
// the source when it has to, or until ctx ends.
func (s *shelf[T]) get(ctx context.Context, name string) (T, error) {
	k, known := s.look(name)
	if known && time.Now().Before(k.due) {
		s.run.stats.hits.Add(1)
		return s.use(k)
	}
	s.run.stats.misses.Add(1)
	f := s.join(name)
	var impatient <-chan time.Time
	if known && s.usable(k) {
		if k.failing || f.late.Load() {
			k.failing = true
			return s.use(k)
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		impatient = timer.C
	}
	select {
	case <-f.done:
		return s.use(f.result)
	case <-impatient:
		f.late.Store(true)
		k.failing = true
		return s.use(k)
	case <-ctx.Done():
		var zero T
		return zero, context.Cause(ctx)
	}
}

// usable tells whether k is an answer that may still be given when the source
// cannot be read.
func (s *shelf[T]) usable(k kept[T]) bool {
	answered := k.err == nil || errors.Is(k.err, ErrNoUser)
	return answered && time.Since(k.at) < s.run.maxStale
}

// use gives an answer to a caller.
func (s *shelf[T]) use(k kept[T]) (T, error) {
	var zero T
	if k.failing {
		if !s.usable(k) {
			return zero, ErrUnavailable
		}
		s.run.stats.stale.Add(1)
	}
	if k.err != nil {
		return zero, k.err
	}
	return k.value, nil
}

// join returns the read of a name that is under way, or starts one.
func (s *shelf[T]) join(name string) *flight[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[name]; f != nil {
		return f
	}
	f := &flight[T]{done: make(chan struct{})}
	// Another's read may have ended since the caller looked.
	if k, ok := s.look(name); ok && time.Now().Before(k.due) {
		return f.land(k)
	}
	if len(s.flights) >= maxFlights {
		return f.land(kept[T]{err: fmt.Errorf("%w: too many reads are waiting", ErrUnavailable)})
	}
	if !s.run.start(func() { s.fly(name, f) }) {
		return f.land(kept[T]{err: ErrUnavailable})
	}
	s.flights[name] = f
	return f
}

func (f *flight[T]) land(k kept[T]) *flight[T] {
	f.result = k
	close(f.done)
	return f
}

// fly reads a name, once more if it was dropped meanwhile, and puts the answer on
// the shelf.
func (s *shelf[T]) fly(name string, f *flight[T]) {
	for round := 0; ; round++ {
		k := s.ask(name)
		s.mu.Lock()
		if f.dirty && round < 3 {
			f.dirty = false
			s.mu.Unlock()
			continue
		}
		if f.dirty {
			k.due = time.Time{} // it changes faster than we read: the next caller asks again
		}
		s.put(name, k)
		delete(s.flights, name)
		f.land(k)
		s.mu.Unlock()
		return
	}
}

// ask asks the source once.
func (s *shelf[T]) ask(name string) kept[T] {
	last, known := s.look(name)
	var value T
	err := ErrNoUser
	if known || s.absent == nil || !s.absent(s.run.ctx, name) {
		value, err = s.askSource(name, last.value)
	}
	now := time.Now()
	switch {
	case err == nil:
		return kept[T]{value: value, at: now, due: now.Add(s.run.ttl)}
	case errors.Is(err, ErrNoUser):
		return kept[T]{err: ErrNoUser, at: now, due: now.Add(s.run.ttl)}
	}
	due := now.Add(min(retryAfter, s.run.ttl))
	if known && s.usable(last) {
		last.failing, last.due = true, due
		return last
	}
	return kept[T]{err: ErrUnavailable, due: due}
}

// put keeps an answer in the one cache it belongs to. mu is held.
func (s *shelf[T]) put(name string, k kept[T]) {
	if k.err == nil {
		s.good.Set(name, k)
		s.none.Invalidate(name)
		return
	}
	s.none.Set(name, k)
	s.good.Invalidate(name)
}

// drop has a name read anew before it is used again. The old answer stays for
// the case that the source cannot be read.
func (s *shelf[T]) drop(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[name]; f != nil {
		f.dirty = true
	}
	if k, ok := s.look(name); ok {
		k.due, k.failing = time.Time{}, false
		s.put(name, k)
	}
}

// dropAll is drop for every name.
func (s *shelf[T]) dropAll() {
	for _, cache := range []*otter.Cache[string, kept[T]]{s.good, s.none} {
		for _, name := range slices.Collect(cache.Keys()) {
			s.drop(name)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.flights {
		f.dirty = true
	}
}

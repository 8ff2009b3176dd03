package notify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Budget is how long one message may take to one target, from the moment Send is
// called: waiting for its turn, every attempt, and the pauses in between.
const Budget = 30 * time.Second

// MaxQueue is how many messages may wait for one target.
const MaxQueue = 32

var (
	// ErrNone is a configuration without targets: a 503.
	ErrNone = errors.New("no notification service is configured; see ntfy in config.yaml")
	// ErrClosed is a Sender that was closed: a 503.
	ErrClosed = errors.New("the relay is going down, try again")
)

var (
	errBudget    = fmt.Errorf("not done within %v", Budget)
	errQueueFull = fmt.Errorf("%d messages are waiting for it already, try again later", MaxQueue)
)

// Options are what a Sender is built with.
type Options struct {
	// DialContext makes every connection, and holds the egress policy. Its errors
	// are shown to clients, with secrets removed. Without one, nothing is sent.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Transport takes the place of the HTTP transport over DialContext; mail still
	// goes through DialContext. For tests.
	Transport http.RoundTripper
	// TLS is used towards every service; nil trusts the system's roots.
	TLS *tls.Config
}

// Sender sends messages to targets. One serves all users. It is safe for
// concurrent use.
type Sender struct {
	wire  *wire
	lanes lanes
	stats stats

	done   context.Context // ends with Close
	close  context.CancelCauseFunc
	mu     sync.Mutex // guards closed, and Add of active against Wait
	closed bool
	active sync.WaitGroup
}

// New makes a Sender.
func New(o Options) *Sender {
	s := &Sender{wire: newWire(o)}
	s.wire.retried = s.stats.retry
	s.done, s.close = context.WithCancelCause(context.Background())
	return s
}

// Send brings m to the targets of c that `to` names ("" is all), side by side,
// and returns when each has succeeded or failed: within [Budget], or sooner if
// ctx ends. An error means that nothing was sent to anybody: an [*InputError],
// ErrNone or ErrClosed. Otherwise the Result says how each target fared.
func (s *Sender) Send(ctx context.Context, c Config, m Message, to string) (Result, error) {
	if c.Empty() {
		return Result{}, ErrNone
	}
	if err := m.Check(); err != nil {
		return Result{}, err
	}
	m.Format = m.format()
	picked, err := c.pick(to)
	if err != nil {
		return Result{}, err
	}
	for _, t := range picked {
		if checker, ok := t.courier.(checker); ok {
			if err := checker.check(m); err != nil {
				return Result{}, err
			}
		}
	}
	if !s.enter() {
		return Result{}, ErrClosed
	}
	defer s.active.Done()
	ctx, cancel := context.WithTimeoutCause(ctx, Budget, errBudget)
	defer cancel()
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer context.AfterFunc(s.done, func() { cut(ErrClosed) })()

	result := Result{Format: m.Format, Outcomes: make([]Outcome, len(picked))}
	plain, html := sync.OnceValue(m.plain), sync.OnceValue(m.html)
	var wg sync.WaitGroup
	for i, t := range picked {
		p := &parcel{Message: m, id: "pw" + rand.Text(), plain: plain, html: html}
		wg.Go(func() { result.Outcomes[i] = s.sendTo(ctx, t, p) })
	}
	wg.Wait()
	return result, nil
}

func (s *Sender) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.active.Add(1)
	return true
}

// sendTo waits for the target's turn and delivers.
func (s *Sender) sendTo(ctx context.Context, t *target, p *parcel) Outcome {
	start := time.Now()
	err := s.lanes.turn(ctx, t.id, func() error { return s.deliver(ctx, t, p) })
	s.stats.count(t.backend.name, err)
	return Outcome{Target: t.name, Backend: t.typ, Cut: p.cut && err == nil, Took: time.Since(start), Err: t.describe(err)}
}

// deliver contains a panic in a target's courier: what a user configured must not
// end the relay, and some couriers are other people's code.
func (s *Sender) deliver(ctx context.Context, t *target, p *parcel) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("failed inside the relay: %v", r)
		}
	}()
	return t.courier.deliver(ctx, s.wire, p)
}

const maxWords = 300 // bytes of one target's words that are passed on

// describe makes an error fit to be seen: one line, no secrets. The chain ends
// here, since whatever is wrapped still holds them.
func (t *target) describe(err error) error {
	if err == nil {
		return nil
	}
	return errors.New(clip(t.redact.text(oneLine(err.Error())), maxWords))
}

// Close ends what is being sent, waits for it, and makes every later Send fail
// with ErrClosed.
func (s *Sender) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.close(ErrClosed)
	s.active.Wait()
	return nil
}

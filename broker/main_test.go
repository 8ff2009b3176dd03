package broker

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// spoil overwrites a buffer that was let go: a receiver that still looks at it
// sees the wrong bytes, and one that writes it at the same moment is a data race.
func spoil(b []byte) { copy(b, spoiled) }

var spoiled = bytes.Repeat([]byte("#"), blockSize)

func TestMain(m *testing.M) {
	poison = spoil
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

// subscribe, publish and the like end the test when they fail, and clean up
// inside the bubble by the caller's own Close.
func subscribe(t *testing.T, b *Broker, n Name, o SubscribeOptions) *Subscription {
	t.Helper()
	s, err := b.Subscribe(n, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func publish(t *testing.T, b *Broker, n Name, o PublishOptions) *Publisher {
	t.Helper()
	p, err := b.Publish(n, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func say(t *testing.T, p *Publisher, text string, delivered int) {
	t.Helper()
	if n, err := p.Message(t.Context(), nil, []byte(text)); err != nil || n != delivered {
		t.Errorf("publishing %.20q: delivered to %d, %v; want %d", text, n, err, delivered)
	}
}

// script writes events down: "[" begins a message, "]" ends one, "!" cuts it.
func script(events []Event) string {
	var s strings.Builder
	for _, e := range events {
		if e.First {
			s.WriteByte('[')
		}
		s.Write(e.Data)
		switch {
		case e.Cut:
			s.WriteByte('!')
		case e.Last:
			s.WriteByte(']')
		}
	}
	return s.String()
}

// next returns one Next as a script.
func next(ctx context.Context, s *Subscription) (string, error) {
	events, err := s.Next(ctx)
	return script(events), err
}

// wantNext reads on until want has come: a queue message and its end may be two
// events.
func wantNext(t *testing.T, s *Subscription, want string) {
	t.Helper()
	var all string
	for {
		got, err := next(t.Context(), s)
		if all += got; all == want && err == nil {
			return
		}
		if err != nil || !strings.HasPrefix(want, all) {
			t.Errorf("the subscription got %.80q, %v; want %.80q", all, err, want)
			return
		}
	}
}

func wantEnd(t *testing.T, s *Subscription, want error) {
	t.Helper()
	if got, err := next(t.Context(), s); err != want {
		t.Errorf("the subscription got %.80q, %v; want %v", got, err, want)
	}
}

// awaits has a subscription wait in Next, with all it had before acknowledged.
func awaits(t *testing.T, s *Subscription) <-chan result {
	t.Helper()
	c := later(func() result {
		got, err := next(t.Context(), s)
		return result{got, err}
	})
	pending(t, "Next", c)
	return c
}

// follow reads a subscription to its end and closes it.
func follow(ctx context.Context, s *Subscription) result {
	defer s.Close()
	var all strings.Builder
	for {
		got, err := next(ctx, s)
		all.WriteString(got)
		if err != nil {
			return result{all.String(), err}
		}
	}
}

func follows(t *testing.T, s *Subscription) <-chan result {
	return later(func() result { return follow(t.Context(), s) })
}

func want(t *testing.T, what string, c <-chan result, s string, err error) {
	t.Helper()
	if r := <-c; r.s != s || r.err != err {
		t.Errorf("%s got %.80q, %v; want %.80q, %v", what, r.s, r.err, s, err)
	}
}

func TestTheScriptOfEventsIsReadable(t *testing.T) {
	got := script([]Event{{Data: []byte("a"), First: true}, {Last: true}, {Last: true, Cut: true}})
	if got != "[a]!" {
		t.Error(got)
	}
}

// endless is a body that blocks until it is stopped.
type endless struct {
	first   io.Reader
	stopped chan struct{}
	stops   atomic.Int32
}

func newEndless(first string) *endless {
	return &endless{first: strings.NewReader(first), stopped: make(chan struct{})}
}

func (e *endless) Read(p []byte) (int, error) {
	if n, _ := e.first.Read(p); n > 0 {
		return n, nil
	}
	<-e.stopped
	return 0, errBody
}

func (e *endless) stop() {
	if e.stops.Add(1) == 1 {
		close(e.stopped)
	}
}

func (e *endless) message() Message { return Message{Size: -1, Body: e, Stop: e.stop} }

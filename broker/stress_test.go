package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// A ledger holds what producers were told beside what receivers had.
type ledger struct {
	mu   sync.Mutex
	sent map[string]error // what Send returned
	had  map[string]int   // receivers that had it whole and said so
}

func (l *ledger) told(id string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[id] = err
}

func (l *ledger) acknowledged(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.had[id]++
}

// text is a message whose every part says which one it is.
func text(id string, parts int) string {
	return strings.Repeat(id+" ", parts) + "."
}

// whole returns the id of a message that is all there.
func whole(t *testing.T, s string) string {
	id, _, _ := strings.Cut(s, " ")
	if s != text(id, strings.Count(s, " ")) {
		t.Errorf("a message is damaged: %.60q (%d bytes)", s, len(s))
	}
	return id
}

// A member of the crowd does one thing after another until the time is over.
type member func(ctx context.Context, r *rand.Rand, id string)

// crowd runs members side by side, each in several goroutines.
func crowd(t *testing.T, each int, members ...member) {
	long := 5 * time.Second
	if testing.Short() {
		long = 500 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	var wg sync.WaitGroup
	for k, m := range members {
		for i := range each {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(k), uint64(i)))
				for n := 0; ctx.Err() == nil; n++ {
					m(ctx, r, fmt.Sprintf("%d-%d-%d", k, i, n))
				}
			})
		}
	}
	wg.Wait()
}

// soon is a context that ends soon, mostly in the middle of something.
func soon(ctx context.Context, r *rand.Rand) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Duration(r.IntN(3000))*time.Microsecond)
}

func TestStressASendThatSucceededWasHadWholeByExactlyOneReceiver(t *testing.T) {
	b := New(Options{Replay: 1000, Mailbox: 2000, Stall: 50 * time.Millisecond})
	l := &ledger{sent: map[string]error{}, had: map[string]int{}}
	names := []Name{jobs, name("public/b"), name("alice/queue/c")}
	errLeaves := errors.New("leaves")

	produce := func(ctx context.Context, r *rand.Rand, id string) {
		s := text(id, 1+r.IntN(20)*r.IntN(20))
		m := Message{Size: int64(len(s)), Body: io.Reader(strings.NewReader(s))}
		switch r.IntN(6) {
		case 0:
			m.Body = broken{io.LimitReader(m.Body, r.Int64N(int64(len(s))))}
		case 1:
			m.Size, m.Body = -1, slowly{m.Body}
		}
		if r.IntN(2) == 0 {
			var cancel func()
			ctx, cancel = soon(ctx, r)
			defer cancel()
		}
		l.told(id, b.Send(ctx, names[r.IntN(len(names))], m))
	}
	receive := func(ctx context.Context, r *rand.Rand, _ string) {
		if r.IntN(3) == 0 {
			var cancel func()
			ctx, cancel = soon(ctx, r)
			defer cancel()
		}
		d, err := b.Receive(ctx, names[r.IntN(len(names))])
		if err != nil {
			return
		}
		var s strings.Builder
		for {
			data, err := d.Next(ctx)
			if err == io.EOF {
				if d.Info.Queue {
					l.acknowledged(whole(t, s.String()))
				} else {
					whole(t, s.String())
				}
				d.Done(nil)
				return
			}
			s.Write(data)
			if err != nil || r.IntN(10) == 0 {
				d.Done(errLeaves)
				return
			}
		}
	}
	// subscribers are for one name or all of them, and leave after a while.
	subscriber := func(ctx context.Context, r *rand.Rand, _ string) {
		ctx, cancel := context.WithTimeout(ctx, time.Duration(r.IntN(20))*time.Millisecond)
		defer cancel()
		var s *Subscription
		if r.IntN(3) == 0 {
			s, _ = b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{})
		} else {
			s, _ = b.Subscribe(names[r.IntN(len(names))], SubscribeOptions{Stay: r.IntN(2) == 0})
		}
		defer s.Close()
		open := map[uint64]*strings.Builder{} // messages under way
		last := map[string]int{}              // of each publisher
		for {
			events, err := s.Next(ctx)
			if err != nil {
				return
			}
			var ends []string
			for _, e := range events {
				if e.First {
					open[e.Info.ID] = &strings.Builder{}
				}
				m := open[e.Info.ID]
				if m == nil {
					continue // came in its middle
				}
				m.Write(e.Data)
				if !e.Last {
					continue
				}
				delete(open, e.Info.ID)
				switch {
				case e.Cut:
				case e.Info.Queue:
					ends = append(ends, whole(t, m.String()))
				case e.Info.Header["Lossless"] != nil:
					from, n := parts(whole(t, m.String()))
					if n <= last[from] && last[from] > 0 {
						t.Errorf("%s: %d came after %d", from, n, last[from])
					}
					last[from] = n
				}
			}
			if r.IntN(20) == 0 {
				return // without saying that it wrote these
			}
			for _, id := range ends {
				l.acknowledged(id) // by the Next that follows
			}
		}
	}
	publisher := func(ctx context.Context, r *rand.Rand, id string) {
		wait := r.IntN(2) == 0
		p, err := b.Publish(names[r.IntN(2)], PublishOptions{
			Wait: wait, RoundRobin: r.IntN(4) == 0, Patience: time.Duration(r.IntN(2)) * time.Millisecond,
		})
		if err != nil {
			t.Error(err)
			return
		}
		defer p.Close()
		ctx, cancel := context.WithTimeout(ctx, 30*time.Millisecond)
		defer cancel()
		for i := range 10 {
			if wait && !p.opts.RoundRobin {
				p.Begin(Header{"Lossless": {"1"}}, -1)
			}
			s := text(fmt.Sprintf("%s-%d", id, i+1), 1+r.IntN(10)*r.IntN(50))
			for cut := 0; len(s) > 0 && err == nil; s = s[cut:] {
				cut = 1 + r.IntN(len(s))
				err = p.Write(ctx, []byte(s[:cut]))
			}
			if r.IntN(10) == 0 {
				p.Abort()
			} else if err == nil {
				_, err = p.End(ctx)
			}
			if err != nil {
				return
			}
		}
		p.Drain(ctx)
	}
	crowd(t, 4, produce, produce, receive, receive, subscriber, publisher)

	ok, failed := 0, 0
	for id, err := range l.sent {
		switch n := l.had[id]; {
		case err == nil && n != 1:
			t.Errorf("%s: Send succeeded, and %d receivers had it", id, n)
		case err != nil && n != 0:
			t.Errorf("%s: Send returned %v, and %d receivers had it", id, err, n)
		case err == nil:
			ok++
		default:
			failed++
		}
	}
	for id := range l.had {
		if _, known := l.sent[id]; !known {
			t.Errorf("%s was had, and never sent", id)
		}
	}
	empty(t, b)
	s := b.Stats()
	t.Logf("%d sends succeeded, %d failed; %+v", ok, failed, s)
	if ok == 0 || failed == 0 || s.Redelivered == 0 || s.Withdrawn == 0 || s.Held == 0 || s.Dropped == 0 {
		t.Error("it did not try hard enough")
	}
}

// parts takes "1-2-3-4" apart: who published, and what number.
func parts(id string) (from string, n int) {
	i := strings.LastIndexByte(id, '-')
	fmt.Sscan(id[i+1:], &n)
	return id[:i], n
}

// slowly is a body that gives way to others, and a few bytes at a time.
type slowly struct{ io.Reader }

func (s slowly) Read(p []byte) (int, error) { return s.Reader.Read(p[:min(len(p), 7)]) }

func TestStressEveryRequesterGetsItsAnswerOrAnError(t *testing.T) {
	b := New(Options{Replay: 1000})
	var mu sync.Mutex
	answered := map[error]int{}
	ask := func(ctx context.Context, r *rand.Rand, id string) {
		if r.IntN(3) == 0 {
			var cancel func()
			ctx, cancel = soon(ctx, r)
			defer cancel()
		}
		s := text(id, 1+r.IntN(300))
		c, err := b.Call(t.Context(), reqX, msg(s))
		if err != nil {
			t.Error(err)
			return
		}
		sent := later(func() error { return c.Send(ctx) })
		d, err := c.Answer(ctx, time.Second, 2*time.Millisecond)
		if err == nil {
			var got string
			got, err = read(ctx, d)
			if got != text(id, 100) && got != text("any", 100) && err == nil {
				t.Errorf("%s got %.40q", id, got)
			}
		}
		c.Close()
		<-sent
		mu.Lock()
		answered[err]++
		mu.Unlock()
	}
	respond := func(ctx context.Context, r *rand.Rand, _ string) {
		if r.IntN(8) == 0 {
			ctx, cancel := soon(ctx, r)
			defer cancel()
			m := msg(text("any", 100))
			if r.IntN(2) == 0 {
				m.Body = broken{io.LimitReader(m.Body, 0)}
			}
			b.Answer(ctx, resX, "", m)
			return
		}
		d, err := b.Receive(ctx, resX)
		if err != nil {
			return
		}
		to := Name{}
		if r.IntN(4) == 0 {
			to = name("public/answers/" + d.Info.Reply)
			d.Switch(to, 2*time.Millisecond)
		}
		var s strings.Builder
		for err == nil {
			var data []byte
			data, err = d.Next(ctx)
			s.Write(data)
			if err == nil && r.IntN(20) == 0 {
				err = io.ErrClosedPipe
			}
		}
		if err != io.EOF {
			d.Done(err)
			return
		}
		d.Done(nil)
		answer := msg(text(whole(t, s.String()), 100))
		switch r.IntN(8) {
		case 0: // vanishes
			return
		case 1:
			answer.Body = broken{io.LimitReader(answer.Body, r.Int64N(500))}
		}
		if to.IsZero() {
			b.Answer(ctx, resX, d.Info.Reply, answer)
			return
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Millisecond)
		defer cancel()
		b.Send(ctx, to, answer)
	}
	crowd(t, 4, ask, ask, respond)
	empty(t, b)
	t.Log(answered)
	if answered[nil] == 0 || answered[ErrVanished] == 0 || answered[ErrNoAnswer] == 0 || answered[ErrCut] == 0 {
		t.Error("it did not try hard enough")
	}
}

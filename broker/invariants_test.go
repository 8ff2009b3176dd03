package broker

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each invariant of the package comment has its test here, by number; the other
// files look at the same things more closely.

func TestInvariant1AChannelExistsExactlyWhileSomebodyHoldsIt(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for what, hold := range map[string]func(ctx context.Context){
			"send":      func(ctx context.Context) { b.Send(ctx, jobs, msg("a")) },
			"receive":   func(ctx context.Context) { b.Receive(ctx, jobs) },
			"subscribe": func(ctx context.Context) { s, _ := b.Subscribe(jobs, SubscribeOptions{}); s.Next(ctx); s.Close() },
			"publish": func(ctx context.Context) {
				p, _ := b.Publish(jobs, PublishOptions{Wait: true})
				p.Ready(ctx)
				p.Close()
			},
			"answer": func(ctx context.Context) { b.Answer(ctx, resX, "", msg("a")) },
			"call": func(ctx context.Context) {
				c, _ := b.Call(t.Context(), reqX, msg("q"))
				c.Answer(ctx, 0, 0)
				c.Close()
			},
		} {
			ctx, cancel := context.WithCancel(t.Context())
			for range 2 { // one channel for both
				go hold(ctx)
			}
			synctest.Wait()
			if s := b.Stats(); s.Channels != 1 || s.Producers+s.Consumers+s.Subscribers+s.Publishers != 2 {
				t.Errorf("%s: %+v", what, s)
			}
			seen := 0
			b.Each(func(n Name, c Counts) {
				seen++
				if c != b0(c) {
					t.Error(c)
				}
			})
			if seen != 1 {
				t.Errorf("%s: %d channels", what, seen)
			}
			cancel()
			synctest.Wait()
			empty(t, b)
		}
	})
}

// b0 checks that counts are not negative.
func b0(c Counts) Counts {
	return Counts{max(c.Producers, 0), max(c.Consumers, 0), max(c.Subscribers, 0), max(c.Pipes, 0), max(c.Waiting, 0)}
}

func TestInvariant2MatchingIsInOrderAndCancellingLosesNothing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		const n = 200
		var cancels [n]context.CancelFunc
		for i := range n {
			var ctx context.Context
			ctx, cancels[i] = context.WithCancel(t.Context())
			send(ctx, b, jobs, fmt.Sprint(i))
			synctest.Wait()
		}
		for i := 0; i < n; i += 3 {
			cancels[i]()
		}
		synctest.Wait()
		for i := range n {
			if i%3 == 0 {
				continue
			}
			if got, err := receive(t.Context(), b, jobs); got != fmt.Sprint(i) || err != nil {
				t.Fatalf("got %q, %v; want %d", got, err, i)
			}
			cancels[i]()
		}
	})
}

func TestInvariant3WhoeverWaitsIsWokenByEventContextAndClose(t *testing.T) {
	waits := map[string]func(context.Context, *Broker) error{
		"send":    func(ctx context.Context, b *Broker) error { return b.Send(ctx, jobs, msg("a")) },
		"receive": func(ctx context.Context, b *Broker) error { _, err := b.Receive(ctx, jobs); return err },
		"answer":  func(ctx context.Context, b *Broker) error { return b.Answer(ctx, resX, "", msg("a")) },
		"subscribe": func(ctx context.Context, b *Broker) error {
			s, _ := b.Subscribe(jobs, SubscribeOptions{})
			defer s.Close()
			_, err := s.Next(ctx)
			return err
		},
		"ready": func(ctx context.Context, b *Broker) error {
			p, _ := b.Publish(jobs, PublishOptions{Wait: true})
			defer p.Close()
			return p.Ready(ctx)
		},
		"write": func(ctx context.Context, b *Broker) error {
			p, _ := b.Publish(jobs, PublishOptions{Wait: true})
			defer p.Close()
			return p.Write(ctx, nil)
		},
		"call": func(ctx context.Context, b *Broker) error {
			c, _ := b.Call(t.Context(), reqX, msg("q"))
			defer c.Close()
			_, err := c.Answer(ctx, 0, 0)
			return err
		},
	}
	for what, wait := range waits {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Options{})
				ctx, cancel := context.WithCancelCause(t.Context())
				byContext, byClose := later(func() error { return wait(ctx, b) }), later(func() error { return wait(t.Context(), b) })
				start := time.Now()
				<-time.After(1000 * time.Hour) // nobody polls: a timer would have fired
				if time.Since(start) != 1000*time.Hour {
					t.Error("the clock")
				}
				cancel(errBody)
				if err := <-byContext; err != errBody {
					t.Error(err)
				}
				pending(t, "the other", byClose)
				b.Close()
				if err := <-byClose; err != ErrClosed {
					t.Error(err)
				}
				synctest.Wait()
				empty(t, b)
			})
		})
	}
}

func TestInvariant4TheBrokerStartsNoGoroutines(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		synctest.Wait()
		before := runtime.NumGoroutine()
		var own int
		run := func(f func()) {
			own++
			go f()
		}
		for i := range 20 {
			n := name(fmt.Sprintf("public/%d", i))
			run(func() { b.Send(t.Context(), n, msg("a")) })
			run(func() { b.Receive(t.Context(), name("public/r/"+n.Topic())) })
			run(func() { b.Answer(t.Context(), resX, "", msg("a")) })
			s := subscribe(t, b, name("public/s"), SubscribeOptions{Stay: true})
			run(func() { follow(t.Context(), s) })
			p := publish(t, b, name("public/p"), PublishOptions{Wait: true})
			run(func() { p.Ready(t.Context()); p.Close() })
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > own {
			t.Errorf("%d goroutines for the %d that the test started", n, own)
		}
		b.Close()
	})
}

func TestInvariant5AFanOutSharesOneCopyOfAChunk(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var subs [50]*Subscription
		for i := range subs {
			subs[i] = subscribe(t, b, jobs, SubscribeOptions{})
		}
		p := publish(t, b, jobs, PublishOptions{})
		say(t, p, "one copy", 50)
		var first *byte
		for _, s := range subs {
			events, _ := s.Next(t.Context())
			if first == nil {
				first = &events[0].Data[0]
			}
			if &events[0].Data[0] != first {
				t.Fatal("a copy of its own")
			}
		}
		for _, s := range subs {
			s.Close()
		}
		p.Close()
	})
}

func TestInvariant6NoLockIsHeldWhileAnythingBlocks(t *testing.T) {
	bubble(t, Options{Mailbox: 1}, func(t *testing.T, b *Broker) {
		// Everything that can block does; a bubble whose goroutines wait for a
		// mutex is not idle, and nothing below would get through.
		ctx, cancel := context.WithCancel(t.Context())
		body := newEndless("ha")
		go func() { b.Send(ctx, jobs, body.message()) }()
		d, _ := b.Receive(ctx, jobs)
		d.Next(ctx)
		go d.Next(ctx)
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		written := later(func() error { p.Write(ctx, nil); return p.Write(ctx, nil) })
		q := publish(t, b, name("public/nobody"), PublishOptions{Wait: true})
		ready := later(func() error { return q.Ready(ctx) })
		asked := asks(ctx, b, "q", 0, 0)
		synctest.Wait()
		sent := send(t.Context(), b, name("public/free"), "a")
		want(t, "a Receive beside them", receives(t.Context(), b, name("public/free")), "a", nil)
		<-sent
		if b.Stats().Channels != 3 || b.Peek(jobs).Producers != 1 {
			t.Errorf("%+v", b.Stats())
		}
		cancel()
		<-written
		<-ready
		<-asked
		synctest.Wait()
		body.stop()
		d.Done(io.ErrClosedPipe)
		p.Close()
		q.Close()
		s.Close()
	})
}

func TestInvariant7AFullReceiverHoldsCostsOrIsEndedAndAllIsCounted(t *testing.T) {
	bubble(t, Options{Mailbox: 1}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		quick := publish(t, b, jobs, PublishOptions{})
		waits := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, quick, "a", 1)
		say(t, quick, "b", 0)
		ctx, cancel := context.WithTimeoutCause(t.Context(), 29*time.Second, ErrTimeout)
		defer cancel()
		if _, err := waits.Message(ctx, nil, nil); err != ErrTimeout {
			t.Error(err)
		}
		ctx, cancel = context.WithTimeoutCause(t.Context(), 31*time.Second, ErrTimeout)
		defer cancel()
		if _, err := waits.Message(ctx, nil, nil); err != ErrTimeout {
			t.Error(err)
		}
		wantEnd(t, s, ErrSlow)
		if st := b.Stats(); st.Dropped != 1 || st.Held != 2 || st.Evicted != 1 {
			t.Errorf("%+v", st)
		}
		s.Close()
		quick.Close()
		waits.Close()
	})
}

func TestInvariant8SendSucceedsOnlyWhenTheReceiverSaidSo(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for _, long := range []string{"short", strings.Repeat("x", 1<<20)} {
			sent := send(t.Context(), b, jobs, long)
			d, _ := b.Receive(t.Context(), jobs)
			for {
				if _, err := d.Next(t.Context()); err != nil {
					break
				}
			}
			pending(t, "the sender before Done(nil)", sent)
			d.Done(nil)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			sent = send(t.Context(), b, jobs, "b")
			s := subscribe(t, b, jobs, SubscribeOptions{})
			wantNext(t, s, "[b]")
			pending(t, "the sender before the next Next", sent)
			awaits(t, s)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			s.Close()
		}
	})
}

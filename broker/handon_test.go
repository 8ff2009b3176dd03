package broker

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhatTheLastSubscriberDidNotTakeGoesToTheNext(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		first := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, p, "a", 1)
		wantNext(t, first, "[a]")
		got := awaits(t, first) // a is acknowledged
		say(t, p, "b", 1)
		want(t, "the first", got, "[b]", nil) // not acknowledged
		say(t, p, "c", 1)                     // not even taken
		first.Close()
		drained := later(func() error { return p.Drain(t.Context()) })
		pending(t, "Drain", drained)
		second := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		if err := <-drained; err != nil {
			t.Error(err)
		}
		p.Close()
		want(t, "the second", second, "[b][c]", io.EOF)
	})
}

func TestTheNextSubscriberGetsWhatWasLeftBeforeWhatIsNew(t *testing.T) {
	for _, early := range []bool{false, true} { // it comes before the next message begins, or its writer waits
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			first := subscribe(t, b, jobs, SubscribeOptions{})
			p := publish(t, b, jobs, PublishOptions{Wait: true})
			say(t, p, "a", 1)
			p.Write(t.Context(), []byte("b"))
			first.Close()
			var second <-chan result
			if early {
				second = follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
			}
			done := later(func() error {
				p.Write(t.Context(), []byte("b"))
				if n, err := p.End(t.Context()); n != 1 || err != nil {
					t.Error(n, err)
				}
				say(t, p, "c", 1)
				return p.Drain(t.Context())
			})
			if !early {
				pending(t, "the publisher", done)
				second = follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			p.Close()
			want(t, "the second", second, "[a][bb][c]", io.EOF)
		})
	}
}

func TestAFollowerThatWentOnIsNotSentBack(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		first := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, p, "a", 1)
		second := subscribe(t, b, jobs, SubscribeOptions{})
		say(t, p, "b", 2)
		first.Close()
		got := follows(t, second)
		p.Drain(t.Context())
		say(t, p, "c", 1)
		if len(p.pending.all()) > 1 {
			t.Errorf("%d chunks are kept for nobody", len(p.pending.all()))
		}
		p.Drain(t.Context())
		p.Close()
		want(t, "the second, that came after a", got, "[b][c]", io.EOF)
	})
}

func TestAPartThatOthersWentOnWithoutIsNotHandedOn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		first := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		p.Write(t.Context(), []byte("1"))
		second := subscribe(t, b, jobs, SubscribeOptions{})
		p.Write(t.Context(), []byte("2"))
		wantNext(t, second, "2")
		awaits(t, second) // has taken 2, and will leave with 3
		p.Write(t.Context(), []byte("3"))
		second.Close()
		first.Close()
		got := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		p.Write(t.Context(), []byte("4"))
		p.End(t.Context())
		p.Drain(t.Context())
		p.Close()
		want(t, "the third", got, "34]", io.EOF)
	})
}

func TestAPlainReceiveGetsALeftMessageFromItsStart(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		gone := later(func() *Delivery { d, _ := b.Receive(ctx, jobs); return d })
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		p.Write(t.Context(), []byte("be"))
		d := <-gone
		d.Next(t.Context())
		d.Done(context.Canceled)
		next := receives(t.Context(), b, jobs)
		synctest.Wait()
		p.Write(t.Context(), []byte("gin"))
		if n, err := p.End(t.Context()); n != 1 || err != nil {
			t.Error(n, err)
		}
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		p.Close()
		want(t, "the next Receive", next, "begin", nil)
	})
}

func TestAPlainReceiveIsNotGivenATail(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		first := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		p.Write(t.Context(), []byte("be"))
		wantNext(t, first, "[be")
		awaits(t, first)
		p.Write(t.Context(), []byte("gin"))
		first.Close()
		got := receives(t.Context(), b, jobs)
		synctest.Wait()
		done := later(func() error {
			p.End(t.Context())
			say(t, p, "next", 2)
			return p.Drain(t.Context())
		})
		pending(t, "a publisher with a tail for nobody", done)
		second := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.Close()
		want(t, "the follower", second, "gin][next]", io.EOF)
		want(t, "the Receive", got, "next", nil)
	})
}

func TestEachLeftMessageGoesToAReceiveOfItsOwn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		for _, m := range []string{"a", "b", "c"} {
			say(t, p, m, 1)
		}
		s.Close()
		drained := later(func() error { return p.Drain(t.Context()) })
		for _, m := range []string{"a", "b", "c"} {
			pending(t, "Drain", drained)
			want(t, "a Receive", receives(t.Context(), b, jobs), m, nil)
		}
		if err := <-drained; err != nil {
			t.Error(err)
		}
		p.Close()
	})
}

func TestAReceiveThatIsStillBusyDoesNotLoseItsMessageToTheNextOne(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		slow := later(func() *Delivery { d, _ := b.Receive(t.Context(), jobs); return d })
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, p, "a", 1)
		d := <-slow
		second := receives(t.Context(), b, jobs)
		synctest.Wait()
		say(t, p, "b", 1) // while a is still being written
		want(t, "the second", second, "b", nil)
		drained := later(func() error { return p.Drain(t.Context()) })
		pending(t, "Drain, while a is not written", drained)
		d.Done(io.ErrClosedPipe)
		pending(t, "Drain, while a is with nobody", drained)
		want(t, "the third", receives(t.Context(), b, jobs), "a", nil)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		p.Close()
	})
}

func TestNothingIsLostOrDoubledHoweverOftenTheLastSubscriberLeaves(t *testing.T) {
	bubble(t, Options{Mailbox: 600}, func(t *testing.T, b *Broker) {
		const total = 500
		done := later(func() error {
			p, _ := b.Publish(jobs, PublishOptions{Wait: true})
			defer p.Close()
			for i := range total {
				if err := p.Write(t.Context(), fmt.Appendf(nil, "%d,", i)); err != nil {
					return err
				}
			}
			p.End(t.Context())
			return p.Drain(t.Context())
		})
		var got strings.Builder
		ended := false
		for life := 0; !ended; life++ {
			s := subscribe(t, b, jobs, SubscribeOptions{})
			for n := 0; n <= life%5; n++ {
				events, err := s.Next(t.Context())
				if err != nil {
					ended = true
					break
				}
				if n == life%5 {
					break // leaves with what it cannot write
				}
				for _, e := range events {
					got.Write(e.Data)
					ended = ended || e.Last
				}
				if ended {
					awaitsOrEnds(t, s)
					break
				}
				if n == life%5-1 {
					go s.Next(t.Context()) // acknowledges
					synctest.Wait()
					break
				}
			}
			s.Close()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		var want strings.Builder
		for i := range total {
			fmt.Fprintf(&want, "%d,", i)
		}
		if got.String() != want.String() {
			t.Errorf("got %d bytes of %d: %s", got.Len(), want.Len(), got.String())
		}
	})
}

func awaitsOrEnds(t *testing.T, s *Subscription) {
	go s.Next(t.Context())
	synctest.Wait()
}

func TestDrainWaitsForTheWriteOfTheLastByte(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, p, "a", 1)
		drained := later(func() error { return p.Drain(t.Context()) })
		pending(t, "Drain", drained)
		wantNext(t, s, "[a]")
		pending(t, "Drain", drained)
		awaits(t, s)
		if err := <-drained; err != nil {
			t.Error(err)
		}
		say(t, p, "b", 1)
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrTimeout)
		defer cancel()
		if err := p.Drain(ctx); err != ErrTimeout && err != nil {
			t.Error(err)
		}
		p.Close()
		s.Close()
	})
}

func TestASubscriptionThatEndedButStaysDoesNotMakeAPublisherSpin(t *testing.T) {
	for _, rr := range []bool{false, true} {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
			p := publish(t, b, jobs, PublishOptions{Wait: true, RoundRobin: rr})
			say(t, p, "a", 1)
			wantNext(t, s, "[a]")
			b.Destroy(jobs)
			// s is not closed: its client is slow to notice.
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, ErrTimeout)
			defer cancel()
			if err := p.Ready(ctx); err != ErrTimeout { // a spin would never let the clock move
				t.Error(err)
			}
			done := later(func() error {
				say(t, p, "b", 1)
				return p.Drain(t.Context())
			})
			pending(t, "a publisher whose only subscription has ended", done)
			second := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
			wantEnd(t, s, ErrDestroyed)
			s.Close()
			if err := <-done; err != nil {
				t.Error(err)
			}
			p.Close()
			want(t, "the second", second, "[b]", io.EOF)
		})
	}
}

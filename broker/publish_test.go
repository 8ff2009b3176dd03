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

func TestABroadcastGoesToEverySubscriptionAndEveryWaitingReceive(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		a, c := subscribe(t, b, jobs, SubscribeOptions{}), subscribe(t, b, jobs, SubscribeOptions{})
		one, two := receives(t.Context(), b, jobs), receives(t.Context(), b, jobs)
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{})
		say(t, p, "hi", 4)
		wantNext(t, a, "[hi]")
		wantNext(t, c, "[hi]")
		want(t, "a Receive", one, "hi", nil)
		want(t, "a Receive", two, "hi", nil)
		p.Close()
		wantEnd(t, a, io.EOF)
		wantEnd(t, c, io.EOF)
		a.Close()
		c.Close()
		if s := b.Stats(); s.Delivered != 4 || s.Messages != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAPublisherThatDoesNotWaitNeverWaits(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		p := publish(t, b, jobs, PublishOptions{})
		defer p.Close()
		p.Ready(t.Context())
		say(t, p, "to nobody", 0)
		p.Drain(t.Context())
	})
}

func TestAPublisherThatWaitsBeginsWhenAReceiverComes(t *testing.T) {
	for what, come := range map[string]func(*testing.T, *Broker) <-chan result{
		"subscription": func(t *testing.T, b *Broker) <-chan result {
			return follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		},
		"wildcard": func(t *testing.T, b *Broker) <-chan result {
			s, _ := b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{})
			return follows(t, s)
		},
		"receive": func(t *testing.T, b *Broker) <-chan result {
			return later(func() result {
				s, err := receive(t.Context(), b, jobs)
				if err == nil {
					s, err = "["+s+"]", io.EOF
				}
				return result{s, err}
			})
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, b *Broker) {
				p := publish(t, b, jobs, PublishOptions{Wait: true})
				ready := later(func() error { return p.Ready(t.Context()) })
				pending(t, "Ready", ready)
				got := come(t, b)
				if err := <-ready; err != nil {
					t.Error(err)
				}
				say(t, p, "x", 1)
				if err := p.Drain(t.Context()); err != nil {
					t.Error(err)
				}
				p.Close()
				want(t, "it", got, "[x]", io.EOF)
			})
		})
	}
}

func TestAPublisherThatWaitsIsWokenByItsContext(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, ErrTimeout)
		defer cancel()
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		defer p.Close()
		if err := p.Ready(ctx); err != ErrTimeout {
			t.Error(err)
		}
		if err := p.Write(ctx, []byte("x")); err != ErrTimeout {
			t.Error(err)
		}
	})
}

func TestPatienceIsTheWholeTimeOneMessageMayBeHeldBack(t *testing.T) {
	bubble(t, Options{Mailbox: 1}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Patience: 10 * time.Second})
		start := time.Now()
		p.Write(t.Context(), []byte("a"))
		p.Write(t.Context(), []byte("b")) // held 10 s, and missed
		p.Write(t.Context(), []byte("c")) // no patience left
		if n, err := p.End(t.Context()); n != 0 || err != nil {
			t.Error(n, err)
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("it was held back for %v", took)
		}
		if st := b.Stats(); st.Dropped != 2 || st.Held != 1 || st.Evicted != 0 {
			t.Errorf("%+v", st)
		}
		wantNext(t, s, "[a]") // c's and b's text is missed, the end is not
		got := follows(t, s)
		synctest.Wait()
		say(t, p, "next message, new patience", 1)
		p.Close()
		want(t, "the follower", got, "[next message, new patience]", io.EOF)
	})
}

func TestAPipeHearsItselfOnlyWithEcho(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for _, echo := range []bool{false, true} {
			s := subscribe(t, b, jobs, SubscribeOptions{Pipe: true, Stay: true})
			other := subscribe(t, b, jobs, SubscribeOptions{})
			p := publish(t, b, jobs, PublishOptions{Pipe: s, Echo: echo})
			if c := b.Peek(jobs); c != (Counts{Subscribers: 2, Pipes: 1}) {
				t.Errorf("%+v", c)
			}
			if echo {
				say(t, p, "me", 2)
				wantNext(t, s, "[me]")
			} else {
				say(t, p, "me", 1)
				q := publish(t, b, jobs, PublishOptions{})
				say(t, q, "you", 2)
				q.Close()
				wantNext(t, s, "[you]")
			}
			p.Close()
			s.Close()
			other.Close()
		}
	})
}

func TestMessagesOfOnePublisherArriveInOrderBesideThoseOfOthers(t *testing.T) {
	bubble(t, Options{Mailbox: 500}, func(t *testing.T, b *Broker) {
		var got [3]<-chan result
		for i := range got {
			got[i] = follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		}
		keep := publish(t, b, jobs, PublishOptions{})
		done := make(chan struct{})
		for i := range 4 {
			go func() {
				p, _ := b.Publish(jobs, PublishOptions{Wait: true})
				for j := range 50 {
					if n, err := p.Message(t.Context(), nil, fmt.Appendf(nil, "%d:%d ", i, j)); n != 3 || err != nil {
						t.Error(n, err)
					}
				}
				p.Drain(t.Context())
				p.Close()
				done <- struct{}{}
			}()
		}
		for range 4 {
			<-done
		}
		keep.Close()
		for _, c := range got {
			r := <-c
			var next [4]int
			for _, m := range strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(r.s)) {
				var i, j int
				fmt.Sscanf(m, "%d:%d", &i, &j)
				if next[i] != j {
					t.Fatalf("publisher %d: %d came, %d was due", i, j, next[i])
				}
				next[i]++
			}
			if next != [4]int{50, 50, 50, 50} {
				t.Error(next)
			}
		}
	})
}

func TestALateJoinerSeesThatItCameInMidMessage(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		first := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{})
		p.Write(t.Context(), []byte("be"))
		late := subscribe(t, b, jobs, SubscribeOptions{})
		p.Write(t.Context(), []byte("gin"))
		if n, _ := p.End(t.Context()); n != 1 {
			t.Errorf("whole for %d", n)
		}
		wantNext(t, first, "[begin]")
		wantNext(t, late, "gin]")
		first.Close()
		late.Close()
		p.Close()
	})
}

func TestAReceiveThatComesInMidMessageWaitsForTheNext(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		early := receives(t.Context(), b, jobs)
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{})
		p.Write(t.Context(), []byte("be"))
		late := receives(t.Context(), b, jobs)
		synctest.Wait()
		p.Write(t.Context(), []byte("gin"))
		p.End(t.Context())
		want(t, "the one that waited", early, "begin", nil)
		pending(t, "the one that came in mid-message", late)
		say(t, p, "next", 1)
		want(t, "the late one", late, "next", nil)
		p.Close()
	})
}

func TestALongMessageArrivesInPartsThatAddUp(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		long := strings.Repeat("0123456789", 100_000)
		s := subscribe(t, b, jobs, SubscribeOptions{})
		one := receives(t.Context(), b, jobs)
		got := follows(t, s)
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, p, long, 2)
		p.Drain(t.Context())
		p.Close()
		want(t, "the follower", got, "["+long+"]", io.EOF)
		want(t, "the Receive", one, long, nil)
		if b.Stats().Bytes != uint64(2*len(long)) {
			t.Errorf("%+v", b.Stats())
		}
	})
}

func TestTheHeaderOfAMessageIsItsOwn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{})
		p.Message(t.Context(), Header{"X": {"1"}}, nil)
		p.Write(t.Context(), []byte("a"))
		p.End(t.Context())
		events, _ := s.Next(t.Context())
		if events[0].Info.Header["X"][0] != "1" || events[0].Info.Size != 0 || events[0].Info.Queue {
			t.Errorf("%+v", events[0].Info)
		}
		if i := events[1].Info; i.Header != nil || i.Size != -1 || i.ID <= events[0].Info.ID || i.Channel != jobs {
			t.Errorf("%+v", i)
		}
		p.Close()
		s.Close()
	})
}

func TestAbortCutsFollowersAndReceivesAndNothingAfterIt(t *testing.T) {
	bubble(t, Options{Mailbox: 1}, func(t *testing.T, b *Broker) { // full with one chunk
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		one := receives(t.Context(), b, jobs)
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{})
		p.Abort() // no message: nothing
		p.Write(t.Context(), []byte("ha"))
		p.Abort()
		p.Abort()
		wantNext(t, s, "[ha!")
		want(t, "the Receive", one, "ha", ErrCut)
		got := awaits(t, s)
		say(t, p, "whole", 1)
		want(t, "the follower", got, "[whole]", nil)
		got = awaits(t, s)
		p.Write(t.Context(), []byte("ha"))
		p.Close()
		p.Close()
		if r := <-got; r.s != "[ha!" {
			wantNext(t, s, "!")
		}
		s.Close()
	})
}

func TestAPublisherThatWaitsAbortsWhatNobodyTookToo(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		p.Write(t.Context(), []byte("ha"))
		s.Close()
		p.Abort()
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		got := receives(t.Context(), b, jobs)
		synctest.Wait()
		say(t, p, "next", 1)
		want(t, "the next receiver", got, "next", nil)
		p.Close()
	})
}

func TestAWriteThatFailsCutsItsMessage(t *testing.T) {
	bubble(t, Options{Mailbox: 1}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrTimeout)
		defer cancel()
		p.Write(ctx, []byte("a"))
		if err := p.Write(ctx, []byte("b")); err != ErrTimeout {
			t.Error(err)
		}
		wantNext(t, s, "[a!")
		got := awaits(t, s)
		say(t, p, "c", 1)
		want(t, "the follower", got, "[c]", nil)
		p.Close()
		s.Close()
	})
}

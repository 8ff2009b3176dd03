package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheWaitsOfARequesterEnd(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		start := time.Now()
		want(t, "nobody", asks(t.Context(), b, "q", 10*time.Second, time.Hour), "", ErrTimeout)
		if d := time.Since(start); d != 10*time.Second {
			t.Error(d)
		}
		got := asks(t.Context(), b, "q", time.Hour, 30*time.Second)
		<-time.After(time.Minute)
		d, _ := takes(t, b)
		d.Done(nil)
		start = time.Now()
		want(t, "a vanished responder", got, "", ErrVanished)
		if d := time.Since(start); d != 30*time.Second {
			t.Error(d)
		}
		if err := b.Answer(t.Context(), resX, d.Info.Reply, msg("late")); err != ErrGone {
			t.Error(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		got = asks(ctx, b, "q", 0, 0)
		synctest.Wait()
		cancel(errBody)
		want(t, "a requester that left", got, "", errBody)
	})
}

func TestARequestWhoseSenderDiesInLineIsNotAnswered(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := asksWith(t.Context(), b, Message{Size: -1, Body: broken{eofReader{}}}, time.Hour, time.Hour)
		taken := receives(t.Context(), b, resX)
		pending(t, "the responder", taken)
		if r := <-got; r.err == nil {
			t.Error(r)
		}
		next := asks(t.Context(), b, "q", 0, 0)
		want(t, "the responder", taken, "q", nil)
		b.Answer(t.Context(), resX, "", msg("a"))
		want(t, "the next", next, "a", nil)
	})
}

func TestAnswersToUnknownLateAndOtherChannelsRequestsAreGone(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		if err := b.Answer(t.Context(), resX, "nonsense", msg("a")); err != ErrGone {
			t.Error(err)
		}
		got := asks(t.Context(), b, "q", 0, 0)
		d, _ := takes(t, b)
		d.Done(nil)
		if err := b.Answer(t.Context(), name("public/res/y"), d.Info.Reply, msg("a")); err != ErrGone {
			t.Error(err)
		}
		if err := b.Answer(t.Context(), resX, d.Info.Reply, msg("a")); err != nil {
			t.Error(err)
		}
		if err := b.Answer(t.Context(), resX, d.Info.Reply, msg("b")); err != ErrGone {
			t.Error(err)
		}
		want(t, "the requester", got, "a", nil)
	})
}

func TestARequesterThatLeavesEndsItsResponder(t *testing.T) {
	t.Run("in line", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			ctx, cancel := context.WithCancel(t.Context())
			got := asks(ctx, b, "q", 0, 0)
			synctest.Wait()
			cancel()
			<-got
			next := receives(t.Context(), b, resX)
			pending(t, "the responder", next)
			other := asks(t.Context(), b, "q2", 0, 0)
			want(t, "the responder", next, "q2", nil)
			b.Answer(t.Context(), resX, "", msg("a"))
			<-other
		})
	})
	t.Run("while its request is read", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			ctx, cancel := context.WithCancel(t.Context())
			body := newEndless("ha")
			got := asksWith(ctx, b, body.message(), 0, 0)
			taken := receives(t.Context(), b, resX)
			synctest.Wait()
			cancel()
			<-got
			want(t, "the responder", taken, "ha", ErrCut)
		})
	})
	t.Run("before the answer's first byte", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			ctx, cancel := context.WithCancel(t.Context())
			got := asks(ctx, b, "q", 0, 0)
			d, _ := takes(t, b)
			d.Done(nil)
			body := newEndless("")
			answered := later(func() error { return b.Answer(t.Context(), resX, d.Info.Reply, body.message()) })
			synctest.Wait()
			cancel()
			<-got
			if err := <-answered; err != ErrGone {
				t.Error(err)
			}
		})
	})
	t.Run("before an answer unread", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			ctx, cancel := context.WithCancel(t.Context())
			got := asks(ctx, b, "q", 0, 0)
			synctest.Wait()
			body := newEndless("")
			answered := later(func() error { return b.Answer(t.Context(), resX, "", body.message()) })
			synctest.Wait()
			cancel()
			<-got
			if err := <-answered; err != ErrGone {
				t.Error(err)
			}
		})
	})
	t.Run("in mid-answer", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			ctx, cancel := context.WithCancel(t.Context())
			got := asks(ctx, b, "q", 0, 0)
			d, _ := takes(t, b)
			d.Done(nil)
			body := newEndless("ha")
			answered := later(func() error { return b.Answer(t.Context(), resX, d.Info.Reply, body.message()) })
			synctest.Wait()
			cancel()
			if r := <-got; r.s != "ha" || r.err == nil {
				t.Error(r)
			}
			if err := <-answered; err != ErrGone {
				t.Error(err)
			}
		})
	})
	t.Run("while it is switched", func(t *testing.T) {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			ctx, cancel := context.WithCancel(t.Context())
			got := asks(ctx, b, "q", 0, 0)
			d, _ := takes(t, b)
			d.Switch(jobs, time.Minute)
			d.Done(nil)
			synctest.Wait()
			if c := b.Peek(jobs); c.Consumers != 1 {
				t.Errorf("%+v", c)
			}
			cancel()
			<-got
		})
	})
}

func TestCloseOfTheBrokerAndCalls(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		taken := asks(t.Context(), b, "taken", 0, 0)
		d, _ := takes(t, b)
		d.Done(nil)
		byOldest := asks(t.Context(), b, "oldest", 0, 0)
		d2, _ := takes(t, b)
		d2.Done(nil)
		waits := asks(t.Context(), b, "waits", 0, 0)
		synctest.Wait()
		b.Close()
		want(t, "a requester in line", waits, "", ErrClosed)
		if err := b.Answer(t.Context(), resX, d.Info.Reply, msg("a")); err != nil {
			t.Error(err)
		}
		want(t, "a requester whose request was taken", taken, "a", nil)
		if err := b.Answer(t.Context(), resX, "", msg("b")); err != nil {
			t.Error(err)
		}
		want(t, "the other", byOldest, "b", nil)
		if err := b.Answer(t.Context(), resX, "", msg("c")); err != ErrClosed {
			t.Error(err)
		}
		if _, err := b.Call(t.Context(), reqX, Message{}); err != ErrClosed {
			t.Error(err)
		}
	})
}

func TestCloseOfACallMakesItsHalvesReturn(t *testing.T) {
	for what, prepare := range map[string]func(*testing.T, *Broker){
		"in line": func(t *testing.T, b *Broker) {},
		"taken":   func(t *testing.T, b *Broker) { d, _ := takes(t, b); d.Done(nil) },
		"bound unread": func(t *testing.T, b *Broker) {
			answered := later(func() error { return b.Answer(t.Context(), resX, "", newEndless("").message()) })
			go func() {
				if err := <-answered; err != ErrGone {
					t.Error(err)
				}
			}()
		},
		"switched": func(t *testing.T, b *Broker) { d, _ := takes(t, b); d.Switch(jobs, time.Hour); d.Done(nil) },
		"being read": func(t *testing.T, b *Broker) {
			d, _ := takes(t, b) // and done after the call is closed
			go func() { <-time.After(time.Hour); d.Done(nil) }()
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, b *Broker) {
				c, _ := b.Call(t.Context(), reqX, msg("q"))
				sent := later(func() error { return c.Send(t.Context()) })
				answer := later(func() error { _, err := c.Answer(t.Context(), 0, 0); return err })
				synctest.Wait()
				prepare(t, b)
				synctest.Wait()
				c.Close()
				<-sent
				if err := <-answer; err != ErrGone {
					t.Error(err)
				}
				<-time.After(2 * time.Hour)
			})
		})
	}
}

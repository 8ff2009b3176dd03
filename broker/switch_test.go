package broker

import (
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestAResponderThatLeavesBeforeItHadTheRequestIsReplaced(t *testing.T) {
	for _, switches := range []bool{false, true} {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			got := asks(t.Context(), b, "q", time.Hour, time.Hour)
			d, _ := takes(t, b)
			id := d.Info.Reply
			if switches {
				d.Switch(jobs, time.Minute)
				synctest.Wait()
			}
			d.Done(io.ErrClosedPipe)
			synctest.Wait()
			if c := b.Peek(resX); c.Producers != 1 || b.Peek(jobs).Consumers != 0 {
				t.Errorf("%+v", c)
			}
			if err := b.Answer(t.Context(), resX, id, msg("late")); err != ErrGone {
				t.Error(err)
			}
			d, q := takes(t, b)
			d.Done(nil)
			if q != "q" || d.Info.Reply != id {
				t.Error(q)
			}
			b.Answer(t.Context(), resX, id, msg("a"))
			want(t, "the requester", got, "a", nil)
		})
	}
}

func TestAResponderThatAnswersWithoutReadingOnIsNotReplaced(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		body := newEndless("ha")
		got := asksWith(t.Context(), b, body.message(), 0, 0)
		d, _ := b.Receive(t.Context(), resX)
		ans := newEndless("answer")
		answered := later(func() error { return b.Answer(t.Context(), resX, d.Info.Reply, ans.message()) })
		synctest.Wait()
		d.Done(io.ErrClosedPipe)
		other := receives(t.Context(), b, resX)
		pending(t, "another responder", other)
		ans.stop()
		want(t, "the requester", got, "answer", ErrCut)
		<-answered
		next := asks(t.Context(), b, "q", 0, 0)
		want(t, "the other responder", other, "q", nil)
		b.Answer(t.Context(), resX, "", msg("a"))
		want(t, "the next", next, "a", nil)
	})
}

func TestASwitchedRequestIsAnsweredByWhateverIsPosted(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := asks(t.Context(), b, "q", 0, time.Second)
		d, _ := takes(t, b)
		d.Switch(jobs, time.Minute)
		d.Done(nil)
		if err := b.Answer(t.Context(), resX, d.Info.Reply, msg("by id")); err != ErrGone {
			t.Error(err)
		}
		<-time.After(50 * time.Second)
		if err := b.Send(t.Context(), jobs, msg("posted")); err != nil {
			t.Error(err)
		}
		want(t, "the requester", got, "posted", nil)

		got = asks(t.Context(), b, "q", 0, time.Second)
		d, _ = takes(t, b)
		d.Switch(jobs, time.Minute)
		d.Done(nil)
		start := time.Now()
		want(t, "a requester for whom nobody posts", got, "", ErrNoAnswer)
		if d := time.Since(start); d != time.Minute {
			t.Error(d)
		}
	})
}

func TestASwitchedAnswerThatBeganIsNotDisturbedByTheResponder(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := asks(t.Context(), b, "q", 0, 0)
		d, _ := takes(t, b)
		d.Switch(jobs, time.Minute)
		r, w := io.Pipe()
		sent := later(func() error { return b.Send(t.Context(), jobs, Message{Size: -1, Body: r}) })
		w.Write([]byte("po"))
		synctest.Wait()
		d.Done(io.ErrClosedPipe)
		if c := b.Peek(resX); c.Producers != 0 {
			t.Errorf("the request is handed on though it is being answered: %+v", c)
		}
		w.Write([]byte("sted"))
		w.Close()
		want(t, "the requester", got, "posted", nil)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

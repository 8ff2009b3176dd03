package broker

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

var reqX, resX = name("public/req/x"), name("public/res/x")

// asks makes a request and reads its answer.
func asks(ctx context.Context, b *Broker, body string, take, answer time.Duration) <-chan result {
	return asksWith(ctx, b, msg(body), take, answer)
}

func asksWith(ctx context.Context, b *Broker, m Message, take, answer time.Duration) <-chan result {
	return later(func() result {
		c, err := b.Call(reqX, m)
		if err != nil {
			return result{"", err}
		}
		sent := later(func() error { return c.Send(ctx) })
		defer func() { c.Close(); c.Close(); <-sent }()
		d, err := c.Answer(ctx, take, answer)
		if err != nil {
			return result{"", err}
		}
		s, err := read(ctx, d)
		return result{s, err}
	})
}

// takes takes a request and returns it, read but not done.
func takes(t *testing.T, b *Broker) (*Delivery, string) {
	t.Helper()
	d, err := b.Receive(t.Context(), resX)
	if err != nil {
		t.Fatal(err)
	}
	var s string
	for {
		data, err := d.Next(t.Context())
		if err != nil {
			return d, s
		}
		s += string(data)
	}
}

func answers(ctx context.Context, b *Broker, id, text string) <-chan error {
	return later(func() error { return b.Answer(ctx, resX, id, msg(text)) })
}

func TestEveryRequesterGetsTheAnswerToItsRequest(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		const n = 100
		var got [n]<-chan result
		for i := range got {
			got[i] = asks(t.Context(), b, fmt.Sprint(i), time.Hour, time.Hour)
		}
		done := make(chan struct{})
		for range n {
			go func() {
				d, q := takes(t, b)
				d.Done(nil)
				if d.Info.Reply == "" || d.Info.Channel != reqX {
					t.Errorf("%+v", d.Info)
				}
				<-time.After(time.Duration(len(q)*17%7) * time.Second) // by turns
				if err := b.Answer(t.Context(), resX, d.Info.Reply, msg("to "+q)); err != nil {
					t.Error(err)
				}
				done <- struct{}{}
			}()
		}
		for i := range got {
			want(t, "a requester", got[i], fmt.Sprint("to ", i), nil)
		}
		for range n {
			<-done
		}
	})
}

func TestWithoutAnIDTheOldestTakenRequestIsAnswered(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var got [3]<-chan result
		for i := range got {
			got[i] = asks(t.Context(), b, fmt.Sprint(i), 0, 0)
			synctest.Wait()
		}
		for i := range 2 {
			d, q := takes(t, b)
			if q != fmt.Sprint(i) {
				t.Errorf("request %d is %q", i, q)
			}
			d.Done(nil)
		}
		for i := range got { // the last one was not taken: it is answered unread
			if err := b.Answer(t.Context(), resX, "", msg("to "+fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
			want(t, "a requester", got[i], fmt.Sprint("to ", i), nil)
		}
	})
}

func TestAnAnswerMayWaitForTheNextRequest(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		plain := send(t.Context(), b, reqX, "not a request")
		answered := answers(t.Context(), b, "", "hello")
		pending(t, "the answer", answered)
		body := newEndless("") // not read
		want(t, "the requester", asksWith(t.Context(), b, body.message(), 0, 0), "hello", nil)
		if err := <-answered; err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, ErrTimeout)
		defer cancel()
		if err := b.Answer(ctx, resX, "", msg("x")); err != ErrTimeout {
			t.Error(err)
		}
		receive(t.Context(), b, resX)
		<-plain
	})
}

func TestAWithdrawnAnswerLeavesTheRequestToAnother(t *testing.T) {
	for _, taken := range []bool{true, false} {
		bubble(t, Options{}, func(t *testing.T, b *Broker) {
			got := asks(t.Context(), b, "q", time.Hour, time.Hour)
			synctest.Wait()
			id := ""
			if taken {
				d, _ := takes(t, b)
				d.Done(nil)
				id = d.Info.Reply
			}
			ghost := b.Answer(t.Context(), resX, id, Message{Size: -1, Body: broken{eofReader{}}})
			if ghost != errBody {
				t.Error(ghost)
			}
			synctest.Wait()
			if !taken { // it is in its line again
				d, q := takes(t, b)
				if d.Done(nil); q != "q" {
					t.Error(q)
				}
				id = d.Info.Reply
			}
			if err := b.Answer(t.Context(), resX, id, msg("a")); err != nil {
				t.Error(err)
			}
			want(t, "the requester", got, "a", nil)
		})
	}
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

func TestAnAnswerThatDiesInMidMessageCutsTheRequester(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := asks(t.Context(), b, "q", 0, 0)
		d, _ := takes(t, b)
		d.Done(nil)
		body := newEndless("ha")
		answered := later(func() error { return b.Answer(t.Context(), resX, d.Info.Reply, body.message()) })
		synctest.Wait()
		body.stop()
		want(t, "the requester", got, "ha", ErrCut)
		if err := <-answered; err != errBody {
			t.Error(err)
		}
	})
}

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

func TestAnAnswerMayFlowWhileTheRequestStillArrives(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		reqR, reqW := io.Pipe()
		ansR, ansW := io.Pipe()
		got := asksWith(t.Context(), b, Message{Size: -1, Body: reqR}, 0, 0)
		go reqW.Write([]byte("1"))
		d, _ := b.Receive(t.Context(), resX)
		answered := later(func() error {
			return b.Answer(t.Context(), resX, d.Info.Reply, Message{Size: -1, Body: ansR})
		})
		for i := range 5 { // an echo
			data, err := d.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ansW.Write(data)
			if i < 4 {
				go reqW.Write([]byte(fmt.Sprint(i + 2)))
			}
		}
		reqW.Close()
		if _, err := d.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
		d.Done(nil)
		ansW.Close()
		want(t, "the requester", got, "12345", nil)
		if err := <-answered; err != nil {
			t.Error(err)
		}
	})
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

func TestAFollowerMayTakeRequests(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, resX, SubscribeOptions{Stay: true})
		var got [3]<-chan result
		for i := range got {
			got[i] = asks(t.Context(), b, fmt.Sprint(i), 0, 0)
			synctest.Wait()
		}
		for i := range got {
			events, _ := s.Next(t.Context())
			for !events[0].First { // the end of the one before, if it came by itself
				events, _ = s.Next(t.Context())
			}
			text := "to " + string(events[0].Data)
			if err := b.Answer(t.Context(), resX, events[0].Info.Reply, msg(text)); err != nil {
				t.Error(err)
			}
			want(t, "a requester", got[i], fmt.Sprint("to ", i), nil)
		}
		awaits(t, s)
		s.Close()
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
		if _, err := b.Call(reqX, Message{}); err != ErrClosed {
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
				c, _ := b.Call(reqX, msg("q"))
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

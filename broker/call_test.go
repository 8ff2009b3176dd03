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
		c, err := b.Call(ctx, reqX, m)
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

func TestAFollowerMayTakeRequests(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, resX, SubscribeOptions{Stay: true})
		var got [3]<-chan result
		for i := range got {
			got[i] = asks(t.Context(), b, fmt.Sprint(i), 0, 0)
			synctest.Wait()
		}
		for i := range got {
			events, err := s.Next(t.Context())
			if err != nil || !events[0].First {
				t.Fatalf("%+v, %v", events, err)
			}
			whole := events[len(events)-1].Last
			text := "to " + string(events[0].Data)
			if err := b.Answer(t.Context(), resX, events[0].Info.Reply, msg(text)); err != nil {
				t.Error(err)
			}
			want(t, "a requester", got[i], fmt.Sprint("to ", i), nil)
			if whole {
				continue
			}
			// its end comes by itself
			if events, err := s.Next(t.Context()); err != nil || events[0].First || !events[0].Last || len(events[0].Data) > 0 {
				t.Fatalf("%+v, %v", events, err)
			}
		}
		awaits(t, s)
		s.Close()
	})
}

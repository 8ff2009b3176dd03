package broker

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseLetsABroadcastUnderWayFinish(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		wild, _ := b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{Stay: true})
		quiet := publish(t, b, name("public/quiet"), PublishOptions{}) // wild is there too
		one := receives(t.Context(), b, jobs)
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{})
		p.Write(t.Context(), []byte("be"))
		b.Close()
		p.Write(t.Context(), []byte("gin"))
		if n, err := p.End(t.Context()); n != 3 || err != nil {
			t.Error(n, err)
		}
		if _, err := p.Message(t.Context(), nil, nil); err != ErrClosed {
			t.Error(err)
		}
		if _, err := b.Publish(jobs, PublishOptions{}); err != ErrClosed {
			t.Error(err)
		}
		if _, err := b.Subscribe(jobs, SubscribeOptions{}); err != ErrClosed {
			t.Error(err)
		}
		if _, err := b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{}); err != ErrClosed {
			t.Error(err)
		}
		if _, err := b.Receive(t.Context(), jobs); err != ErrClosed {
			t.Error(err)
		}
		want(t, "the follower", follows(t, s), "[begin]", ErrClosed)
		want(t, "the pattern", follows(t, wild), "[begin]", ErrClosed)
		want(t, "the Receive", one, "begin", nil)
		p.Close()
		quiet.Close()
	})
}

func TestCloseEndsSubscriptionsWhenAnAbortedMessageIsOver(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := follows(t, subscribe(t, b, jobs, SubscribeOptions{Stay: true}))
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		p.Write(t.Context(), []byte("ha"))
		b.Close()
		p.Close()
		want(t, "the follower", got, "[ha!", ErrClosed)
	})
}

func TestCloseEndsAPublisherWhoseLastReceiverLeaves(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		p.Write(t.Context(), []byte("ha"))
		s.Close()
		done := later(func() error { return p.Write(t.Context(), []byte("lf")) })
		pending(t, "the publisher", done)
		b.Close()
		if err := <-done; err != ErrClosed {
			t.Error(err)
		}
		p.Close()
	})
}

func TestCloseEndsAMessageThatCameBackToItsLine(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for _, late := range []bool{false, true} { // the receiver leaves after Close
			b := New(Options{})
			body := newEndless("ha")
			sent := later(func() error { return b.Send(t.Context(), jobs, body.message()) })
			d, _ := b.Receive(t.Context(), jobs)
			synctest.Wait() // the producer blocks in its Read
			if late {
				b.Close()
				d.Done(io.ErrClosedPipe)
			} else {
				d.Done(io.ErrClosedPipe)
				pending(t, "the sender", sent)
				b.Close()
			}
			if err := <-sent; err != ErrClosed || body.stops.Load() != 1 {
				t.Errorf("%v, stopped %d times", err, body.stops.Load())
			}
			empty(t, b)
		}
	})
}

func TestCloseLetsAFollowerFinishItsQueueMessage(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		r, w := io.Pipe()
		sent := later(func() error { return b.Send(t.Context(), jobs, Message{Size: -1, Body: r}) })
		s := subscribe(t, b, jobs, SubscribeOptions{})
		got := follows(t, s)
		w.Write([]byte("be"))
		b.Close()
		w.Write([]byte("gin"))
		w.Close()
		if err := <-sent; err != nil {
			t.Error(err)
		}
		want(t, "it", got, "[begin]", ErrClosed)
	})
}

func TestDestroyEndsWhoeverWaits(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		ready := later(func() error { return p.Ready(t.Context()) })
		pending(t, "Ready", ready)
		if !b.Destroy(jobs) {
			t.Error("a publisher that waits is somebody")
		}
		if err := <-ready; err != ErrDestroyed {
			t.Error(err)
		}
		got := follows(t, subscribe(t, b, jobs, SubscribeOptions{Stay: true}))
		synctest.Wait()
		b.Destroy(jobs)
		want(t, "the follower", got, "", ErrDestroyed)
		p.Close()
	})
}

func TestDestroyStopsAProducerThatIsStillRead(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		body := newEndless("ha")
		sent := later(func() error { return b.Send(t.Context(), jobs, body.message()) })
		d, _ := b.Receive(t.Context(), jobs)
		synctest.Wait()
		d.Done(io.ErrClosedPipe) // back in line, and its producer blocks in Read
		pending(t, "the sender", sent)
		b.Destroy(jobs)
		if err := <-sent; err != ErrDestroyed || body.stops.Load() != 1 {
			t.Errorf("%v, stopped %d times", err, body.stops.Load())
		}
	})
}

func TestDestroyLetsTransfersGoOn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		r, w := io.Pipe()
		sent := later(func() error { return b.Send(t.Context(), jobs, Message{Size: -1, Body: r}) })
		got := receives(t.Context(), b, jobs)
		w.Write([]byte("be"))
		b.Destroy(jobs)
		w.Write([]byte("gin"))
		w.Close()
		want(t, "the receiver", got, "begin", nil)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestDestroyEndsRequestsAndAnswersThatWait(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		asked := asks(t.Context(), b, "q", 0, 0)
		synctest.Wait()
		b.Destroy(name("public/res/x"))
		want(t, "the requester", asked, "", ErrDestroyed)
		answered := answers(t.Context(), b, "", "a")
		synctest.Wait()
		b.Destroy(reqX)
		if err := <-answered; err != ErrDestroyed {
			t.Error(err)
		}
	})
}

func TestAProducerThatDiesInLineIsWithdrawnForGood(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for _, text := range []string{"", "ha"} {
			body := newEndless(text)
			sent := later(func() error { return b.Send(t.Context(), jobs, body.message()) })
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if d, err := b.Receive(ctx, jobs); err == nil {
				synctest.Wait()
				d.Done(io.ErrClosedPipe)
			}
			cancel()
			pending(t, "the sender", sent)
			got := receives(t.Context(), b, name("public/other"))
			synctest.Wait()
			body.stop()
			if err := <-sent; err != errBody {
				t.Error(err)
			}
			late := receives(t.Context(), b, jobs)
			pending(t, "a receiver that came too late", late)
			b.Send(t.Context(), jobs, msg("b"))
			want(t, "it", late, "b", nil)
			b.Send(t.Context(), name("public/other"), msg("c"))
			<-got
		}
	})
}

func TestAReceiverThatLeavesADeadProducerHandsNothingOn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for range 300 { // whichever is first
			body := newEndless("ha")
			sent := later(func() error { return b.Send(t.Context(), jobs, body.message()) })
			d, _ := b.Receive(t.Context(), jobs)
			next := receives(t.Context(), b, jobs)
			synctest.Wait()
			go d.Done(io.ErrClosedPipe)
			go body.stop()
			if err := <-sent; err != errBody {
				t.Error(err)
			}
			synctest.Wait()
			select {
			case r := <-next:
				if r.err != ErrCut {
					t.Error(r)
				}
			default:
				b.Send(t.Context(), jobs, msg("x"))
				<-next
			}
			empty(t, b)
		}
	})
}

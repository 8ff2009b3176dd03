package broker

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func TestASubscriptionEndsWithItsLastPublisher(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		stays := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		p, q := publish(t, b, jobs, PublishOptions{}), publish(t, b, jobs, PublishOptions{})
		say(t, p, "a", 2)
		p.Close()
		wantNext(t, s, "[a]")
		got := awaits(t, s)
		q.End(t.Context()) // an empty broadcast
		want(t, "the follower", got, "[]", nil)
		got = awaits(t, s)
		q.Close()
		want(t, "the follower", got, "", io.EOF)
		late := publish(t, b, jobs, PublishOptions{})
		say(t, late, "b", 1) // s has ended, whether it looked or not
		late.Close()
		wantEnd(t, s, io.EOF)
		wantNext(t, stays, "[a][][b]")
		awaits(t, stays)
		s.Close()
		s.Close()
		stays.Close()
	})
}

func TestQueueProducersAreNoPublishers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		for range 3 {
			sent := send(t.Context(), b, jobs, "a")
			wantNext(t, s, "[a]")
			awaits(t, s)
			if err := <-sent; err != nil {
				t.Error(err)
			}
			s.Close()
			s = subscribe(t, b, jobs, SubscribeOptions{})
		}
		s.Close()
	})
}

func TestAnEmptyQueueMessageEndsASubscriptionThatDoesNotStay(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		ends := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		synctest.Wait()
		stays := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		if err := b.Send(t.Context(), jobs, Message{}); err != nil {
			t.Error(err)
		}
		want(t, "it", ends, "[]", io.EOF)
		sent := later(func() error { return b.Send(t.Context(), jobs, msg("")) })
		wantNext(t, stays, "[]")
		got := awaits(t, stays)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		sent = send(t.Context(), b, jobs, "more")
		if r := <-got; r.s != "[more]" {
			wantNext(t, stays, strings.TrimPrefix("[more]", r.s))
		}
		awaits(t, stays)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		stays.Close()
	})
}

func TestAQueueMessageIsAcknowledgedByTheNextNext(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		sent := send(t.Context(), b, jobs, "a")
		wantNext(t, s, "[a]")
		pending(t, "the sender", sent)
		awaits(t, s)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		s.Close()
	})
}

func TestAFollowerThatClosesHandsItsQueueMessageOn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		sent := send(t.Context(), b, jobs, "a")
		wantNext(t, s, "[a]")
		s.Close()
		pending(t, "the sender", sent)
		other := subscribe(t, b, jobs, SubscribeOptions{})
		wantNext(t, other, "[a]")
		third := receives(t.Context(), b, jobs)
		synctest.Wait()
		other.Close()
		want(t, "the third", third, "a", nil)
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestAFollowerServesTheWholeLineOfProducers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var sent []<-chan error
		var all strings.Builder
		for i := range 10 {
			sent = append(sent, send(t.Context(), b, jobs, fmt.Sprint(i)))
			synctest.Wait()
			fmt.Fprintf(&all, "[%d]", i)
		}
		s := subscribe(t, b, jobs, SubscribeOptions{})
		got := follows(t, s)
		for _, c := range sent {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		synctest.Wait()
		s.Close()
		want(t, "the follower", got, all.String(), errLeft)
	})
}

func TestAServedFollowerGoesToTheBackOfTheLine(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		first := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		synctest.Wait()
		second := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		synctest.Wait()
		one := receives(t.Context(), b, jobs)
		synctest.Wait()
		for _, m := range []string{"1", "2", "3", "4", "5", "", ""} {
			if err := b.Send(t.Context(), jobs, msg(m)); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		want(t, "the first", first, "[1][4][]", io.EOF)
		want(t, "the second", second, "[2][5][]", io.EOF)
		want(t, "the Receive", one, "3", nil)
	})
}

func TestOnlyAnIdleFollowerIsGivenAQueueMessage(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		p := publish(t, b, jobs, PublishOptions{})
		say(t, p, "news", 1)
		sent := send(t.Context(), b, jobs, "a")
		pending(t, "the sender", sent)
		wantNext(t, s, "[news]") // is being written
		want(t, "a Receive that came later", receives(t.Context(), b, jobs), "a", nil)
		if err := <-sent; err != nil {
			t.Error(err)
		}
		sent = send(t.Context(), b, jobs, "b")
		pending(t, "the sender", sent)
		wantNext(t, s, "[b]") // came while it was busy
		s.Close()
		want(t, "the next", receives(t.Context(), b, jobs), "b", nil)
		<-sent
		p.Close()
	})
}

func TestAGhostInAFollowersHandsLeavesNoTrace(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		p := publish(t, b, jobs, PublishOptions{})
		got := awaits(t, s)
		body := newEndless("")
		ghost := later(func() error { return b.Send(t.Context(), jobs, body.message()) })
		pending(t, "Next with a silent message", got)
		next := send(t.Context(), b, jobs, "a")
		pending(t, "the next sender", next)
		say(t, p, "news", 1)
		want(t, "it", got, "[news]", nil)
		body.stop() // the producer dies while news are being written
		if err := <-ghost; err != errBody {
			t.Error(err)
		}
		say(t, p, "more", 1) // in the same batch as the ghost's end
		wantNext(t, s, "[more]")
		wantNext(t, s, "[a]")
		awaits(t, s)
		if err := <-next; err != nil {
			t.Error(err)
		}
		s.Close()
		p.Close()
	})
}

func TestAFollowerSeesAQueueMessageCut(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		body := newEndless("half")
		sent := later(func() error { return b.Send(t.Context(), jobs, body.message()) })
		wantNext(t, s, "[half")
		body.stop()
		wantNext(t, s, "!")
		awaits(t, s)
		if err := <-sent; err != errBody {
			t.Error(err)
		}
		s.Close()
	})
}

func TestALongQueueMessageReachesAFollowerWhole(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		long := strings.Repeat("0123456789", 100_000)
		s := subscribe(t, b, jobs, SubscribeOptions{})
		got := follows(t, s)
		if err := b.Send(t.Context(), jobs, msg(long)); err != nil {
			t.Error(err)
		}
		b.Send(t.Context(), jobs, Message{})
		want(t, "it", got, "["+long+"][]", io.EOF)
		if st := b.Stats(); st.Bytes != uint64(len(long)) {
			t.Errorf("%+v", st)
		}
	})
}

func TestCloseFromAnotherGoroutineWakesNext(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		got := awaits(t, s)
		s.Close()
		if r := <-got; r.err == nil {
			t.Errorf("%+v", r)
		}
	})
}

func TestNextThatIsCancelledKeepsWhatWasGivenToItForTheOthers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for range 200 { // whichever of the two comes first
			ctx, cancel := context.WithCancel(t.Context())
			s := subscribe(t, b, jobs, SubscribeOptions{})
			got := later(func() error { _, err := s.Next(ctx); s.Close(); return err })
			synctest.Wait()
			go cancel()
			sent := send(t.Context(), b, jobs, "a")
			<-got
			want(t, "the next", receives(t.Context(), b, jobs), "a", nil)
			if err := <-sent; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestEventsOfOneNextAreAboutOneWrite(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{})
		for range 100 {
			p.Write(t.Context(), bytes.Repeat([]byte("x"), 5000))
		}
		for left := 100 * 5000; left > 0; {
			events, err := s.Next(t.Context())
			size := 0
			for _, e := range events {
				size += len(e.Data)
			}
			if left -= size; err != nil || size > batchBytes+5000 || size < min(batchBytes, left) {
				t.Fatal(size, err)
			}
		}
		p.Close()
		s.Close()
	})
}

func TestWrittenAcknowledgesWithoutAskingForMore(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		first := send(t.Context(), b, jobs, "a")
		wantNext(t, s, "[a]")
		second := send(t.Context(), b, jobs, "b")
		s.Written()
		if err := <-first; err != nil {
			t.Errorf("the first: %v", err)
		}
		synctest.Wait()
		s.Close()
		next := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		wantNext(t, next, "[b]")
		next.Written()
		if err := <-second; err != nil {
			t.Errorf("the second: %v", err)
		}
		next.Close()
	})
}

package broker

import (
	"context"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fill publishes chunks of 1 KiB until the publisher is held back.
func fill(t *testing.T, p *Publisher) <-chan error {
	t.Helper()
	c := later(func() error {
		for range 1000 {
			if err := p.Write(t.Context(), make([]byte, 1024)); err != nil {
				return err
			}
		}
		return nil
	})
	pending(t, "a publisher of a full subscription", c)
	return c
}

func TestAMailboxIsBoundedInBytesOfMemory(t *testing.T) {
	for _, size := range []int{0, 1, 64, 100, 1024, chunkBytes} {
		bubble(t, Options{Mailbox: 200_000}, func(t *testing.T, b *Broker) {
			s := subscribe(t, b, jobs, SubscribeOptions{})
			small := subscribe(t, b, jobs, SubscribeOptions{Mailbox: 10_000})
			p := publish(t, b, jobs, PublishOptions{})
			for range 3000 {
				p.Message(t.Context(), nil, make([]byte, size))
			}
			for _, s := range []*Subscription{s, small} {
				bytes := 0
				for _, c := range s.box.ring {
					if c != nil {
						bytes += cap(c.data) + chunkCost
					}
				}
				if bytes != s.box.bytes || bytes > s.box.limit && s.box.n > 1 || s.box.n == 0 {
					t.Errorf("chunks of %d: %d bytes in %d chunks, booked %d, limit %d", size, bytes, s.box.n, s.box.bytes, s.box.limit)
				}
			}
			if want := uint64(6000 - s.box.n - small.box.n); b.Stats().Dropped != want {
				t.Errorf("%d dropped, want %d", b.Stats().Dropped, want)
			}
			p.Close()
			s.Close()
			small.Close()
		})
	}
}

func TestAPublisherThatDoesNotWaitSkipsTheFullOneAndOthersGetAll(t *testing.T) {
	bubble(t, Options{Mailbox: 2000}, func(t *testing.T, b *Broker) {
		slow := subscribe(t, b, jobs, SubscribeOptions{})
		quick := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		p := publish(t, b, jobs, PublishOptions{})
		text := strings.Repeat("x", 1000)
		say(t, p, text, 2)
		synctest.Wait()
		say(t, p, text, 1)
		synctest.Wait()
		say(t, p, text, 1)
		p.Close()
		want(t, "the quick one", quick, strings.Repeat("["+text+"]", 3), io.EOF)
		want(t, "the slow one", later(func() result { return follow(t.Context(), slow) }), "["+text+"]", io.EOF)
		if st := b.Stats(); st.Dropped != 2 || st.Evicted != 0 || st.Delivered != 4 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAMessageThatBeganInAFullMailboxHasAnEnd(t *testing.T) {
	bubble(t, Options{Mailbox: 1}, func(t *testing.T, b *Broker) {
		for last, end := range map[string]string{"": "[a]", "b": "[a!"} { // clean when nothing but the end was due
			s := subscribe(t, b, jobs, SubscribeOptions{})
			p := publish(t, b, jobs, PublishOptions{})
			p.Write(t.Context(), []byte("a"))
			if err := p.write(t.Context(), []byte(last), true); err != nil {
				t.Error(err)
			}
			p.ended()
			say(t, p, "missed from its first byte", 0)
			p.Close()
			wantNext(t, s, end)
			wantEnd(t, s, io.EOF)
			s.Close()
		}
	})
}

func TestAReceiveThatMissesAPartIsCutOff(t *testing.T) {
	bubble(t, Options{Mailbox: 2000}, func(t *testing.T, b *Broker) {
		got := later(func() *Delivery { d, _ := b.Receive(t.Context(), jobs); return d })
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{})
		p.Begin(Header{"A": {"b"}}, -1)
		for range 3 { // before the receiver runs
			p.Write(t.Context(), make([]byte, 1000))
		}
		if n, _ := p.End(t.Context()); n != 0 {
			t.Errorf("whole for %d", n)
		}
		d := <-got
		if d.Info == nil || d.Info.Header["A"][0] != "b" {
			t.Fatalf("a delivery without its Info: %+v", d.Info)
		}
		if _, err := read(t.Context(), d); err != ErrSlow {
			t.Error(err)
		}
		p.Close()
		if st := b.Stats(); st.Dropped != 1 || st.Evicted != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAStalledSubscriptionIsCutOffAndToldOnce(t *testing.T) {
	bubble(t, Options{Mailbox: 70_000, Stall: time.Minute}, func(t *testing.T, b *Broker) {
		told := make(chan error, 2)
		slow := subscribe(t, b, jobs, SubscribeOptions{OnCut: func(err error) { told <- err }})
		quick := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		start := time.Now()
		written, leave := make(chan struct{}), make(chan struct{})
		text := strings.Repeat("x", 150_000)
		for range 2 { // both are held back; it is cut off once
			go func() {
				p, _ := b.Publish(jobs, PublishOptions{Wait: true})
				say(t, p, text, 1)
				p.Drain(t.Context())
				written <- struct{}{}
				<-leave
				p.Close()
			}()
		}
		<-written
		<-written
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it held them back for %v", took)
		}
		close(leave)
		if err := <-told; err != ErrSlow || len(told) != 0 {
			t.Errorf("told %v, and %d more", err, len(told))
		}
		wantEnd(t, slow, ErrSlow)
		wantEnd(t, slow, ErrSlow)
		slow.Close()
		if r := <-quick; strings.Count(r.s, "x") != 300_000 || r.err != io.EOF {
			t.Errorf("the quick one got %d bytes, %v", len(r.s), r.err)
		}
		if st := b.Stats(); st.Evicted != 1 || st.Dropped != 0 || st.Held == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAReceiverThatTakesALittleIsNotCutOff(t *testing.T) {
	bubble(t, Options{Mailbox: 3000, Stall: time.Minute}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		written := fill(t, p)
		s.Next(t.Context())
		for range 3 {
			<-time.After(59 * time.Second)
			if _, err := s.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
			pending(t, "the publisher", written)
		}
		go follow(t.Context(), s)
		if err := <-written; err != nil {
			t.Error(err)
		}
		p.End(t.Context())
		p.Drain(t.Context())
		p.Close()
		if st := b.Stats(); st.Evicted != 0 || st.Held == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestManyStalledReceiversHoldAPublisherBackForOneStallLimit(t *testing.T) {
	for what, wait := range map[string]func(*testing.T, *Publisher){
		"write": func(t *testing.T, p *Publisher) { p.Write(t.Context(), make([]byte, 1000)) },
		"drain": func(t *testing.T, p *Publisher) {},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, Options{Mailbox: 1, Stall: time.Minute}, func(t *testing.T, b *Broker) {
				var subs []*Subscription
				told := 0
				for range 50 {
					subs = append(subs, subscribe(t, b, jobs, SubscribeOptions{OnCut: func(error) { told++ }}))
				}
				quick := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
				synctest.Wait()
				p := publish(t, b, jobs, PublishOptions{Wait: true})
				start := time.Now()
				p.Write(t.Context(), []byte("x"))
				wait(t, p)
				p.Drain(t.Context())
				if took := time.Since(start); took != time.Minute {
					t.Errorf("50 stalled receivers held it back for %v", took)
				}
				for _, s := range subs {
					wantEnd(t, s, ErrSlow)
					s.Close()
				}
				p.Abort()
				p.Close()
				if r := <-quick; !strings.HasPrefix(r.s, "[x") || r.err != io.EOF {
					t.Error(r)
				}
				if st := b.Stats(); st.Evicted != 50 || told != 50 {
					t.Errorf("%d told, %+v", told, st)
				}
			})
		})
	}
}

func TestAStalledReceiveIsCutOff(t *testing.T) {
	bubble(t, Options{Mailbox: 2000, Stall: time.Minute}, func(t *testing.T, b *Broker) {
		got := later(func() *Delivery { d, _ := b.Receive(t.Context(), jobs); return d })
		quick := receives(t.Context(), b, jobs)
		synctest.Wait()
		p := publish(t, b, jobs, PublishOptions{Wait: true})
		say(t, p, strings.Repeat("x", 100_000), 1)
		d := <-got
		if _, err := read(t.Context(), d); err != ErrSlow {
			t.Error(err)
		}
		want(t, "the other", quick, strings.Repeat("x", 100_000), nil)
		p.Close()
		if st := b.Stats(); st.Evicted != 1 {
			t.Errorf("%+v", st)
		}
	})
}

func TestWhatACutOffReceiverStillWritesIsNotReused(t *testing.T) {
	bubble(t, Options{Mailbox: 1, Stall: time.Minute}, func(t *testing.T, b *Broker) {
		for _, leave := range []func(*Subscription){
			func(s *Subscription) {},
			func(s *Subscription) { s.Close() }, // from another goroutine
		} {
			s := subscribe(t, b, jobs, SubscribeOptions{})
			keep := subscribe(t, b, name("public/other"), SubscribeOptions{Mailbox: 1 << 20, Stay: true})
			p := publish(t, b, jobs, PublishOptions{Wait: true})
			q := publish(t, b, name("public/other"), PublishOptions{})
			p.Write(t.Context(), []byte("mine"))
			events, _ := s.Next(t.Context())
			ctx, cancel := context.WithCancel(t.Context())
			written := later(func() error { return p.Write(ctx, []byte("x")) })
			synctest.Wait()
			<-time.After(2 * time.Minute) // cut off
			leave(s)
			cancel()
			if err := <-written; err != context.Canceled {
				t.Error(err)
			}
			p.Close()
			for range 100 {
				say(t, q, "theirs", 1)
			}
			if got := string(events[0].Data); got != "mine" {
				t.Errorf("a receiver that was writing %q saw %q", "mine", got)
			}
			s.Close()
			q.Close()
			keep.Close()
		}
	})
}

func TestABufferThatWasLetGoIsUsedAgain(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s := subscribe(t, b, jobs, SubscribeOptions{Stay: true})
		p := publish(t, b, jobs, PublishOptions{})
		say(t, p, "old", 1)
		events, _ := s.Next(t.Context())
		data := events[0].Data
		awaits(t, s)
		if string(data) != "###" {
			t.Errorf("the test does not see what it should: %q", data)
		}
		s.Close()
		p.Close()
	})
}

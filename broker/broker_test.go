package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func name(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

var jobs = name("public/jobs")

func msg(s string) Message {
	return Message{Size: int64(len(s)), Body: strings.NewReader(s)}
}

// bubble runs f in a bubble of fake time, on a broker that must be empty when f
// and everything it started is done.
func bubble(t *testing.T, o Options, f func(t *testing.T, b *Broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := New(o)
		f(t, b)
		synctest.Wait()
		empty(t, b)
	})
}

func empty(t *testing.T, b *Broker) {
	t.Helper()
	s := b.Stats()
	if s.Channels+s.Producers+s.Consumers+s.Subscribers+s.Publishers+s.Transfers+s.Calls != 0 {
		t.Errorf("somebody is still there after all are gone: %+v", s)
	}
}

// read takes a delivery to its end and acknowledges it.
func read(ctx context.Context, d *Delivery) (string, error) {
	var all bytes.Buffer
	for {
		data, err := d.Next(ctx)
		all.Write(data)
		if err == io.EOF {
			d.Done(nil)
			return all.String(), nil
		}
		if err != nil {
			d.Done(err)
			return all.String(), err
		}
	}
}

func receive(ctx context.Context, b *Broker, n Name) (string, error) {
	d, err := b.Receive(ctx, n)
	if err != nil {
		return "", err
	}
	return read(ctx, d)
}

// later runs f in a goroutine and returns where its result arrives.
func later[T any](f func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- f() }()
	return c
}

func send(ctx context.Context, b *Broker, n Name, s string) <-chan error {
	return later(func() error { return b.Send(ctx, n, msg(s)) })
}

type result struct {
	s   string
	err error
}

func receives(ctx context.Context, b *Broker, n Name) <-chan result {
	return later(func() result {
		s, err := receive(ctx, b, n)
		return result{s, err}
	})
}

func pending[T any](t *testing.T, what string, c <-chan T) {
	t.Helper()
	synctest.Wait()
	select {
	case v := <-c:
		t.Fatalf("%s is over (%v) and should wait", what, v)
	default:
	}
}

func TestEitherSideMayComeFirst(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		sent := send(t.Context(), b, jobs, "a")
		pending(t, "the sender", sent)
		if got, err := receive(t.Context(), b, jobs); got != "a" || err != nil {
			t.Fatalf("received %q, %v", got, err)
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
		got := receives(t.Context(), b, jobs)
		pending(t, "the receiver", got)
		if err := b.Send(t.Context(), jobs, msg("b")); err != nil {
			t.Fatal(err)
		}
		if r := <-got; r.s != "b" || r.err != nil {
			t.Fatalf("received %+v", r)
		}
	})
}

func TestMatchingIsFirstComeFirstServedOnBothSides(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for i := range 5 {
			send(t.Context(), b, jobs, fmt.Sprint(i))
			synctest.Wait()
		}
		for i := range 5 {
			if got, _ := receive(t.Context(), b, jobs); got != fmt.Sprint(i) {
				t.Errorf("receiver %d got %q", i, got)
			}
		}
		var got [5]<-chan result
		for i := range got {
			got[i] = receives(t.Context(), b, jobs)
			synctest.Wait()
		}
		for i := range got {
			if err := b.Send(t.Context(), jobs, msg(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		}
		for i := range got {
			if r := <-got[i]; r.s != fmt.Sprint(i) {
				t.Errorf("receiver %d got %+v", i, r)
			}
		}
	})
}

func TestACancelledWaiterIsNeverMatched(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		ctx, cancel := context.WithCancelCause(t.Context())
		sent := send(ctx, b, jobs, "lost")
		got := receives(ctx, b, name("public/other"))
		synctest.Wait()
		cancel(ErrTimeout)
		if err := <-sent; err != ErrTimeout {
			t.Errorf("send: %v", err)
		}
		if r := <-got; r.err != ErrTimeout {
			t.Errorf("receive: %v", r.err)
		}
		r := receives(t.Context(), b, jobs)
		pending(t, "the receiver of a withdrawn message", r)
		b.Send(t.Context(), jobs, msg("next"))
		if got := <-r; got.s != "next" {
			t.Errorf("got %+v", got)
		}
		if b.Stats().Withdrawn != 1 {
			t.Errorf("withdrawn is not counted: %+v", b.Stats())
		}
	})
}

func TestSendSucceedsOnlyAfterTheReceiverSaysSo(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		sent := send(t.Context(), b, jobs, "a")
		d, err := b.Receive(t.Context(), jobs)
		if err != nil {
			t.Fatal(err)
		}
		d.Next(t.Context())
		if _, err := d.Next(t.Context()); err != io.EOF {
			t.Fatal(err)
		}
		pending(t, "the sender before Done", sent)
		d.Done(nil)
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	})
}

func TestAMessageThatIsKeptGoesToTheNextReceiverFromItsStart(t *testing.T) {
	bubble(t, Options{Replay: 10}, func(t *testing.T, b *Broker) {
		first := send(t.Context(), b, jobs, "0123456789")
		synctest.Wait()
		second := send(t.Context(), b, jobs, "second")
		synctest.Wait()
		d, _ := b.Receive(t.Context(), jobs)
		d.Next(t.Context())
		d.Done(errors.New("gone"))
		pending(t, "the sender whose receiver left", first)
		if got, err := receive(t.Context(), b, jobs); got != "0123456789" || err != nil {
			t.Fatalf("the next receiver got %q, %v: it should be the first message, whole", got, err)
		}
		if err := <-first; err != nil {
			t.Fatal(err)
		}
		receive(t.Context(), b, jobs)
		<-second
		if s := b.Stats(); s.Redelivered != 1 || s.Delivered != 2 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAMessageTooLongToKeepFailsWithTheBytesHandedOver(t *testing.T) {
	bubble(t, Options{Replay: 10}, func(t *testing.T, b *Broker) {
		sent := send(t.Context(), b, jobs, strings.Repeat("x", 10+3*blockSize))
		d, _ := b.Receive(t.Context(), jobs)
		for range 3 { // 10, a block, a block that is never acknowledged
			if _, err := d.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		d.Done(errors.New("gone"))
		var partial *PartialError
		if err := <-sent; !errors.As(err, &partial) || partial.Bytes != 10+blockSize {
			t.Fatalf("got %v", err)
		}
		if partial.Unwrap().Error() != "gone" || partial.Error() != "the consumer went away after 131082 bytes" {
			t.Errorf("%v, %v", partial, partial.Unwrap())
		}
	})
}

func TestALongMessageOfWhichLittleWasTakenIsStillKept(t *testing.T) {
	bubble(t, Options{Replay: 10}, func(t *testing.T, b *Broker) {
		long := strings.Repeat("0123456789", blockSize)
		sent := send(t.Context(), b, jobs, long)
		d, _ := b.Receive(t.Context(), jobs)
		d.Next(t.Context())
		d.Done(errors.New("gone"))
		if got, _ := receive(t.Context(), b, jobs); got != long {
			t.Errorf("got %d bytes of %d", len(got), len(long))
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

// broken is a body that fails after its text.
type broken struct{ io.Reader }

var errBody = errors.New("client gone")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = errBody
	}
	return n, err
}

func TestAProducerThatDiesBeforeItsFirstByteLeavesNoGhost(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := receives(t.Context(), b, jobs)
		synctest.Wait()
		second := receives(t.Context(), b, jobs)
		synctest.Wait()
		if err := b.Send(t.Context(), jobs, Message{Size: 5, Body: broken{strings.NewReader("")}}); err != errBody {
			t.Fatal(err)
		}
		pending(t, "a receiver of a dead producer", got)
		b.Send(t.Context(), jobs, msg("alive"))
		if r := <-got; r.s != "alive" {
			t.Errorf("the first in line lost its place: %+v", r)
		}
		b.Send(t.Context(), jobs, msg("too"))
		<-second
	})
}

func TestAProducerThatDiesInMidMessageCutsItsReceiver(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := receives(t.Context(), b, jobs)
		if err := b.Send(t.Context(), jobs, Message{Size: 5, Body: broken{strings.NewReader("hal")}}); err != errBody {
			t.Fatal(err)
		}
		if r := <-got; r.err != ErrCut || r.s != "hal" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestAReceiverThatLeavesASilentProducerHandsItOnAtOnce(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		r, w := io.Pipe()
		sent := later(func() error { return b.Send(t.Context(), jobs, Message{Size: -1, Body: r}) })
		ctx, cancel := context.WithCancel(t.Context())
		first := receives(ctx, b, jobs)
		w.Write([]byte("be"))
		synctest.Wait()
		second := receives(t.Context(), b, jobs)
		synctest.Wait()
		cancel()
		if got := <-first; got.s != "be" || got.err == nil {
			t.Errorf("%+v", got)
		}
		w.Write([]byte("gin"))
		w.Close()
		if got := <-second; got.s != "begin" || got.err != nil {
			t.Errorf("%+v", got)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
	})
}

func TestAMessageOfAnySizeTakesTheSameMemory(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		const size = 256 << 20
		sent := later(func() error {
			return b.Send(t.Context(), jobs, Message{Size: size, Body: io.LimitReader(zeros{}, size)})
		})
		d, err := b.Receive(t.Context(), jobs)
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		var most int
		for {
			data, err := d.Next(t.Context())
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			total += len(data)
			d.offer.mu.Lock()
			most = max(most, len(d.offer.ready))
			d.offer.mu.Unlock()
		}
		d.Done(nil)
		if err := <-sent; err != nil || total != size || most > blocks {
			t.Errorf("%v, %d bytes, %d blocks", err, total, most)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestCloseTellsWhoeverWaitsAndLetsTransfersFinish(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		body, w := io.Pipe()
		sent := later(func() error { return b.Send(t.Context(), jobs, Message{Size: -1, Body: body}) })
		got := receives(t.Context(), b, jobs)
		w.Write([]byte("un"))
		waitingSend := send(t.Context(), b, name("public/x"), "x")
		waitingReceive := receives(t.Context(), b, name("public/y"))
		sub, _ := b.Subscribe(name("public/z"), SubscribeOptions{Stay: true})
		next := later(func() error { _, err := sub.Next(t.Context()); return err })
		pub, _ := b.Publish(name("public/w"), PublishOptions{Wait: true})
		ready := later(func() error { return pub.Ready(t.Context()) })
		synctest.Wait()
		b.Close()
		b.Close()
		<-b.Closed()
		for what, c := range map[string]<-chan error{"send": waitingSend, "next": next, "ready": ready} {
			if err := <-c; err != ErrClosed {
				t.Errorf("%s: %v", what, err)
			}
		}
		if r := <-waitingReceive; r.err != ErrClosed {
			t.Errorf("receive: %v", r.err)
		}
		sub.Close()
		pub.Close()
		w.Write([]byte("der way"))
		w.Close()
		if r := <-got; r.s != "under way" || r.err != nil {
			t.Errorf("the transfer under way: %+v", r)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		if err := b.Send(t.Context(), jobs, msg("late")); err != ErrClosed {
			t.Errorf("a late send: %v", err)
		}
	})
}

func TestDestroyEndsTheWaitersOfOneChannel(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		n := name("channels/v1/do_work")
		sent := send(t.Context(), b, n, "x")
		other := send(t.Context(), b, jobs, "kept")
		synctest.Wait()
		if !b.Destroy(n) || b.Destroy(name("channels/v1/none")) {
			t.Error("Destroy should tell whether there was anybody")
		}
		if err := <-sent; err != ErrDestroyed {
			t.Error(err)
		}
		got := receives(t.Context(), b, n)
		synctest.Wait()
		b.Destroy(n)
		if r := <-got; r.err != ErrDestroyed {
			t.Error(r.err)
		}
		receive(t.Context(), b, jobs)
		<-other
	})
}

func TestPeekCountsAndTakesNothing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		send(t.Context(), b, jobs, "1")
		send(t.Context(), b, jobs, "2")
		synctest.Wait()
		if c := b.Peek(jobs); c != (Counts{Producers: 2, Waiting: 2}) {
			t.Errorf("%+v", c)
		}
		receive(t.Context(), b, jobs)
		receive(t.Context(), b, jobs)
		got := receives(t.Context(), b, jobs)
		sub, _ := b.Subscribe(jobs, SubscribeOptions{})
		synctest.Wait()
		if c := b.Peek(jobs); c != (Counts{Consumers: 1, Subscribers: 1}) {
			t.Errorf("%+v", c)
		}
		sub.Close()
		b.Send(t.Context(), jobs, msg("end"))
		<-got
	})
}

package broker

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

func TestRoundRobinServesFollowersInTurn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var got [3]<-chan result
		for i := range got {
			got[i] = follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		}
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true})
		for i := range 7 {
			say(t, p, fmt.Sprint(i), 1)
			synctest.Wait()
		}
		p.Close()
		want(t, "0", got[0], "[0][3][6]", io.EOF)
		want(t, "1", got[1], "[1][4]", io.EOF)
		want(t, "2", got[2], "[2][5]", io.EOF)
	})
}

func TestRoundRobinSkipsFullFollowers(t *testing.T) {
	bubble(t, Options{Mailbox: 10_000}, func(t *testing.T, b *Broker) {
		full := subscribe(t, b, jobs, SubscribeOptions{})
		got := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true})
		text := strings.Repeat("x", 8000)
		for range 9 {
			say(t, p, text, 1)
			synctest.Wait()
		}
		p.Close()
		want(t, "the one with room", got, strings.Repeat("["+text+"]", 8), io.EOF)
		wantNext(t, full, "["+text+"]")
		full.Close()
		if st := b.Stats(); st.Dropped != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestRoundRobinWithoutAReceiverDropsOrWaits(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true})
		say(t, p, "lost", 0)
		p.Close()
		p = publish(t, b, jobs, PublishOptions{RoundRobin: true, Wait: true})
		done := later(func() error { say(t, p, "kept", 1); return p.Drain(t.Context()) })
		pending(t, "the publisher", done)
		want(t, "a Receive", receives(t.Context(), b, jobs), "kept", nil)
		<-done
		p.Close()
	})
}

func TestRoundRobinOrphansOfAFollowerThatLeftGoToOthers(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		leaves := subscribe(t, b, jobs, SubscribeOptions{})
		stays := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true, Wait: true})
		for _, m := range []string{"a", "b", "c", "d"} {
			say(t, p, m, 1)
		}
		leaves.Close() // with a and c
		got := follows(t, stays)
		say(t, p, "e", 1)
		if err := p.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		p.Close()
		want(t, "the one that stays", got, "[b][d][a][c][e]", io.EOF)
	})
}

func TestRoundRobinKeepsTheChunksOfAMessageTogether(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		leaves := subscribe(t, b, jobs, SubscribeOptions{})
		x, y := subscribe(t, b, jobs, SubscribeOptions{}), subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true, Wait: true})
		for _, part := range []string{"1", "2", "3"} {
			p.Write(t.Context(), []byte(part))
		}
		leaves.Close() // in mid-message, with nothing taken
		p.Write(t.Context(), []byte("4"))
		if n, err := p.End(t.Context()); n != 1 || err != nil {
			t.Error(n, err)
		}
		say(t, p, "next", 1)
		gotX, gotY := follows(t, x), follows(t, y)
		p.Drain(t.Context())
		p.Close()
		want(t, "the next in turn", gotX, "[1234]", io.EOF)
		want(t, "the one after", gotY, "[next]", io.EOF)
	})
}

func TestRoundRobinOrphansGoToAReceiveToo(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		leaves := subscribe(t, b, jobs, SubscribeOptions{})
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true, Wait: true})
		say(t, p, "a", 1)
		p.Write(t.Context(), []byte("b"))
		leaves.Close()
		done := later(func() error {
			p.Write(t.Context(), []byte("b"))
			p.End(t.Context())
			return p.Drain(t.Context())
		})
		pending(t, "the publisher", done)
		want(t, "the first Receive", receives(t.Context(), b, jobs), "a", nil)
		pending(t, "the publisher", done)
		want(t, "the second Receive", receives(t.Context(), b, jobs), "bb", nil)
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.Close()
	})
}

func TestRoundRobinKeepsLittleWhileOneFollowerIsStuck(t *testing.T) {
	bubble(t, Options{Mailbox: 5000}, func(t *testing.T, b *Broker) {
		stuck := subscribe(t, b, jobs, SubscribeOptions{})
		got := follows(t, subscribe(t, b, jobs, SubscribeOptions{}))
		p := publish(t, b, jobs, PublishOptions{RoundRobin: true, Wait: true})
		for range 2000 {
			say(t, p, "some text", 1)
			synctest.Wait()
		}
		if n := len(p.pending.all()); n > 100 {
			t.Errorf("%d chunks are kept", n)
		}
		go follow(t.Context(), stuck)
		p.Drain(t.Context())
		p.Close()
		<-got
	})
}

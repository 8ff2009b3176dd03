package broker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	alice = Identity{User: "alice", Key: "SHA256:a"}
	bob   = Identity{User: "key-bob", Key: "SHA256:b"}
	eve   = Identity{User: "key-eve", Key: "SHA256:e"}
)

func TestAnAccessListLetsInItsOpenerAndThoseItNamesWhileTheyStay(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		for _, list := range [][]string{{"key-bob"}, {"SHA256:b"}} {
			n := name("public/t")
			sub, err := b.Subscribe(n, SubscribeOptions{As: alice, Access: list})
			if err != nil {
				t.Fatal(err)
			}
			if got := b.AccessOf(n); !slices.Equal(got, list) {
				t.Errorf("the list is %v", got)
			}
			for id, in := range map[Identity]bool{alice: true, bob: true, eve: false, {}: false} {
				if guarded, admitted := b.Admits(n, id); !guarded || admitted != in {
					t.Errorf("%v: %v %v", id, guarded, admitted)
				}
				p, err := b.Publish(n, PublishOptions{As: id})
				if (err == nil) != in || err != nil && !errors.Is(err, ErrDenied) {
					t.Errorf("%v: %v", id, err)
				}
				if err == nil {
					p.Close()
				}
			}
			if err := b.Send(As(t.Context(), eve), n, msg("x")); err != ErrDenied {
				t.Errorf("eve's send: %v", err)
			}
			if _, err := b.Receive(t.Context(), n); err != ErrDenied {
				t.Errorf("a receive without credentials: %v", err)
			}
			if err := b.Answer(As(t.Context(), eve), n, "", msg("x")); err != ErrDenied {
				t.Errorf("eve's answer: %v", err)
			}
			sub.Close()
			if guarded, _ := b.Admits(n, eve); guarded {
				t.Error("the list outlived its opener")
			}
		}
	})
}

func TestAnAccessListWithHTTPLetsRequestsWithoutCredentialsIn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		sub, _ := b.Subscribe(jobs, SubscribeOptions{As: alice, Access: []string{AccessWeb}})
		if _, in := b.Admits(jobs, Identity{}); !in {
			t.Error("not let in")
		}
		if _, in := b.Admits(jobs, eve); in {
			t.Error("a key that is not named is let in")
		}
		sub.Close()
	})
}

func TestAnAccessListIsRefusedWhereSomebodyIsWhomItDoesNotLetIn(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		got := receives(As(t.Context(), eve), b, jobs)
		synctest.Wait()
		if _, err := b.Publish(jobs, PublishOptions{As: alice, Access: []string{"key-bob"}}); err != ErrTaken {
			t.Errorf("over a waiting stranger: %v", err)
		}
		p, err := b.Publish(jobs, PublishOptions{As: alice, Access: []string{"key-eve"}})
		if err != nil {
			t.Errorf("over one it names: %v", err)
		}
		if _, err := b.Subscribe(jobs, SubscribeOptions{As: eve, Access: []string{"key-mallory"}}); err != ErrTaken {
			t.Errorf("a second list by another: %v", err)
		}
		if _, err := p.Message(t.Context(), nil, []byte("hi")); err != nil {
			t.Error(err)
		}
		p.Close()
		if r := <-got; r.s != "hi" {
			t.Errorf("%+v", r)
		}
	})
}

func TestAPublicPatternMatchesNoTopicWithAnAccessList(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		p, _ := ParsePattern("public/*")
		wild, _ := b.SubscribeMatch(p, func(Name) bool { return true }, SubscribeOptions{As: eve, Stay: true})
		on := func() int { return b.Peek(jobs).Subscribers }
		guarded, _ := b.Subscribe(jobs, SubscribeOptions{As: alice, Access: []string{"key-bob"}})
		if on() != 1 {
			t.Errorf("%d subscribers, the pattern should be off", on())
		}
		late, _ := b.SubscribeMatch(p, func(Name) bool { return true }, SubscribeOptions{As: eve, Stay: true})
		if on() != 1 {
			t.Errorf("%d subscribers after a late pattern", on())
		}
		stays, _ := b.Subscribe(jobs, SubscribeOptions{As: bob})
		guarded.Close()
		if on() != 3 {
			t.Errorf("%d subscribers, want bob and both patterns once the list is gone", on())
		}
		stays.Close()
		wild.Close()
		late.Close()
	})
}

func TestAnAccessListIsReadAsItIsWritten(t *testing.T) {
	const print = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
	list, err := ParseAccess("bob, key-abc," + print + ",pico,http,bob")
	if want := []string{"bob", "key-abc", print, AccessWeb}; err != nil || !slices.Equal(list, want) {
		t.Errorf("%v, %v", list, err)
	}
	for _, bad := range []string{"", "bob,", "Bob", "a/b", "SHA256:short", "public", strings.Repeat("a,b,", 1) + "*"} {
		if list, err := ParseAccess(bad); err == nil {
			t.Errorf("%q was read as %v", bad, list)
		}
	}
}

func TestAPipeDoesNotReceiveItsOwnQueueMessage(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		n := name("public/queue/x")
		own, _ := b.Subscribe(n, SubscribeOptions{Stay: true, Pipe: true})
		events := later(func() error { _, err := own.Next(t.Context()); return err })
		synctest.Wait()
		m := msg("mine")
		m.Pipe = own
		sent := later(func() error { return b.Send(t.Context(), n, m) })
		pending(t, "the pipe", events)
		pending(t, "the sender", sent)
		if got, err := receive(t.Context(), b, n); got != "mine" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := <-sent; err != nil {
			t.Error(err)
		}
		own.Close()
		<-events
	})
}

func TestGuestsAreShownOutWhenTheAccessListGoes(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		n := name("alice/t")
		guest := bob
		guest.Guest = true
		owner, err := b.Publish(n, PublishOptions{As: alice, Access: []string{"key-bob"}})
		if err != nil {
			t.Fatal(err)
		}
		sub, _ := b.Subscribe(n, SubscribeOptions{As: guest, Stay: true})
		next := later(func() error { _, err := sub.Next(t.Context()); return err })
		wants := receives(As(t.Context(), guest), b, n)
		pub, _ := b.Publish(n, PublishOptions{As: guest})
		own, _ := b.Subscribe(n, SubscribeOptions{As: alice, Stay: true})
		synctest.Wait()
		owner.Close()
		if err := <-next; err != ErrDenied {
			t.Errorf("the guest's subscription: %v", err)
		}
		if r := <-wants; r.err != ErrDenied {
			t.Errorf("the guest's receive: %v", r.err)
		}
		if _, err := pub.Message(t.Context(), nil, []byte("x")); err != ErrDenied {
			t.Errorf("the guest's message: %v", err)
		}
		if own.box.ended != nil {
			t.Error("the owner was shown out as well")
		}
		sub.Close()
		pub.Close()
		own.Close()
	})
}

func TestAWatchSeesUseAndNobodySeesTheWatch(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		seen := 0
		stop := b.Watch(jobs, func() { seen++ })
		if c := b.Peek(jobs); c != (Counts{}) {
			t.Errorf("%+v", c)
		}
		p, _ := b.Publish(jobs, PublishOptions{})
		p.Message(t.Context(), nil, []byte("x")) //nolint:errcheck // to nobody
		if seen != 1 {
			t.Errorf("a broadcast was seen %d times", seen)
		}
		got := receives(t.Context(), b, jobs)
		synctest.Wait()
		b.Send(t.Context(), jobs, msg("x")) //nolint:errcheck // received below
		<-got
		if seen != 2 {
			t.Errorf("seen %d times after a queue message", seen)
		}
		stop()
		stop()
		p.Message(t.Context(), nil, []byte("x")) //nolint:errcheck // to nobody
		p.Close()
		if seen != 2 || len(b.watches) != 0 {
			t.Errorf("seen %d times after the end, %d watches left", seen, len(b.watches))
		}
	})
}

package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

var carol = Identity{User: "key-carol", Key: "SHA256:c"}

// guestOf is somebody whom only an access list lets in.
func guestOf(id Identity) Identity {
	id.Guest = true
	return id
}

func TestAGuestDoesNotComeInWithoutAnAccessList(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		plans, api := name("alice/plans"), name("alice/res/api")
		as := As(t.Context(), guestOf(bob))
		_, subErr := b.Subscribe(plans, SubscribeOptions{As: guestOf(bob)})
		_, pubErr := b.Publish(plans, PublishOptions{As: guestOf(bob)})
		_, receiveErr := b.Receive(as, plans)
		_, callErr := b.Call(as, api.Request(), msg("q"))
		for what, err := range map[string]error{
			"subscribe": subErr, "publish": pubErr, "receive": receiveErr, "call": callErr,
			"send": b.Send(as, plans, msg("x")), "answer": b.Answer(as, api, "", msg("a")),
		} {
			if err != ErrDenied {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestAnAccessListIsAskedWhoeverAsks(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		api := name("alice/req/api")
		owner, err := b.Publish(api, PublishOptions{As: alice, Access: []string{"key-bob"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Call(As(t.Context(), carol), api, msg("q")); err != ErrDenied {
			t.Errorf("a stranger: %v", err)
		}
		got := asksFor(As(t.Context(), guestOf(bob)), b, api, "q")
		mine := asksFor(As(t.Context(), alice), b, api, "mine")
		synctest.Wait()
		owner.Close() // and with it the list
		if r := <-got; r.err != ErrDenied {
			t.Errorf("a guest when the list is gone: %+v", r)
		}
		if s, err := receive(t.Context(), b, name("alice/res/api")); s != "mine" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		if err := b.Answer(t.Context(), name("alice/res/api"), "", msg("a")); err != nil {
			t.Error(err)
		}
		if r := <-mine; r.s != "a" {
			t.Errorf("the owner's own: %+v", r)
		}
	})
}

// What is posted to a switch channel is received by who switched: it takes that
// one's rights there, and not the requester's.
func TestASwitchActsAsTheResponder(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		vault := name("public/vault")
		for _, c := range []struct {
			requester, responder Identity
			admitted             bool
		}{{alice, carol, false}, {carol, alice, true}, {guestOf(carol), alice, true}} {
			list, err := b.Publish(name("public/req/x"), PublishOptions{As: alice, Access: []string{"key-carol"}})
			if err != nil {
				t.Fatal(err)
			}
			guard, err := b.Publish(vault, PublishOptions{As: alice, Access: []string{"key-bob"}})
			if err != nil {
				t.Fatal(err)
			}
			got := asksFor(As(t.Context(), c.requester), b, name("public/req/x"), "q")
			d, err := b.Receive(As(t.Context(), c.responder), name("public/res/x"))
			if err != nil {
				t.Fatal(err)
			}
			for _, err := d.Next(t.Context()); err == nil; _, err = d.Next(t.Context()) {
			}
			d.Switch(vault, time.Minute)
			d.Done(nil)
			synctest.Wait()
			ctx, cancel := context.WithCancel(As(t.Context(), alice))
			sent := later(func() error { return b.Send(ctx, vault, msg("posted")) })
			r := <-got
			if c.admitted && r.s != "posted" || !c.admitted && r.err != ErrDenied {
				t.Errorf("asked by %s, switched by %s: %+v", c.requester.User, c.responder.User, r)
			}
			cancel()
			<-sent
			guard.Close()
			list.Close()
		}
	})
}

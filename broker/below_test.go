package broker

import (
	"context"
	"testing"
	"testing/synctest"
)

// asksFor runs a call to its end and returns the answer.
func asksFor(ctx context.Context, b *Broker, n Name, q string) <-chan result {
	return later(func() result {
		c, err := b.Call(ctx, n, msg(q))
		if err != nil {
			return result{"", err}
		}
		defer c.Close()
		sent := later(func() error { return c.Send(ctx) })
		d, err := c.Answer(ctx, 0, 0)
		if err != nil {
			return result{"", err}
		}
		s, err := read(ctx, d)
		c.Close()
		<-sent
		return result{s, err}
	})
}

// responds takes one request on n and answers it by its name.
func responds(t *testing.T, b *Broker, n Name) string {
	t.Helper()
	d, err := b.Receive(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	info := d.Info
	q, err := read(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Answer(t.Context(), n, info.Reply, msg("answer to "+q)); err != nil {
		t.Error(err)
	}
	return info.Channel.String()
}

func TestAResponderServesTheRequestsBelowItsNameWhicheverCameFirst(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		site, page := name("public/res/site"), name("public/req/site/a/index.html")
		asked := asksFor(t.Context(), b, page, "first")
		pending(t, "a request without a responder", asked)
		if ch := responds(t, b, site); ch != page.String() {
			t.Errorf("the request came on %s", ch)
		}
		if r := <-asked; r.s != "answer to first" || r.err != nil {
			t.Errorf("%+v", r)
		}
		done := later(func() string { return responds(t, b, site) })
		synctest.Wait()
		if r := <-asksFor(t.Context(), b, page, "second"); r.s != "answer to second" || r.err != nil {
			t.Errorf("%+v", r)
		}
		<-done
		if len(b.below) != 0 {
			t.Errorf("%d lines are left", len(b.below))
		}
	})
}

func TestTheNearestResponderIsServedAndTheOldestRequestFirst(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		page := name("public/req/site/a/index.html")
		got := make(chan string, 3)
		for _, n := range []string{"public/res/site", "public/res/site/a", "public/res/other"} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				d, err := b.Receive(ctx, name(n))
				if err != nil {
					return
				}
				read(ctx, d) //nolint:errcheck // only who gets it counts
				got <- n
			}()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		asked := asksFor(ctx, b, page, "q")
		if n := <-got; n != "public/res/site/a" {
			t.Errorf("%s got it", n)
		}
		cancel()
		<-asked
	})
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var asked []<-chan result
		for _, n := range []string{"public/req/s/x", "public/req/s", "public/req/s/y"} {
			asked = append(asked, asksFor(t.Context(), b, name(n), n))
			synctest.Wait()
		}
		for i := range asked {
			responds(t, b, name("public/res/s"))
			if r := <-asked[i]; r.err != nil {
				t.Errorf("request %d was not the next one: %v", i, r.err)
			}
		}
	})
}

func TestARequestThatAResponderAboveDroppedIsForItsOwnAgain(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		asked := asksFor(t.Context(), b, name("public/req/s/x"), "q")
		d, err := b.Receive(t.Context(), name("public/res/s"))
		if err != nil {
			t.Fatal(err)
		}
		d.Done(errLeft)
		responds(t, b, name("public/res/s/x"))
		if r := <-asked; r.s != "answer to q" {
			t.Errorf("%+v", r)
		}
	})
}

func TestAnAnswerWithoutAnIDIsForWhatWasTakenAbove(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		asked := asksFor(t.Context(), b, name("public/req/s/x"), "q")
		d, _ := b.Receive(t.Context(), name("public/res/s"))
		if _, err := read(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if err := b.Answer(t.Context(), name("public/res/s"), "", msg("a")); err != nil {
			t.Fatal(err)
		}
		if r := <-asked; r.s != "a" {
			t.Errorf("%+v", r)
		}
		unread := later(func() error { return b.Answer(t.Context(), name("public/res/s"), "", msg("early")) })
		synctest.Wait()
		if r := <-asksFor(t.Context(), b, name("public/req/s/y"), "q"); r.s != "early" || r.err != nil {
			t.Errorf("%+v", r)
		}
		if err := <-unread; err != nil {
			t.Error(err)
		}
	})
}

func TestAGuardedRequestIsForNobodyAbove(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		page := name("public/req/site/priv")
		stranger, cancel := context.WithCancel(t.Context())
		got := receives(stranger, b, name("public/res/site"))
		synctest.Wait()
		owner, err := b.Publish(page, PublishOptions{As: alice, Access: []string{"key-bob"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, leave := context.WithCancel(t.Context())
		asked := asksFor(ctx, b, page, "private")
		pending(t, "the stranger", got)
		early := receives(stranger, b, name("public/res/site"))
		pending(t, "a stranger that comes later", early)
		cancel()
		<-got
		<-early
		leave()
		<-asked
		owner.Close()
	})
}

func TestInAUsersNamespaceRequestsBelowNeedTheirOwnRight(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		ctx, cancel := context.WithCancel(t.Context())
		got := receives(ctx, b, name("alice/res/x"))
		synctest.Wait()
		asked := asksFor(t.Context(), b, name("alice/req/x/private"), "q")
		pending(t, "a responder without the right", got)
		may := ServeBelow(t.Context(), func(n Name) bool { return n == name("alice/req/x/private") })
		if s, err := receive(may, b, name("alice/res/x")); s != "q" || err != nil {
			t.Errorf("%q, %v", s, err)
		}
		if err := b.Answer(may, name("alice/res/x"), "", msg("a")); err != nil {
			t.Error(err)
		}
		if r := <-asked; r.s != "a" {
			t.Errorf("%+v", r)
		}
		cancel()
		<-got
	})
}

func TestAnAccessListStaysShortHoweverOftenItIsAddedTo(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		list := make([]string, maxAccess)
		for i := range list {
			list[i] = "user" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		}
		p, err := b.Publish(jobs, PublishOptions{As: alice, Access: list})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Publish(jobs, PublishOptions{As: alice, Access: []string{"one-more"}}); err != ErrTaken {
			t.Errorf("a longer list: %v", err)
		}
		p.Close()
	})
}

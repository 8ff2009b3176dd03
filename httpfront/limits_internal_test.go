package httpfront

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheRightMostUntrustedAddressIsTheClient(t *testing.T) {
	l := newLimits(Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}})
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.9:1", "198.51.100.1", "192.0.2.9"}, // not trusted: may write anything
		{"10.0.0.1:1", "", "10.0.0.1"},
		{"10.0.0.1:1", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:1", "203.0.113.7, 198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:1", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1:1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
		{"10.0.0.1:1", "198.51.100.1, garbage", "10.0.0.1"},
		{"10.0.0.1:1", "garbage, 10.0.0.2", "10.0.0.2"},
		{"10.0.0.1:1", "198.51.100.1:4711", "198.51.100.1"},
		{"10.0.0.1:1", "::ffff:198.51.100.1", "198.51.100.1"},
		{"[::ffff:10.0.0.1]:1", "198.51.100.1", "198.51.100.1"},
		{"[fd00::1]:1", "2001:db8::1", "2001:db8::1"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := l.client(r).String(); got != c.want {
			t.Errorf("%s, %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
}

func TestOneIPv6NetworkIsOneClient(t *testing.T) {
	l := newLimits(Config{MaxWaiting: 1})
	from := func(addr string) *http.Request { return &http.Request{RemoteAddr: addr, Header: http.Header{}} }
	leave, err := l.enter(from("[2001:db8:0:1::1]:1"), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.enter(from("[2001:db8:0:1:ffff::2]:1"), true); err == nil {
		t.Error("an address of the same /64 got in")
	}
	if _, err := l.enter(from("[2001:db8:0:2::1]:1"), true); err != nil {
		t.Error("another /64 did not get in")
	}
	leave()
	if _, err := l.enter(from("[2001:db8:0:1::3]:1"), true); err != nil {
		t.Error("nobody else gets in when one has left")
	}
}

func TestAFollowerThatDoesNotReadIsRarelyLookedAt(t *testing.T) {
	looks, pause := 0, time.Duration(0)
	for waited := time.Duration(0); waited < time.Minute; waited += pause {
		last := pause
		pause = nextLook(pause)
		if pause > 2*last && last > 0 || pause < time.Millisecond {
			t.Errorf("after %v it waits %v", last, pause)
		}
		looks++
	}
	if looks > 300 {
		t.Errorf("%d looks in a minute", looks)
	}
}

// Looks that overlap, as they do while rules are read, are no reason either.
func TestLooksForGoodCredentialsCostNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newLimits(Config{RateLimit: 10}), httptest.NewRequest("GET", "/", nil)
		long, ok := l.guess(r)
		for range 10 * guessBurst {
			<-time.After(time.Millisecond)
			settle, more := l.guess(r)
			ok = ok && more
			<-time.After(time.Millisecond)
			settle(true)
		}
		long(true)
		if !ok || l.clients[netip.MustParseAddr("192.0.2.1")].guesses.Tokens() < guessBurst {
			t.Error("good credentials were counted")
		}
	})
}

func TestGuessesCountWhileTheyAreUnderWayAndWhenTheyFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, r := newLimits(Config{RateLimit: 1}), httptest.NewRequest("GET", "/", nil)
		var looks []func(bool)
		for range 2 * guessBurst {
			if settle, ok := l.guess(r); ok {
				looks = append(looks, settle)
			}
		}
		for _, settle := range looks {
			settle(false)
		}
		if _, ok := l.guess(r); ok || len(looks) != guessBurst {
			t.Errorf("%d looks at once, and more", len(looks))
		}
		// Being quiet for a while is not being forgotten.
		<-time.After(90 * time.Second)
		again := 0
		for range 2 * guessBurst {
			if settle, ok := l.guess(r); ok {
				settle(false)
				again++
			}
		}
		if again != 90 {
			t.Errorf("%d more after 90 s, at one a second", again)
		}
		<-time.After(guessBurst * time.Second)
		other := httptest.NewRequest("GET", "/", nil)
		other.RemoteAddr = "198.51.100.7:1"
		if _, ok := l.guess(other); !ok || len(l.clients) != 1 {
			t.Errorf("%d addresses are remembered", len(l.clients))
		}
	})
}

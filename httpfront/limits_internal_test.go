package httpfront

import (
	"net/http"
	"net/netip"
	"testing"
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

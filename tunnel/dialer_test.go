package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func prefixes(t *testing.T, words ...string) []netip.Prefix {
	t.Helper()
	out, err := ParsePrefixes(words...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// inside lists the ways into the relay's surroundings, with what allows each.
var inside = []struct{ addr, why, allow string }{
	{"127.0.0.1", "loopback", "127.0.0.1"},
	{"127.255.255.254", "loopback", "127.0.0.0/8"},
	{"::1", "loopback", "::1"},
	{"::ffff:127.0.0.1", "loopback", "127.0.0.0/8"},
	{"::ffff:127.0.0.1", "loopback", "::ffff:127.0.0.0/104"},
	{"::127.0.0.1", "loopback", "127.0.0.0/8"},
	{"::ffff:0:127.0.0.1", "loopback", "127.0.0.0/8"},
	{"169.254.169.254", "link-local", "169.254.169.254"},
	{"168.63.129.16", "cloud metadata", "168.63.129.16"},
	{"fd00:ec2::254", "private", "fd00::/8"},
	{"fe80::1", "link-local", "fe80::/10"},
	{"fe80::1%eth0", "link-local", "fe80::/10"},
	{"fec0::1", "site-local", "fec0::/10"},
	{"10.0.0.1", "private", "10.0.0.0/8"},
	{"172.16.0.1", "private", "172.16.0.0/12"},
	{"172.31.255.255", "private", "172.16.0.0/12"},
	{"192.168.1.1", "private", "0.0.0.0/0"},
	{"100.64.0.1", "carrier-grade NAT", "100.64.0.0/10"},
	{"100.127.255.255", "carrier-grade NAT", "100.64.0.0/10"},
	{"192.0.0.192", "protocol assignments", "192.0.0.0/24"},
	{"198.18.0.1", "benchmarking", "198.18.0.0/15"},
	{"0.0.0.0", "unspecified", "0.0.0.0"},
	{"0.0.0.1", "unspecified", "0.0.0.0/8"},
	{"::", "unspecified", "::"},
	{"::ffff:0.0.0.0", "unspecified", "0.0.0.0"},
	{"224.0.0.1", "multicast", "224.0.0.0/4"},
	{"ff02::1", "multicast", "ff00::/8"},
	{"255.255.255.255", "broadcast", "255.255.255.255"},
	{"240.0.0.1", "reserved", "240.0.0.0/4"},
	{"64:ff9b::10.0.0.1", "private", "10.0.0.0/8"},
	{"64:ff9b::7f00:1", "loopback", "127.0.0.0/8"},
	{"64:ff9b:1::8.8.8.8", "local NAT64", "64:ff9b:1::/48"},
	{"2002:a00:1::1", "private", "10.0.0.0/8"},
	{"2002:7f00:1::", "loopback", "127.0.0.0/8"},
	{"2001:0:808:808::80ff:fffe", "loopback", "127.0.0.0/8"}, // Teredo's client, inverted
	{"2001:0:a00:1::f7f7:f7f7", "private", "10.0.0.0/8"},     // its server
	{"2a00::5efe:10.0.0.1", "private", "10.0.0.0/8"},         // ISATAP
	{"2a00::200:5efe:10.0.0.1", "private", "10.0.0.0/8"},
	{"fd00::5efe:8.8.8.8", "private", "fd00::/8"},
}

func TestAddressesOfTheSurroundingsAreDeniedUntilAllowed(t *testing.T) {
	for _, c := range inside {
		addr := netip.MustParseAddr(c.addr)
		err := Policy{}.plain().check(addr)
		if !errors.Is(err, ErrEgress) || !strings.Contains(err.Error(), "("+c.why+")") || !strings.Contains(err.Error(), "--egress-allow") ||
			!strings.Contains(err.Error(), addr.WithZone("").Unmap().String()) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line with the address, %s and the flag", c.addr, err, c.why)
		}
		if err := (Policy{Allow: prefixes(t, c.allow)}).plain().check(addr); err != nil {
			t.Errorf("%s with --egress-allow %s: %v", c.addr, c.allow, err)
		}
		both := Policy{Allow: prefixes(t, "0.0.0.0/0", "::/0"), Deny: prefixes(t, c.allow)}.plain()
		if err := both.check(addr); !errors.Is(err, ErrEgress) || !strings.Contains(err.Error(), "--egress-deny") {
			t.Errorf("%s allowed and denied: %v; want it denied", c.addr, err)
		}
	}
}

func TestAllowingTheWrappingOfAnAddressDoesNotAllowWhatIsInside(t *testing.T) {
	p := Policy{Allow: prefixes(t, "::/0")}.plain()
	for _, a := range []string{"::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::", "2a00::5efe:10.0.0.1", "10.0.0.1"} {
		if err := p.check(netip.MustParseAddr(a)); !errors.Is(err, ErrEgress) {
			t.Errorf("%s: %v; want it denied", a, err)
		}
	}
}

func TestPublicAddressesAreAllowedUntilDenied(t *testing.T) {
	for _, a := range []string{"1.1.1.1", "172.32.0.1", "100.128.0.1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2606:4700::1111"} {
		addr := netip.MustParseAddr(a)
		if err := (Policy{}).plain().check(addr); err != nil {
			t.Errorf("%s: %v", a, err)
		}
		if err := (Policy{Deny: prefixes(t, "0.0.0.0/0", "::/0")}).plain().check(addr); !errors.Is(err, ErrEgress) {
			t.Errorf("%s denied: %v", a, err)
		}
	}
}

func TestNetworksAreReadAsFlagsWriteThem(t *testing.T) {
	if got := prefixes(t, "10.0.0.0/8, fd00::/8", "", "192.0.2.7"); len(got) != 3 || got[2].String() != "192.0.2.7/32" {
		t.Error(got)
	}
	for _, w := range []string{"10.0.0.0/33", "10/8", "example.com", "fe80::1%eth0", "127.0.0.1:80"} {
		if _, err := ParsePrefixes(w); err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v; want an error that names it", w, err)
		}
	}
}

// echo is a TCP server on loopback that sends back what it gets.
func echo(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestSpellingsOfAnAddressDoNotPassThePolicy(t *testing.T) {
	_, port, _ := net.SplitHostPort(echo(t))
	d := NewDialer(Policy{})
	for _, host := range []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "localhost", "LOCALHOST", "localhost.", "0.0.0.0", "::",
		"2130706433", "0177.0.0.1", "0177.1", "0x7f.0.0.1", "0x7f000001", "127.1", "127.0.1", "0", "127.0.0.1.",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
		cancel()
		if err == nil {
			c.Close()
			t.Errorf("%s was connected to", host)
		} else if strings.ContainsAny(err.Error(), "\n") || !errors.Is(err, ErrEgress) && !errors.Is(err, ErrDial) && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v; want a refusal", host, err)
		}
		if strings.EqualFold(host, "localhost") || strings.Contains(host, ":") || host == "127.0.0.1" || host == "0.0.0.0" {
			if !errors.Is(err, ErrEgress) {
				t.Errorf("%s: %v; want the policy's refusal", host, err)
			}
		}
	}
}

func TestAfterTheFlagLoopbackIsReached(t *testing.T) {
	address := echo(t)
	_, port, _ := net.SplitHostPort(address)
	d := NewDialer(Policy{Allow: prefixes(t, "127.0.0.0/8")})
	for _, a := range []string{address, "localhost:" + port, "[::ffff:127.0.0.1]:" + port} {
		c, err := d.DialContext(t.Context(), "tcp", a)
		if err != nil {
			t.Errorf("%s: %v", a, err)
			continue
		}
		c.Close()
	}
}

func TestNamesAreJudgedByWhatTheyResolveTo(t *testing.T) {
	_, port, _ := net.SplitHostPort(echo(t))
	names := map[string][]string{}
	for _, c := range inside {
		addr := netip.MustParseAddr(c.addr).WithZone("").Unmap()
		names[hostOf(c.addr)] = []string{addr.String()}
	}
	names["mixed.test"] = []string{"10.0.0.1", "127.0.0.1", "169.254.169.254"}
	resolver := nameServer(t, names)
	d := NewDialer(Policy{})
	d.resolver = resolver
	for name := range names {
		if _, err := d.DialContext(t.Context(), "tcp", net.JoinHostPort(name, port)); !errors.Is(err, ErrEgress) {
			t.Errorf("%s, which is %v: %v; want the policy's refusal", name, names[name], err)
		}
	}
	d = NewDialer(Policy{Allow: prefixes(t, "127.0.0.1")})
	d.resolver = resolver
	c, err := d.DialContext(t.Context(), "tcp", "mixed.test:"+port)
	if err != nil {
		t.Fatalf("a name with an allowed address among denied ones: %v", err)
	}
	c.Close()
}

func TestWhatCannotBeReachedIsOnePlainLine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(closed)
	d := NewDialer(Policy{Allow: prefixes(t, "127.0.0.1")})
	d.resolver = nameServer(t, map[string][]string{"two.test": {"10.0.0.1", "127.0.0.1"}})
	for address, want := range map[string]string{
		closed:         "cannot connect to " + closed + ": connection refused",
		"gone.test:22": "cannot connect to gone.test:22: there is no host of this name",
	} {
		if _, err := d.DialContext(t.Context(), "tcp", address); !errors.Is(err, ErrDial) || err.Error() != want {
			t.Errorf("%v; want %s", err, want)
		}
	}
	// Which of the two addresses comes first is the resolver's choice.
	if _, err := d.DialContext(t.Context(), "tcp", "two.test:"+port); !errors.Is(err, ErrDial) || errors.Is(err, ErrEgress) {
		t.Errorf("a name with a denied address and one that refuses: %v; want that it cannot be connected to", err)
	}
	for _, network := range []string{"unix", "udp", "ip", ""} {
		if _, err := d.DialContext(t.Context(), network, closed); !errors.Is(err, ErrTarget) {
			t.Errorf("network %q: %v; want it refused", network, err)
		}
	}
}

func TestADialEndsAtItsLimitAndWithItsContext(t *testing.T) {
	d := NewDialer(Policy{})
	if d.limit != 10*time.Second {
		t.Errorf("the dial limit is %v", d.limit)
	}
	silent := silentNameServer(t)
	d.resolver, d.limit = silent, 50*time.Millisecond
	if _, err := d.DialContext(t.Context(), "tcp", "slow.test:22"); !errors.Is(err, ErrDial) || !strings.HasSuffix(err.Error(), "no answer within 50ms") {
		t.Errorf("a target that never answers: %v", err)
	}
	reason := errors.New("the client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	d.limit = time.Minute
	if _, err := d.DialContext(ctx, "tcp", "slow.test:22"); err != reason {
		t.Errorf("a dial whose context ended: %v; want its cause", err)
	}
}

func TestTargetsThatCannotBeDialledAreRefusedAsWritten(t *testing.T) {
	for _, c := range []struct{ host, port string }{
		{"h.example", "0"}, {"h.example", "65536"}, {"h.example", "http"}, {"h.example", ""}, {"h.example", "-1"}, {"h.example", "+22"},
		{"h.example", "022"}, {"h.example", "22 "}, {"h.example", "99999999999999999999"}, {"h.example", "２２"},
		{"", "22"}, {"a b", "22"}, {" a", "22"}, {"[::1]", "22"}, {"[h]", "22"}, {"user@h", "22"}, {"u:p@h", "22"}, {"h:22", "22"}, {"a/b", "22"},
		{"fe80::1%eth0", "22"}, {"h\x00", "22"}, {"h\n", "22"}, {"bücher.example", "22"}, {":::", "22"}, {strings.Repeat("a", 254), "22"}, {"*.example", "22"},
	} {
		err := CheckTarget(c.host, c.port)
		if !errors.Is(err, ErrTarget) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 250 {
			t.Errorf("%q %q: %v; want one line that refuses it", c.host, c.port, err)
		}
	}
	for _, c := range []struct{ host, port string }{
		{"h", "1"}, {"h.example", "65535"}, {"H.Example.", "22"}, {"my_host", "22"}, {"::1", "22"}, {"127.0.0.1", "80"}, {"xn--bcher-kva.example", "443"},
	} {
		if err := CheckTarget(c.host, c.port); err != nil {
			t.Errorf("%q %q: %v", c.host, c.port, err)
		}
	}
}

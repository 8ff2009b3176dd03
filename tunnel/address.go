package tunnel

import "net/netip"

// near are the address ranges that lead into the relay's own surroundings, or to
// nobody: IANA's special-purpose registries (RFC 6890), less the ones that are
// ordinary public addresses, and one address of a cloud that is neither.
var near = []struct {
	prefix netip.Prefix
	why    string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier-grade NAT"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud metadata"}, // Azure's, on a public address
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},       // cloud metadata as well
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments"}, // Oracle's metadata lives here
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "local NAT64"}, // where the IPv4 part stands is the network's own affair
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// surroundings says what sort of address is closed by default, "" for the rest.
func surroundings(a netip.Addr) string {
	for _, n := range near {
		if n.prefix.Contains(a) {
			return n.why
		}
	}
	return ""
}

// wrappers are IPv6 ranges in which an IPv4 address stands at a fixed place.
var wrappers = []struct {
	prefix netip.Prefix
	at     int
	flip   byte // Teredo writes the client's address inverted
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},    // NAT64, RFC 6052
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, 0}, // IPv4-translated, RFC 2765
	{netip.MustParsePrefix("::/96"), 12, 0},           // IPv4-compatible, RFC 4291
	{netip.MustParsePrefix("2002::/16"), 2, 0},        // 6to4, RFC 3056
	{netip.MustParsePrefix("2001::/32"), 4, 0},        // Teredo's server, RFC 4380
	{netip.MustParsePrefix("2001::/32"), 12, 0xff},    // Teredo's client
}

// embedded returns the IPv4 addresses inside a, none for those that hold none.
func embedded(a netip.Addr) []netip.Addr {
	if !a.Is6() || a == netip.IPv6Unspecified() || a == netip.IPv6Loopback() {
		return nil
	}
	b := a.As16()
	var out []netip.Addr
	for _, w := range wrappers {
		if w.prefix.Contains(a) {
			out = append(out, v4(b, w.at, w.flip))
		}
	}
	// An ISATAP interface identifier (RFC 5214), 0:5efe or 200:5efe, can stand
	// in any network.
	if b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe {
		out = append(out, v4(b, 12, 0))
	}
	return out
}

func v4(b [16]byte, at int, flip byte) netip.Addr {
	return netip.AddrFrom4([4]byte{b[at] ^ flip, b[at+1] ^ flip, b[at+2] ^ flip, b[at+3] ^ flip})
}

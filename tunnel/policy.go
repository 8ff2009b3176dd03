package tunnel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// A Policy says which addresses the relay connects to for others. Public
// addresses are allowed and those of the relay's own surroundings are not;
// Allow opens what is closed by default, Deny closes whatever else is open.
// An explicit Deny always wins: whoever denies 10.1.0.0/16 and allows 10.0.0.0/8
// means the rest of it.
//
// An IPv4 address is judged alike however it is wrapped: IPv4-mapped,
// IPv4-compatible, NAT64, 6to4, Teredo and ISATAP addresses are judged by the
// IPv4 address inside, to which the network would deliver them; allowing the
// wrapping alone allows none of them.
type Policy struct {
	Allow, Deny []netip.Prefix
}

// An EgressError says which address the policy refused and what would allow it.
type EgressError struct {
	Addr netip.Addr // as it would have been dialled
	Why  string     // what sort of address it is, or that it was denied by name
	flag string
}

func (e *EgressError) Error() string {
	if e.flag == "--egress-deny" {
		return fmt.Sprintf("not allowed to connect to %s: the operator denies it with --egress-deny", e.Addr)
	}
	return fmt.Sprintf("not allowed to connect to %s (%s): the operator can allow it with --egress-allow", e.Addr, e.Why)
}

// Is makes every EgressError an [ErrEgress].
func (e *EgressError) Is(target error) bool { return target == ErrEgress }

// check returns nil when addr may be dialled, or an [*EgressError].
func (p Policy) check(addr netip.Addr) error {
	// A zone says through which interface, not to whom; a prefix contains no
	// address with one.
	addr = addr.WithZone("").Unmap()
	faces := append(embedded(addr), addr)
	for _, a := range faces {
		if holds(p.Deny, a) {
			return &EgressError{Addr: addr, Why: "denied", flag: "--egress-deny"}
		}
	}
	for _, a := range faces {
		if why := surroundings(a); why != "" && !holds(p.Allow, a) {
			return &EgressError{Addr: addr, Why: why, flag: "--egress-allow"}
		}
	}
	return nil
}

func holds(prefixes []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(a) })
}

// plain writes IPv4-mapped prefixes as IPv4 ones, since that is how check
// compares addresses.
func (p Policy) plain() Policy {
	unmap := func(prefixes []netip.Prefix) []netip.Prefix {
		out := make([]netip.Prefix, 0, len(prefixes))
		for _, x := range prefixes {
			if x.Addr().Is4In6() && x.Bits() >= 96 {
				x = netip.PrefixFrom(x.Addr().Unmap(), x.Bits()-96)
			}
			out = append(out, x.Masked())
		}
		return out
	}
	return Policy{Allow: unmap(p.Allow), Deny: unmap(p.Deny)}
}

// ParsePrefixes reads what --egress-allow and --egress-deny take: networks like
// 10.0.0.0/8 and single addresses, one a word or with commas between.
func ParsePrefixes(words ...string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for word := range strings.SplitSeq(strings.Join(words, ","), ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		if a, err := netip.ParseAddr(word); err == nil && a.Zone() == "" {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(word)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network: write 10.0.0.0/8, fd00::/8 or a single address", word)
		}
		out = append(out, p)
	}
	return out, nil
}

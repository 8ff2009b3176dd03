package tunnel

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// CheckTarget says whether host and port can be a target as they are written:
// a host name or an IP address without brackets, and a port number from 1 to
// 65535 in its only spelling. Names of services are refused: a rule about port
// 22 must not be passed by writing "ssh". It looks nothing up. Its errors wrap
// [ErrTarget] and are one plain line.
func CheckTarget(host, port string) error {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return fmt.Errorf("%w: port %s: write a number from 1 to 65535", ErrTarget, quoted(port))
	}
	switch {
	case host == "":
		return fmt.Errorf("%w: the host is empty: write a name or an address", ErrTarget)
	case strings.Contains(host, ":"):
		if a, err := netip.ParseAddr(host); err != nil || a.Zone() != "" {
			return fmt.Errorf("%w: host %s: write an IPv6 address without brackets, zone or port", ErrTarget, quoted(host))
		}
	case len(host) > 253:
		return fmt.Errorf("%w: host %s: a name has at most 253 characters", ErrTarget, quoted(host))
	case strings.ContainsFunc(host, notInName):
		return fmt.Errorf("%w: host %s: write a name of letters, digits, dots and hyphens, or an address", ErrTarget, quoted(host))
	}
	return nil
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

func notInName(r rune) bool { return !strings.ContainsRune(nameBytes, r) }

// quoted keeps what somebody sent on one short line.
func quoted(s string) string {
	if len(s) > 64 {
		s = s[:64] + "…"
	}
	return strconv.QuoteToASCII(s)
}

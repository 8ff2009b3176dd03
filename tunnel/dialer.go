package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// dialLimit bounds looking up and connecting together.
const dialLimit = 10 * time.Second

// A Dialer connects to TCP targets that others name, under a [Policy]. The
// policy is asked about the address that is about to be connected to, after
// resolving: what a name or a strange spelling of an address turns into is what
// counts, and nothing is looked up twice. It is safe for concurrent use.
type Dialer struct {
	policy   Policy
	resolver *net.Resolver // nil: the machine's
	limit    time.Duration
}

// NewDialer returns a Dialer that holds to p.
func NewDialer(p Policy) *Dialer { return &Dialer{policy: p.plain(), limit: dialLimit} }

// DialContext connects to address, HOST:PORT with a numeric port, within 10 s.
// The network is tcp, tcp4 or tcp6. A name that stands for several addresses is
// tried at those that the policy allows.
//
// The error is one plain line. It is an [*EgressError] when there was no address
// to try that the policy allows, wraps [ErrTarget] when address cannot be one,
// ctx's cause when ctx ended, and [ErrDial] otherwise.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if !slices.Contains([]string{"tcp", "tcp4", "tcp6"}, network) {
		return nil, fmt.Errorf("%w: network %s: only TCP is dialled", ErrTarget, quoted(network))
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: write HOST:PORT", ErrTarget, quoted(address))
	}
	if err := CheckTarget(host, port); err != nil {
		return nil, err
	}
	a := attempts{policy: d.policy}
	dialer := net.Dialer{Timeout: d.limit, Resolver: d.resolver, ControlContext: a.control}
	conn, err := dialer.DialContext(ctx, network, address)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, a.explain(address, d.limit, err)
}

// attempts notes what became of the addresses of one dial; net.Dialer tries two
// at a time and tells only of its first failure.
type attempts struct {
	policy Policy

	mu      sync.Mutex // guards what follows; control may still run when the dial is over
	refused error
	tried   bool
}

func (a *attempts) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err == nil {
		err = a.policy.check(at.Addr())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.tried = true
	} else if a.refused == nil {
		a.refused = err
	}
	return err
}

// explain makes one line of a failure, without the addresses of the relay's own
// name servers and sockets that Go's errors carry.
func (a *attempts) explain(target string, limit time.Duration, err error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refused != nil && !a.tried {
		return a.refused
	}
	var dns *net.DNSError
	var timeout net.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Errorf("%w to %s: there is no host of this name", ErrDial, target)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("%w to %s: no answer within %v", ErrDial, target, limit)
	case errors.As(err, &dns):
		return fmt.Errorf("%w to %s: its name cannot be looked up: %s", ErrDial, target, dns.Err)
	case errors.As(err, &errno):
		return fmt.Errorf("%w to %s: %w", ErrDial, target, errno)
	}
	return fmt.Errorf("%w to %s: none of its allowed addresses answered", ErrDial, target)
}

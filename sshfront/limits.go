package sshfront

import (
	"errors"
	"net"
	"sync"

	"patchwork/broker"
)

var (
	errManyConns   = errors.New("too many connections from your address, close some or try again later")
	errManyPending = errors.New("too many connections are being opened, try again in a moment")
)

// limits is the register of all connections. It decides which may come in.
type limits struct {
	perAddress int
	pendingMax int
	all        tally

	mu      sync.Mutex // guards all below
	open    map[*conn]struct{}
	address map[string]int
	pending int
	down    bool // nothing comes in any more
}

func (l *limits) init(perAddress, pending int) {
	l.perAddress, l.pendingMax = perAddress, pending
	l.open = map[*conn]struct{}{}
	l.address = map[string]int{}
}

// admit registers a connection; it stays so until left is called for it.
func (l *limits) admit(c *conn) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.down:
		return broker.ErrClosed
	case l.address[c.address] >= l.perAddress:
		return errManyConns
	case l.pending >= l.pendingMax:
		return errManyPending
	}
	l.open[c] = struct{}{}
	l.address[c.address]++
	l.pending++
	c.pending = true
	l.all.add()
	return nil
}

// authenticated takes a connection off those that still have to prove themselves.
func (l *limits) authenticated(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proven(c)
}

func (l *limits) proven(c *conn) {
	if c.pending {
		c.pending = false
		l.pending--
	}
}

// left forgets a connection; it does nothing for one that was not admitted.
func (l *limits) left(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[c]; !ok {
		return
	}
	delete(l.open, c)
	l.proven(c)
	if l.address[c.address]--; l.address[c.address] == 0 {
		delete(l.address, c.address)
	}
	l.all.done()
}

func (l *limits) conns() int            { return l.all.count() }
func (l *limits) zero() <-chan struct{} { return l.all.zero() }

// closeAll closes every connection, and those that come later.
func (l *limits) closeAll() {
	l.mu.Lock()
	l.down = true
	var open []*conn
	for c := range l.open {
		open = append(open, c)
	}
	l.mu.Unlock()
	for _, c := range open {
		c.Close()
	}
}

// addressOf is what counts as one address: an IPv4 address, or the /64 of an IPv6
// one, as that much is handed to a single customer.
func addressOf(a net.Addr) string {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return a.String()
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if ip.Is6() {
		prefix, _ := ip.Prefix(64)
		return prefix.String()
	}
	return ip.String()
}

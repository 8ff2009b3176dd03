package sshfront

import (
	"errors"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"patchwork/broker"
)

var (
	errManyConns   = errors.New("too many connections from your address, close some or try again later")
	errManyPending = errors.New("too many connections are being opened, try again in a moment")
	errManyFailed  = errors.New("too many keys failed from your address, try again in a few minutes")
)

// Of new connections dropRate percent are turned away when early drop begins, and
// more the fuller it gets: a flood is thinned out, and somebody who tries again
// comes through. It is what OpenSSH's MaxStartups does.
const dropRate = 30

// Failed keys are forgiven one by one over failedFor. No more than maxFailing
// addresses are remembered.
const (
	failedFor  = 10 * time.Minute
	maxFailing = 10_000
)

// limits is the register of all connections. It decides which may come in.
type limits struct {
	perAddress int
	earlyDrop  int
	pendingMax int
	failedMax  int
	roll       func(n int) int // a random number below n
	all        tally

	mu      sync.Mutex // guards all below
	open    map[*conn]struct{}
	address map[string]int
	failing map[string]*rate.Limiter // addresses whose keys failed; empty buckets are shut out
	pending int
	down    bool // nothing comes in any more
}

func (l *limits) init(cfg Config) {
	l.perAddress, l.failedMax = cfg.MaxConns, cfg.MaxFailedKeys
	l.earlyDrop, l.pendingMax = cfg.EarlyDrop, cfg.MaxUnauthenticated
	l.roll = rand.IntN
	l.open = map[*conn]struct{}{}
	l.address = map[string]int{}
	l.failing = map[string]*rate.Limiter{}
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
	case l.failing[c.address] != nil && l.failing[c.address].Tokens() < 1:
		return errManyFailed
	case l.pending >= l.pendingMax || l.unlucky():
		return errManyPending
	}
	l.open[c] = struct{}{}
	l.address[c.address]++
	l.pending++
	c.pending = true
	l.all.add()
	return nil
}

// unlucky throws the dice for a new connection when early drop has begun. Under mu.
func (l *limits) unlucky() bool {
	if l.pending < l.earlyDrop {
		return false
	}
	chance := dropRate + (100-dropRate)*(l.pending-l.earlyDrop)/(l.pendingMax-l.earlyDrop)
	return l.roll(100) < chance
}

// failed books that a connection ended without having proven the keys it offered.
func (l *limits) failed(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket := l.failing[c.address]
	if bucket == nil {
		if len(l.failing) >= maxFailing {
			l.forgive()
		}
		bucket = rate.NewLimiter(rate.Every(failedFor/time.Duration(l.failedMax)), l.failedMax)
		l.failing[c.address] = bucket
	}
	bucket.Allow()
}

// forgive makes room among the failing: those whose time is over leave, and all
// others if there are none. Under mu.
func (l *limits) forgive() {
	for address, bucket := range l.failing {
		if bucket.Tokens() >= float64(l.failedMax) {
			delete(l.failing, address)
		}
	}
	if len(l.failing) >= maxFailing {
		clear(l.failing)
	}
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
	l.mu.Unlock()
	for _, c := range l.each() {
		c.Close()
	}
}

// each returns the connections of this moment.
func (l *limits) each() []*conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.open))
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

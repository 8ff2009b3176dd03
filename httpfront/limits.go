package httpfront

import (
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// burst is how many requests an address may make at once before the rate counts.
const burst = 20

// maxClients bounds the addresses that are remembered.
const maxClients = 100_000

// limits keep one client address from taking what is everybody's.
type limits struct {
	rate    rate.Limit
	waiting int
	trusted []netip.Prefix

	mu      sync.Mutex
	clients map[netip.Addr]*client
	swept   time.Time
}

// A client is what is remembered of one address.
type client struct {
	bucket  *rate.Limiter
	guesses *rate.Limiter // looks for credentials that came to nothing
	looking int           // of them, those that are under way
	waiting int
	held    int64 // bytes of signed bodies
	seen    time.Time
}

func newLimits(cfg Config) *limits {
	return &limits{
		rate: rate.Limit(cfg.RateLimit), waiting: cfg.MaxWaiting, trusted: cfg.TrustedProxies,
		clients: map[netip.Addr]*client{}, swept: time.Now(),
	}
}

var errTooMany = &httpError{
	status: http.StatusTooManyRequests, line: "Too Many Requests", header: http.Header{"Retry-After": {"1"}},
}

// enter counts a request; leave is due when it ends. It fails with 429 when its
// address is over a limit: of requests that wait, and, for what needs no
// credential (open), of requests a second.
func (l *limits) enter(r *http.Request, open bool) (leave func(), err error) {
	if l.rate <= 0 && l.waiting <= 0 {
		return func() {}, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(r)
	if c == nil || l.waiting > 0 && c.waiting >= l.waiting || open && !l.allow(c) {
		return nil, errTooMany
	}
	c.waiting++
	return func() {
		l.mu.Lock()
		c.waiting--
		l.mu.Unlock()
	}, nil
}

// charge counts a request that guessed at a credential against the same rate; it
// tells whether there was any left.
func (l *limits) charge(r *http.Request) bool {
	if l.rate <= 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(r)
	return c != nil && l.allow(c)
}

// guessBurst is how many looks for a credential one address may have under way or
// have failed at before the rate counts.
const guessBurst = 200

// guess books a look for a credential before it is made, for a look may cost a
// read of the source of rules. settle is due when it was, and says whether the
// credential was good: such a look costs nothing.
func (l *limits) guess(r *http.Request) (settle func(good bool), ok bool) {
	if l.rate <= 0 {
		return func(bool) {}, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(r)
	if c == nil || c.guesses.TokensAt(c.seen) < float64(c.looking+1) {
		return nil, false
	}
	c.looking++
	return func(good bool) {
		l.mu.Lock()
		defer l.mu.Unlock()
		c.looking--
		if !good {
			c.guesses.AllowN(time.Now(), 1)
		}
	}, true
}

// hold books bytes of a signed body to a request's address; false when it holds as
// much as one may. letGo gives them back.
func (l *limits) hold(r *http.Request, bytes int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.find(r)
	if c == nil || c.held+bytes > mostSigned {
		return false
	}
	c.held += bytes
	return true
}

func (l *limits) letGo(r *http.Request, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.find(r); c != nil { // it holds something, so it is there
		c.held -= bytes
	}
}

// allow takes one request from what the client has. Under mu.
func (l *limits) allow(c *client) bool {
	return l.rate <= 0 || c.bucket.AllowN(c.seen, 1)
}

// find returns what is remembered of a request's address; nil when that is too
// much already. Under mu.
func (l *limits) find(r *http.Request) *client {
	addr := l.client(r)
	if addr.Is6() {
		prefix, _ := addr.Prefix(64) // who has one address of a /64 has all of them
		addr = prefix.Addr()
	}
	now := time.Now()
	l.sweep(now)
	c := l.clients[addr]
	if c == nil {
		if len(l.clients) >= maxClients {
			return nil
		}
		c = &client{bucket: rate.NewLimiter(l.rate, burst), guesses: rate.NewLimiter(l.rate, guessBurst)}
		l.clients[addr] = c
	}
	c.seen = now
	return c
}

// sweep forgets addresses of which nothing is under way and that would get full
// buckets anyway.
func (l *limits) sweep(now time.Time) {
	gap := time.Minute
	if len(l.clients) >= maxClients {
		gap = time.Second // not at every request of a flood
	}
	if now.Sub(l.swept) < gap {
		return
	}
	l.swept = now
	for addr, c := range l.clients {
		if c.waiting+c.looking == 0 && c.held == 0 &&
			c.bucket.TokensAt(now) >= burst && c.guesses.TokensAt(now) >= guessBurst {
			delete(l.clients, addr)
		}
	}
}

// client returns the address a request comes from: the peer's, or, when the peer
// is a trusted proxy, the right-most address of X-Forwarded-For that is not one.
// What stands further left may be written by anybody.
func (l *limits) client(r *http.Request) netip.Addr {
	addr := l.peer(r)
	if !l.trusts(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			if ap, aperr := netip.ParseAddrPort(strings.TrimSpace(hops[i])); aperr == nil {
				hop, err = ap.Addr(), nil
			}
		}
		if err != nil {
			return addr // the last one that made sense
		}
		addr = hop.Unmap().WithZone("")
		if !l.trusts(addr) {
			return addr
		}
	}
	return addr
}

// peer returns the address at the other end of the connection.
func (l *limits) peer(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return peer.Addr().Unmap().WithZone("")
}

// FromTrusted tells whether the peer of a request is one of the trusted proxies.
func FromTrusted(r *http.Request, trusted []netip.Prefix) bool {
	l := &limits{trusted: trusted}
	return l.trusts(l.peer(r))
}

func (l *limits) trusts(addr netip.Addr) bool {
	for _, p := range l.trusted {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

package tunnel

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// An Opener opens connections to whatever a prefix stands for. Network and
// address are of no meaning to it. SendIt sessions are Openers, and so is anything
// that opens the forwarded channels of an SSH connection.
type Opener interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// RegistryOptions say which prefixes there can be.
type RegistryOptions struct {
	// Reserved says that a prefix would shadow a fixed path of the relay.
	Reserved func(prefix string) bool
	// PerIdentity is how many prefixes one identity may hold; 0 means 64.
	PerIdentity int
}

// A Registry holds the prefixes that are published now, whoever published them.
// It is safe for concurrent use.
type Registry struct {
	o RegistryOptions

	mu     sync.Mutex // guards what follows; nothing blocks under it
	claims map[string]*Claim
	held   map[string]int // prefixes by identity
	closed bool

	opened, takenOver, refused atomic.Uint64
}

// NewRegistry returns an empty Registry.
func NewRegistry(o RegistryOptions) *Registry {
	if o.PerIdentity == 0 {
		o.PerIdentity = 64
	}
	return &Registry{o: o, claims: map[string]*Claim{}, held: map[string]int{}}
}

// ClaimOptions describe who publishes what.
type ClaimOptions struct {
	Prefix   string
	Identity string // who may take the prefix over; "" is nobody
	Opener   Opener
	// Lost is called at most once, when the claim ends otherwise than by Release:
	// with [ErrTakenOver] or [ErrClosed]. It must not block.
	Lost func(error)
}

// A Claim is a prefix that is held. It is held until Release, until its own
// identity claims it again, or until the registry closes.
type Claim struct {
	ClaimOptions
	registry  *Registry
	transport *http.Transport
}

// Claim publishes a prefix at once. The prefix must not be somebody else's; the
// same identity takes it over, and the older claim hears of it. Errors wrap
// [ErrPrefix], [ErrTaken], [ErrTooMany] or [ErrClosed].
func (r *Registry) Claim(o ClaimOptions) (*Claim, error) {
	c := &Claim{ClaimOptions: o, registry: r, transport: &http.Transport{
		DialContext:         o.Opener.DialContext,
		DisableCompression:  true, // bodies pass as they are
		MaxIdleConns:        idleConns,
		MaxIdleConnsPerHost: idleConns,
		IdleConnTimeout:     30 * time.Second,
	}}
	older, err := r.put(c)
	if err != nil {
		r.refused.Add(1)
		return nil, err
	}
	r.opened.Add(1)
	if older != nil {
		r.takenOver.Add(1)
		older.lose(ErrTakenOver)
	}
	return c, nil
}

// idleConns is how many streams of a tunnel are kept for the next request.
const idleConns = 64

func (r *Registry) put(c *Claim) (older *Claim, err error) {
	if err := CheckPrefix(c.Prefix); err != nil {
		return nil, err
	}
	if r.o.Reserved != nil && r.o.Reserved(c.Prefix) {
		return nil, fmt.Errorf("%w %q: it is a fixed path of the relay, choose another one", ErrPrefix, c.Prefix)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, ErrClosed
	}
	older = r.claims[c.Prefix]
	switch {
	case older != nil && (older.Identity == "" || older.Identity != c.Identity):
		return nil, ErrTaken
	case older != nil:
		r.drop(older)
	case r.held[c.Identity] >= r.o.PerIdentity:
		return nil, ErrTooMany
	}
	r.claims[c.Prefix] = c
	r.held[c.Identity]++
	return older, nil
}

// drop takes c out; r.mu is held.
func (r *Registry) drop(c *Claim) {
	delete(r.claims, c.Prefix)
	if r.held[c.Identity]--; r.held[c.Identity] == 0 {
		delete(r.held, c.Identity)
	}
}

// Release gives the prefix back, if the claim still holds it.
func (c *Claim) Release() {
	c.registry.mu.Lock()
	if c.registry.claims[c.Prefix] == c {
		c.registry.drop(c)
	}
	c.registry.mu.Unlock()
	c.transport.CloseIdleConnections()
}

func (c *Claim) lose(why error) {
	if c.Lost != nil {
		c.Lost(why)
	}
	c.transport.CloseIdleConnections()
}

// Lookup returns who holds the prefix now, nil when nobody does.
func (r *Registry) Lookup(prefix string) *Claim {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.claims[prefix]
}

// Close ends all claims with [ErrClosed] and refuses new ones.
func (r *Registry) Close() {
	r.mu.Lock()
	claims := r.claims
	r.claims, r.held, r.closed = map[string]*Claim{}, map[string]int{}, true
	r.mu.Unlock()
	for _, c := range claims {
		c.lose(ErrClosed)
	}
}

// Stats are a registry's numbers since its start, but for Prefixes.
type Stats struct {
	Prefixes                   int // held now
	Opened, TakenOver, Refused uint64
}

// Stats returns the numbers of this moment.
func (r *Registry) Stats() Stats {
	r.mu.Lock()
	n := len(r.claims)
	r.mu.Unlock()
	return Stats{Prefixes: n, Opened: r.opened.Load(), TakenOver: r.takenOver.Load(), Refused: r.refused.Load()}
}

package broker

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Options bound what the broker keeps. The zero value of each is its default.
type Options struct {
	Replay  int           // bytes of a queue message kept for the next receiver: 64 KiB
	Mailbox int           // bytes buffered per receiver of broadcasts: 1 MiB
	Stall   time.Duration // how long a full receiver may take nothing while somebody waits on it: 30 s
}

// A Broker is a table of channels. All its methods may be called concurrently.
type Broker struct {
	opts   Options
	closed chan struct{}
	count  counters
	ids    atomic.Uint64 // of messages

	mu       sync.Mutex // guards all below, and what its comments say of other types; taken before any other lock
	channels map[Name]*channel
	wild     []*Subscription  // by pattern, in order of coming
	calls    map[string]*Call // by reply id
	watches  map[Name][]*watch
	below    map[Name]*line[*offer] // waiting requests, by the names above their channels
	seq      uint64                 // order of arrival
	down     bool
}

// New returns a broker with no channels.
func New(o Options) *Broker {
	if o.Replay <= 0 {
		o.Replay = 64 << 10
	}
	if o.Mailbox <= 0 {
		o.Mailbox = 1 << 20
	}
	if o.Stall <= 0 {
		o.Stall = 30 * time.Second
	}
	return &Broker{
		opts:     o,
		closed:   make(chan struct{}),
		channels: map[Name]*channel{},
		calls:    map[string]*Call{},
		watches:  map[Name][]*watch{},
		below:    map[Name]*line[*offer]{},
	}
}

// A channel exists while refs > 0. Everything in it is guarded by Broker.mu.
type channel struct {
	name      Name
	refs      int
	offers    line[*offer] // producers that wait for a receiver
	consumers line[taker]  // receivers that wait for a producer
	subs      []*attachment
	pubs      map[*Publisher]struct{}  // nil until there is one
	version   atomic.Uint64            // counts changes of subs; read without the lock
	arrival   *arrival                 // nil while no publisher waits for a receiver
	guard     *guard                   // the access list, nil where there is none
	watched   atomic.Pointer[[]*watch] // nil where nobody watches; read without the lock
	taken     []*Call                  // requests that were taken and not answered, oldest first
}

// A taker is one of the three that may stand in a line of consumers.
type taker struct {
	waiter *waiter     // a Receive
	sub    *attachment // a subscription
	answer *answer     // an Answer that waits for a request
}

// hold finds or makes the channel and keeps it. Under mu.
func (b *Broker) hold(n Name) *channel {
	ch := b.channels[n]
	if ch == nil {
		ch = &channel{name: n}
		b.channels[n] = ch
		ch.watchedBy(b.watches[n])
		for _, s := range b.wild {
			if s.pattern.Match(n) && s.allow(n) {
				b.attach(s, ch)
			}
		}
	}
	ch.refs++
	return ch
}

// release lets go of the channel; the last one to do so ends it. Under mu.
func (b *Broker) release(ch *channel) {
	ch.refs--
	if ch.refs > 0 {
		return
	}
	delete(b.channels, ch.name)
	for _, a := range slices.Clone(ch.subs) {
		b.detach(a)
	}
}

// next returns the next place in the order of arrival. Under mu.
func (b *Broker) next() uint64 {
	b.seq++
	return b.seq
}

// Each calls f for every channel that exists, in no order, with what it holds.
// f must not call the broker and must not block.
func (b *Broker) Each(f func(Name, Counts)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for n, ch := range b.channels {
		f(n, ch.counts())
	}
}

// Counts tells who is on a channel at a moment.
type Counts struct {
	Producers   int // queue producers that wait, and broadcast publishers
	Consumers   int // receivers of one message that wait
	Subscribers int // followers
	Pipes       int // followers that are one half of a pipe
	Waiting     int // producers that wait at this moment for somebody to receive
}

// Peek returns who is on the channel, and takes nothing. Both ends of a
// request/response channel are one.
func (b *Broker) Peek(n Name) Counts {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ch := b.channels[n.Request()]; ch != nil {
		return ch.counts()
	}
	return Counts{}
}

func (ch *channel) counts() Counts {
	c := Counts{Producers: ch.offers.n, Consumers: ch.consumers.n - len(ch.subs), Subscribers: len(ch.subs), Waiting: ch.offers.n}
	if ch.arrival != nil {
		c.Waiting += ch.arrival.waiting
	}
	for p := range ch.pubs {
		if p.opts.Pipe == nil {
			c.Producers++
		}
	}
	for _, a := range ch.subs {
		if a.s.opts.Pipe {
			c.Pipes++
		}
	}
	return c
}

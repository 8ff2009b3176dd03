package broker

import "slices"

// SubscribeOptions say how a subscription behaves.
type SubscribeOptions struct {
	Mailbox int  // bytes it may lag behind; 0 is the broker's default
	Stay    bool // it does not end with the last publisher, or with an empty queue message
	Pipe    bool // it is one half of a pipe (counted as such)
	// OnCut is called once, from a publisher's goroutine, when the subscription
	// is cut off for being too slow, so that whoever is blocked in a write can
	// be woken. It must not block.
	OnCut func(error)
	// As is who subscribes; Access as in [PublishOptions], not for patterns.
	As     Identity
	Access []string
}

// A Subscription receives every message of its channels: chunk by chunk what is
// broadcast there, and, in turn with the others in line, queue messages. It is
// used by one goroutine at a time; Close may be called from any.
type Subscription struct {
	b       *Broker
	opts    SubscribeOptions
	pattern Pattern
	allow   func(Name) bool
	box     mailbox

	attached map[*channel]*attachment // guarded by Broker.mu
	exact    *channel                 // held; nil for a pattern
	pubs     int                      // publishers on its channels; guarded by Broker.mu
	closed   bool                     // guarded by Broker.mu

	// Guarded by box.mu.
	idle    bool   // it waits in Next with nothing in hand: a queue message may be given to it
	skipped bool   // there may be a queue message that was not given to it
	offer   *offer // the queue message it has

	offerFirst, offerLast bool // what Next last handed out of offer
	events                []Event
}

// An attachment is a subscription on one channel. Guarded by Broker.mu.
type attachment struct {
	s    *Subscription
	ch   *channel
	id   uint64      // order of coming
	node node[taker] // its place in the line of consumers
}

// Subscribe follows one channel. It returns [ErrClosed] on a broker that is
// going down.
func (b *Broker) Subscribe(n Name, o SubscribeOptions) (*Subscription, error) {
	s := b.newSubscription(o)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	ch, err := b.join(n, o.As, o.Access)
	if err != nil {
		return nil, err
	}
	s.exact = ch
	b.attach(s, ch)
	return s, nil
}

// SubscribeMatch follows every channel that matches p and that allow lets pass,
// those that exist and those that come. Such a subscription does not make a
// channel exist. allow is called with the broker's lock held: it must not block
// and not call the broker.
func (b *Broker) SubscribeMatch(p Pattern, allow func(Name) bool, o SubscribeOptions) (*Subscription, error) {
	s := b.newSubscription(o)
	s.pattern, s.allow = p, allow
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	b.wild = append(b.wild, s)
	for n, ch := range b.channels {
		if p.Match(n) && allow(n) && ch.open(s) {
			b.attach(s, ch)
		}
	}
	return s, nil
}

func (b *Broker) newSubscription(o SubscribeOptions) *Subscription {
	if o.Mailbox <= 0 {
		o.Mailbox = b.opts.Mailbox
	}
	s := &Subscription{b: b, opts: o, attached: map[*channel]*attachment{}, skipped: true}
	s.box.init(o.Mailbox, make(chan struct{}, 1))
	s.box.owner = s
	return s
}

// attach puts s on a channel. Under Broker.mu.
func (b *Broker) attach(s *Subscription, ch *channel) {
	a := &attachment{s: s, ch: ch, id: b.next()}
	a.node.v.sub, a.node.seq = a, a.id
	s.attached[ch] = a
	ch.subs = append(ch.subs, a)
	ch.version.Add(1)
	ch.consumers.push(&a.node)
	s.pubs += len(ch.pubs)
	s.box.mu.Lock()
	s.skipped = true
	s.box.mu.Unlock()
	signal(s.box.wake)
	ch.arrived(false)
}

// detach takes s off one channel. Under Broker.mu.
func (b *Broker) detach(a *attachment) {
	a.ch.consumers.remove(&a.node)
	if i, ok := slices.BinarySearchFunc(a.ch.subs, a.id, byID); ok {
		a.ch.subs = slices.Delete(a.ch.subs, i, i+1)
	}
	a.ch.version.Add(1)
	a.s.pubs -= len(a.ch.pubs)
	delete(a.s.attached, a.ch)
}

func byID(a *attachment, id uint64) int {
	switch {
	case a.id < id:
		return -1
	case a.id > id:
		return 1
	}
	return 0
}

// remove takes s off all its channels, once. Under Broker.mu.
func (b *Broker) remove(s *Subscription) (stops stops) {
	if s.closed {
		return nil
	}
	s.closed = true
	if i := slices.Index(b.wild, s); i >= 0 {
		b.wild = slices.Delete(b.wild, i, i+1)
	}
	for _, a := range s.attached {
		b.detach(a)
	}
	if s.exact != nil {
		stops = b.unguard(s.exact, s.opts.Access)
		b.release(s.exact)
	}
	return stops
}

// evict cuts off a subscription that held its publishers back for too long.
func (b *Broker) evict(s *Subscription) {
	b.mu.Lock()
	gone := s.closed
	stops := b.remove(s)
	b.mu.Unlock()
	stops.call()
	s.box.end(ErrSlow, false)
	if gone {
		return
	}
	b.count.evicted.Add(1)
	if s.opts.OnCut != nil {
		s.opts.OnCut(ErrSlow)
	}
}

// Close leaves all channels. What Next returned and was not acknowledged by
// another Next counts as not written: a queue message goes to the next receiver
// if it is kept, a waiting publisher keeps what nobody took. A Next that waits
// returns an error. Close may be called again.
func (s *Subscription) Close() {
	s.b.mu.Lock()
	stops := s.b.remove(s)
	s.b.mu.Unlock()
	stops.call()
	s.box.mu.Lock()
	o := s.offer
	s.offer, s.idle = nil, false
	s.box.mu.Unlock()
	s.box.leave(false)
	if o != nil {
		s.b.finish(o, errLeft)
	}
}

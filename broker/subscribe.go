package broker

import (
	"context"
	"io"
	"slices"
)

// batchBytes bounds what one Next hands out: enough for one write, little
// enough to be acknowledged soon.
const batchBytes = 64 << 10

// SubscribeOptions say how a subscription behaves.
type SubscribeOptions struct {
	Mailbox int  // bytes it may lag behind; 0 is the broker's default
	Stay    bool // it does not end with the last publisher, or with an empty queue message
	Pipe    bool // it is one half of a pipe (counted as such)
	// OnCut is called once, from a publisher's goroutine, when the subscription
	// is cut off for being too slow, so that whoever is blocked in a write can
	// be woken. It must not block.
	OnCut func(error)
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
	exact    *channel                 // held; nil for a pattern; guarded by Broker.mu
	closed   bool                     // guarded by Broker.mu

	// Guarded by box.mu.
	pubs    int    // publishers on its channels
	over    bool   // the last of them left, and that is its end
	idle    bool   // it waits in Next with nothing in hand: a queue message may be given to it
	skipped bool   // a queue message was not given to it because it was not idle
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
	s.exact = b.hold(n.Request())
	b.attach(s, s.exact)
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
	b.wild[s] = struct{}{}
	for n, ch := range b.channels {
		if p.Match(n) && allow(n) {
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
	s.box.mu.Lock()
	s.pubs += len(ch.pubs)
	s.skipped = true
	s.box.mu.Unlock()
	signal(s.box.wake)
	ch.arrived()
}

// detach takes s off one channel. Under Broker.mu.
func (b *Broker) detach(a *attachment) {
	a.ch.consumers.remove(&a.node)
	if i, ok := slices.BinarySearchFunc(a.ch.subs, a.id, byID); ok {
		a.ch.subs = slices.Delete(a.ch.subs, i, i+1)
	}
	a.ch.version.Add(1)
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
func (b *Broker) remove(s *Subscription) {
	if s.closed {
		return
	}
	s.closed = true
	delete(b.wild, s)
	for _, a := range s.attached {
		b.detach(a)
	}
	if s.exact != nil {
		b.release(s.exact)
	}
}

// evict cuts off a subscription that held its publishers back for too long.
func (b *Broker) evict(s *Subscription) {
	b.mu.Lock()
	gone := s.closed
	b.remove(s)
	b.mu.Unlock()
	s.box.end(ErrSlow, false)
	if gone {
		return
	}
	b.count.evicted.Add(1)
	if s.opts.OnCut != nil {
		s.opts.OnCut(ErrSlow)
	}
}

// publisher books that one came (+1) or left (-1).
func (s *Subscription) publisher(n int) {
	s.box.mu.Lock()
	s.pubs += n
	if s.pubs == 0 && n < 0 && !s.opts.Stay {
		s.over = true
		signal(s.box.wake)
	}
	s.box.mu.Unlock()
}

// claim gives a queue message to s if it is idle. Under Broker.mu.
func (s *Subscription) claim(o *offer) bool {
	s.box.mu.Lock()
	free := s.idle && s.offer == nil && s.box.n == 0 && s.box.ended == nil && !s.over
	if free {
		s.offer, s.idle, s.offerFirst, s.offerLast = o, false, true, false
	} else {
		s.skipped = true
	}
	s.box.mu.Unlock()
	if free {
		s.b.match(o, s.box.wake)
		signal(s.box.wake)
	}
	return free
}

// Next returns what came, at least one event and not much more than 64 KiB; the
// slice and the bytes in it are valid until the following Next or Close. Calling
// Next says that everything it returned before was written to the client: a
// queue message is acknowledged to its producer by the call that follows its
// last event. Next blocks while there is nothing. It returns io.EOF when the
// last publisher left (unless Stay), [ErrSlow], [ErrClosed], [ErrDestroyed] or
// the cause of ctx; Close is due in every case.
func (s *Subscription) Next(ctx context.Context) ([]Event, error) {
	s.acknowledge()
	for {
		s.box.mu.Lock()
		s.idle = false
		withdrawn := s.collect()
		if len(s.events) > 0 {
			s.box.mu.Unlock()
			return s.events, nil
		}
		if withdrawn {
			s.box.mu.Unlock()
			s.b.count.transfers.Add(-1)
			continue
		}
		if s.offer == nil && (s.box.ended != nil || s.over) {
			err := s.box.ended
			s.box.mu.Unlock()
			if err == nil {
				err = io.EOF
			}
			return nil, err
		}
		s.idle = s.offer == nil
		scan := s.idle && s.skipped
		if scan {
			s.skipped = false
		}
		s.box.mu.Unlock()
		if scan {
			s.scan()
		}
		select {
		case <-s.box.wake:
		case <-ctx.Done():
			s.box.mu.Lock()
			s.idle = false
			s.box.mu.Unlock()
			return nil, context.Cause(ctx)
		}
	}
}

// collect fills events from the mailbox and from the queue message in hand,
// under box.mu. It tells whether that message was withdrawn.
func (s *Subscription) collect() (withdrawn bool) {
	clear(s.events)
	s.events = s.events[:0]
	for size := 0; s.box.n > 0 && size < batchBytes; {
		c := s.box.pop()
		size += len(c.data)
		s.events = append(s.events, Event{Info: c.info, Data: c.data, First: c.first, Last: c.last, Cut: c.cut})
	}
	o := s.offer
	if o == nil || s.offerLast {
		return false
	}
	o.mu.Lock()
	data, err := o.next()
	end := o.atEnd()
	o.mu.Unlock()
	e := Event{Info: o.info, Data: data, First: s.offerFirst}
	switch {
	case err == errWithdrawn:
		s.offer = nil
		return true
	case err == ErrCut:
		e.Last, e.Cut = true, true
	case err == io.EOF || data != nil && end:
		e.Last = true
	case data == nil:
		return false
	}
	s.offerFirst, s.offerLast = false, e.Last
	s.events = append(s.events, e)
	return false
}

// acknowledge books what Next returned last as written.
func (s *Subscription) acknowledge() {
	s.box.mu.Lock()
	bytes := 0
	for _, e := range s.events {
		bytes += len(e.Data)
	}
	s.box.written()
	o, done := s.offer, s.offerLast
	if done {
		s.offer, s.offerLast = nil, false
	}
	clear(s.events)
	s.events = s.events[:0]
	s.box.mu.Unlock()
	if o == nil {
		s.b.count.bytes.Add(uint64(bytes))
	}
	if done {
		s.served(o)
	}
}

// served ends a queue message that was received, and sends s to the back of the
// line it came from.
func (s *Subscription) served(o *offer) {
	s.b.finish(o, nil)
	o.mu.Lock()
	empty := o.eof && o.total == 0
	o.mu.Unlock()
	s.b.mu.Lock()
	if a := s.attached[o.ch]; a != nil {
		o.ch.consumers.remove(&a.node)
		a.node.seq = s.b.next()
		o.ch.consumers.push(&a.node)
	}
	s.b.mu.Unlock()
	if empty && !s.opts.Stay {
		s.box.mu.Lock()
		s.over = true
		s.box.mu.Unlock()
	}
}

// scan looks for queue messages that came while s was not idle.
func (s *Subscription) scan() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	for ch := range s.attached {
		if first := ch.offers.head; first != nil && s.claim(first.v) {
			return
		}
	}
}

// Close leaves all channels. What Next returned and was not acknowledged by
// another Next counts as not written: a queue message goes to the next receiver
// if it is kept, a waiting publisher keeps what nobody took. Close may be called
// again.
func (s *Subscription) Close() {
	s.b.mu.Lock()
	s.b.remove(s)
	s.b.mu.Unlock()
	s.box.mu.Lock()
	o := s.offer
	s.offer, s.idle = nil, false
	s.box.mu.Unlock()
	s.box.leave(false)
	if o != nil {
		s.b.finish(o, errLeft)
	}
}

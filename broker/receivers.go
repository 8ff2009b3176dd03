package broker

import (
	"context"
	"slices"
	"time"
)

// A target is one receiver of a publisher.
type target struct {
	m     *mailbox
	id    uint64 // of the attachment; 0 for a Receive
	upto  uint64 // position of the last chunk put in, 0 before the first
	began uint64 // message of which the last chunk was put in
	whole bool   // it got all of the message under way
	gone  bool

	// While the publisher waits for it:
	full  bool
	took  uint64    // its position
	since time.Time // since when it is there
}

// receivers returns those of the message under way.
func (p *Publisher) receivers() [2][]*target {
	if !p.opts.RoundRobin {
		return [2][]*target{p.followers, p.oneshots}
	}
	if p.chosen == nil {
		return [2][]*target{}
	}
	p.one[0] = p.chosen
	return [2][]*target{p.one[:]}
}

// start begins a message: it finds its receivers, and waits for one if it must.
// What the last receivers left behind goes first.
func (p *Publisher) start(ctx context.Context) error {
	p.left = patienceInAll * p.opts.Patience
	p.forget()
	for {
		p.fresh()
		if p.opts.Wait && (p.opts.RoundRobin || !p.current()) && p.pending.anyOrphan() {
			if err := p.handOn(ctx); err != nil {
				return err
			}
		}
		p.b.mu.Lock()
		if err := p.barred(); err != nil {
			p.b.mu.Unlock()
			return err
		}
		p.refresh()
		if !p.opts.Wait || len(p.followers) > 0 || p.ch.waiter() != nil {
			break
		}
		if err := p.awaitArrival(ctx); err != nil {
			return err
		}
	}
	p.info = &Info{ID: p.b.ids.Add(1), Channel: p.ch.name, Header: p.header, Size: p.size, Time: time.Now()}
	p.header, p.size, p.part = nil, -1, 0
	p.claim()
	p.open.Store(true)
	p.b.mu.Unlock()
	p.b.count.messages.Add(1)
	for _, t := range p.followers {
		t.whole = true
	}
	if p.opts.RoundRobin {
		p.choose()
	}
	return nil
}

// forget lets go of the one-message receivers of the last message. A publisher
// that waits keeps an eye on those that have not taken it yet.
func (p *Publisher) forget() {
	if p.opts.Wait {
		p.past = append(p.past, p.oneshots...)
		p.past = slices.DeleteFunc(p.past, func(t *target) bool { return t.m.settled(t.upto) })
	}
	clear(p.oneshots)
	p.oneshots = p.oneshots[:0]
	p.chosen = nil
}

// claim takes the Receives that wait, to the end of this message: all of them,
// or with RoundRobin the first. Under Broker.mu.
func (p *Publisher) claim() {
	if p.ch.consumers.n == len(p.ch.subs) {
		return
	}
	for x := p.ch.consumers.head; x != nil; {
		w, next := x.v.waiter, x.next
		if w != nil {
			p.oneshots = append(p.oneshots, p.take(w, p.info))
			if p.opts.RoundRobin {
				return
			}
		}
		x = next
	}
}

// take gives a waiting Receive a mailbox of its own, for one message. Under
// Broker.mu.
func (p *Publisher) take(w *waiter, info *Info) *target {
	p.ch.consumers.remove(&w.node)
	box := &mailbox{info: info}
	box.init(p.b.opts.Mailbox, w.wake)
	w.got <- taken{box: box}
	return &target{m: box, whole: true}
}

// waiter returns the first Receive in line. Under Broker.mu.
func (ch *channel) waiter() *waiter {
	if ch.consumers.n == len(ch.subs) {
		return nil
	}
	for x := ch.consumers.head; x != nil; x = x.next {
		if x.v.waiter != nil {
			return x.v.waiter
		}
	}
	return nil
}

// fresh looks whether followers came or left since it last looked.
func (p *Publisher) fresh() {
	if p.ch.version.Load() == p.version {
		return
	}
	p.b.mu.Lock()
	p.refresh()
	p.b.mu.Unlock()
}

// refresh brings followers up to date; both lists are in order of coming. Under
// Broker.mu.
func (p *Publisher) refresh() {
	v := p.ch.version.Load()
	if v == p.version {
		return
	}
	p.version = v
	old := p.followers
	fresh := make([]*target, 0, len(p.ch.subs))
	for _, a := range p.ch.subs {
		for len(old) > 0 && old[0].id < a.id {
			p.lost(old[0])
			old = old[1:]
		}
		known := len(old) > 0 && old[0].id == a.id
		switch {
		case a.s == p.opts.Pipe && !p.opts.Echo:
		case !a.s.box.live():
			continue // and if it was known, it is lost in the next step
		case known:
			fresh = append(fresh, old[0])
			old = old[1:]
		default:
			fresh = append(fresh, &target{m: &a.s.box, id: a.id})
		}
	}
	for _, t := range old {
		p.lost(t)
	}
	p.followers = fresh
}

// lost remembers a follower that gets no more, for Drain.
func (p *Publisher) lost(t *target) {
	if p.opts.Wait && t.upto > 0 && !t.m.settled(t.upto) {
		p.past = append(p.past, t)
	}
}

// current tells whether a follower is there that got the last chunk. One that
// came since got none.
func (p *Publisher) current() bool {
	for _, t := range p.followers {
		if t.upto > 0 && !t.gone {
			return true
		}
	}
	return false
}

// An arrival is what publishers without receivers wait for together.
type arrival struct {
	waiting   int           // how many they are; guarded by Broker.mu
	done      chan struct{} // closed when a receiver arrives, or the channel is destroyed
	destroyed bool          // written before done is closed
}

// arrived wakes the publishers that wait for a receiver. Under Broker.mu.
func (ch *channel) arrived(destroyed bool) {
	if ch.arrival != nil {
		ch.arrival.destroyed = destroyed
		close(ch.arrival.done)
		ch.arrival = nil
	}
}

// awaitArrival blocks until a receiver arrives. It is entered with Broker.mu held
// and gives it back before it waits.
func (p *Publisher) awaitArrival(ctx context.Context) error {
	if p.ch.arrival == nil {
		p.ch.arrival = &arrival{done: make(chan struct{})}
	}
	arrival := p.ch.arrival
	arrival.waiting++
	p.b.mu.Unlock()
	var err error
	select {
	case <-arrival.done:
		if arrival.destroyed {
			return ErrDestroyed
		}
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-p.b.closed:
		err = ErrClosed
	}
	p.b.mu.Lock()
	arrival.waiting--
	p.b.mu.Unlock()
	return err
}

package broker

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// PublishOptions say how a publisher treats its receivers.
type PublishOptions struct {
	// Wait makes it lossless: it waits until somebody receives, is held back by
	// receivers whose mailbox is full, and what nobody took goes to the next
	// receiver. Without it the publisher never waits, and a full receiver misses
	// the chunk.
	Wait bool
	// RoundRobin gives each message to one receiver, in turn.
	RoundRobin bool
	// Patience is how long in all a publisher that does not wait may be held
	// back by full receivers for one message.
	Patience time.Duration
	// Pipe is the subscription that is the other half of a pipe; it does not
	// hear this publisher unless Echo.
	Pipe *Subscription
	Echo bool
}

// A Publisher sends messages to all receivers of a channel. It is used by one
// goroutine at a time.
type Publisher struct {
	b    *Broker
	ch   *channel
	opts PublishOptions
	open atomic.Bool // a message is under way; stored under Broker.mu

	header Header
	size   int64
	info   *Info // of the message under way

	version uint64 // of ch.subs that followers was made from
	// followers in order of coming, and the one-message receivers of the message
	// under way. With RoundRobin the message goes to chosen alone.
	followers, oneshots []target
	chosen              target
	turn                uint64 // id of the follower that was served last
	claimed             bool   // the last of oneshots came for the message that begins

	pending []*chunk      // Wait: written and not yet taken by anybody, oldest first
	left    time.Duration // of Patience, for this message
	timer   *time.Timer
	closed  bool
}

// A target is one receiver of a publisher.
type target struct {
	m     *mailbox
	id    uint64 // of the attachment; 0 for a Receive
	upto  uint64 // position of the last chunk put in
	whole bool   // it got all of the message under way
	gone  bool
}

// Publish opens a publisher. The channel's subscriptions last until it closes,
// or longer. It never blocks and returns [ErrClosed] on a broker that is going
// down.
func (b *Broker) Publish(n Name, o PublishOptions) (*Publisher, error) {
	p := &Publisher{b: b, opts: o, size: -1}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	p.ch = b.hold(n)
	p.version = p.ch.version.Load() - 1 // whatever it is, look once
	p.ch.pubs[p] = struct{}{}
	for _, a := range p.ch.subs {
		a.s.publisher(+1)
	}
	return p, nil
}

// Close leaves the channel. A message under way is aborted. It does not wait and
// may be called again; Drain first to know that what was written was taken.
func (p *Publisher) Close() {
	if p.closed {
		return
	}
	p.Abort()
	p.closed = true
	for _, c := range p.pending {
		c.release()
	}
	p.pending = nil
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	delete(p.ch.pubs, p)
	for _, a := range p.ch.subs {
		a.s.publisher(-1)
	}
	p.b.release(p.ch)
}

// Begin sets the header of the next message and its size in bytes, -1 when it is
// not known. Without Begin there is no header. The message begins with the first
// Write, or with End.
func (p *Publisher) Begin(h Header, size int64) { p.header, p.size = h, size }

// Ready blocks, when the publisher waits, until somebody would receive a message
// that begins now. It returns the cause of ctx or [ErrClosed].
func (p *Publisher) Ready(ctx context.Context) error {
	for p.opts.Wait {
		p.b.mu.Lock()
		if p.b.down {
			p.b.mu.Unlock()
			return ErrClosed
		}
		p.refresh()
		if len(p.followers) > 0 || p.ch.waiter() != nil {
			p.b.mu.Unlock()
			return nil
		}
		if err := p.awaitArrival(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitArrival is entered with Broker.mu held and gives it back before it waits.
func (p *Publisher) awaitArrival(ctx context.Context) error {
	arrival := p.ch.waitArrival()
	p.b.mu.Unlock()
	select {
	case <-arrival:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.b.closed:
		return ErrClosed
	}
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

// Write sends data, which it copies, as a part of the message. A publisher that
// waits blocks until there is a receiver and every receiver has room for it. It
// returns the cause of ctx, or [ErrClosed] when a message cannot begin any more.
func (p *Publisher) Write(ctx context.Context, data []byte) error {
	return p.write(ctx, data, false)
}

// End ends the message, an empty one if nothing was written. It returns how many
// receivers were handed all of it, into their bounded buffers or further.
func (p *Publisher) End(ctx context.Context) (delivered int, err error) {
	if err := p.write(ctx, nil, true); err != nil {
		return 0, err
	}
	return p.ended(), nil
}

// Message sends a whole message. Up to 64 KiB it arrives as one event.
func (p *Publisher) Message(ctx context.Context, h Header, data []byte) (delivered int, err error) {
	p.Begin(h, int64(len(data)))
	if err := p.write(ctx, data, true); err != nil {
		return 0, err
	}
	return p.ended(), nil
}

// write sends data in chunks, the last of which ends the message if last.
func (p *Publisher) write(ctx context.Context, data []byte, last bool) error {
	first := !p.open.Load()
	if first {
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	for {
		part := data[:min(len(data), chunkBytes)]
		data = data[len(part):]
		c := newChunk(p.info, part)
		c.first, c.last = first, last && len(data) == 0
		err := p.deliver(ctx, c)
		c.release()
		if err != nil || len(data) == 0 {
			return err
		}
		first = false
	}
}

// start begins a message: it finds its receivers, and waits for one if it must.
func (p *Publisher) start(ctx context.Context) error {
	p.left = p.opts.Patience
	p.forget()
	for {
		p.b.mu.Lock()
		if p.b.down {
			p.b.mu.Unlock()
			return ErrClosed
		}
		p.refresh()
		p.claim()
		if !p.opts.Wait || len(p.followers) > 0 || p.claimed || !p.opts.RoundRobin && len(p.oneshots) > 0 {
			break
		}
		if err := p.awaitArrival(ctx); err != nil {
			return err
		}
	}
	p.open.Store(true)
	p.b.mu.Unlock()
	for i := range p.followers {
		p.followers[i].whole = true
	}
	p.info = &Info{ID: p.b.ids.Add(1), Channel: p.ch.name, Header: p.header, Size: p.size, Time: time.Now()}
	p.header, p.size = nil, -1
	p.b.count.messages.Add(1)
	if p.opts.RoundRobin {
		p.choose()
	}
	return nil
}

// claim takes the Receives that wait, to the end of this message: all of them,
// or with RoundRobin the first. Under Broker.mu.
func (p *Publisher) claim() {
	for w := p.ch.waiter(); w != nil; w = p.ch.waiter() {
		p.oneshots = append(p.oneshots, p.take(w))
		if p.opts.RoundRobin {
			p.claimed = true
			return
		}
	}
}

// forget lets go of the one-message receivers of the last message. With
// RoundRobin those stay that have not taken it yet, for Drain to wait for.
func (p *Publisher) forget() {
	p.oneshots = slices.DeleteFunc(p.oneshots, func(t target) bool {
		took, gone, _ := t.m.position()
		return !p.opts.RoundRobin || gone || took >= t.upto
	})
}

// take gives a waiting Receive a mailbox of its own. Under Broker.mu.
func (p *Publisher) take(w *waiter) target {
	p.ch.consumers.remove(&w.node)
	box := &mailbox{}
	box.init(p.b.opts.Mailbox, w.wake)
	w.got <- taken{box: box}
	return target{m: box, whole: true}
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
	fresh := make([]target, 0, len(p.ch.subs))
	for _, a := range p.ch.subs {
		if a.s == p.opts.Pipe && !p.opts.Echo || !a.s.box.live() {
			continue
		}
		for len(old) > 0 && old[0].id < a.id {
			old = old[1:]
		}
		if len(old) > 0 && old[0].id == a.id {
			fresh = append(fresh, old[0])
		} else {
			fresh = append(fresh, target{m: &a.s.box, id: a.id})
		}
	}
	p.followers = fresh
}

// deliver puts c into the mailboxes of all receivers of the message.
func (p *Publisher) deliver(ctx context.Context, c *chunk) error {
	if p.opts.Wait {
		p.prune()
		c.refs.Add(1)
		p.pending = append(p.pending, c)
	}
	p.fresh()
	if p.opts.RoundRobin {
		return p.deliverOne(ctx, c)
	}
	live, err := p.push(ctx, c)
	if err == nil && live == 0 && p.opts.Wait {
		err = p.another(ctx)
	}
	return err
}

// push puts c into every mailbox: first into those that have room, then, one
// after the other, into those that must be waited for. It returns how many
// receivers are left.
func (p *Publisher) push(ctx context.Context, c *chunk) (live int, err error) {
	full := false
	for _, list := range [2][]target{p.followers, p.oneshots} {
		for i := range list {
			t := &list[i]
			if t.gone {
				continue
			}
			switch ok, seq := t.m.push(c); ok {
			case pushOK:
				t.upto = seq
				live++
			case pushGone:
				t.gone = true
			case pushFull:
				t.upto = 0 // to be waited for
				full = true
			}
		}
	}
	if !full {
		return live, nil
	}
	for _, list := range [2][]target{p.followers, p.oneshots} {
		for i := range list {
			if t := &list[i]; t.upto == 0 && !t.gone {
				if err := p.pushFull(ctx, t, c); err != nil {
					return live, err
				}
				if !t.gone {
					live++
				}
			}
		}
	}
	return live, nil
}

// errMissed says inside the publisher that a receiver does without this chunk.
var errMissed = errors.New("missed")

// pushFull puts c into a mailbox that was full, as far as this publisher waits.
func (p *Publisher) pushFull(ctx context.Context, t *target, c *chunk) error {
	p.b.count.held.Add(1)
	for {
		took, _, change := t.m.position()
		ok, seq := t.m.push(c)
		switch ok {
		case pushOK:
			t.upto = seq
			return nil
		case pushGone:
			t.gone = true
			return nil
		}
		switch err := p.await(ctx, t, took, change); err {
		case nil:
		case errMissed:
			p.b.count.dropped.Add(1)
			t.whole = false
			t.upto = 1 // not waited for any more
			if t.m.owner == nil {
				t.m.end(ErrSlow, false) // half a message is none
				t.gone = true
			}
			return nil
		default:
			return err
		}
	}
}

// await waits for a change of t's mailbox, and cuts t off when it takes nothing
// for the stall limit. A publisher that does not wait has its patience instead.
func (p *Publisher) await(ctx context.Context, t *target, took uint64, change <-chan struct{}) error {
	limit := p.b.opts.Stall
	if !p.opts.Wait {
		if limit = p.left; limit <= 0 {
			return errMissed
		}
	}
	start := time.Now()
	if p.timer == nil {
		p.timer = time.NewTimer(limit)
	} else {
		p.timer.Reset(limit)
	}
	defer p.timer.Stop()
	select {
	case <-change:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.timer.C:
		if now, gone, _ := t.m.position(); p.opts.Wait && now == took && !gone {
			p.cut(t)
		}
	}
	if !p.opts.Wait {
		p.left -= max(time.Since(start), 1)
	}
	return nil
}

// cut ends a receiver that holds this publisher back.
func (p *Publisher) cut(t *target) {
	t.gone = true
	if t.m.owner != nil {
		p.b.evict(t.m.owner)
		return
	}
	p.b.count.evicted.Add(1)
	t.m.end(ErrSlow, false)
}

// prune lets go of the chunks that somebody took.
func (p *Publisher) prune() {
	p.pending = slices.DeleteFunc(p.pending, func(c *chunk) bool {
		if c.taken.Load() {
			c.release()
			return true
		}
		return false
	})
}

// another waits for a receiver after the last one left, and hands it all that
// nobody took: followers get everything, a Receive the first message that is
// still there from its beginning.
func (p *Publisher) another(ctx context.Context) error {
	p.oneshots = p.oneshots[:0]
	for {
		p.prune()
		if len(p.pending) == 0 {
			return nil
		}
		p.b.mu.Lock()
		p.version--
		p.refresh()
		if len(p.followers) > 0 {
			p.b.mu.Unlock()
			for i := range p.followers {
				p.followers[i].whole = p.pending[0].first && p.pending[0].info == p.info
			}
			again, err := p.repeat(ctx, p.pending)
			if err != nil || !again {
				return err
			}
			continue
		}
		if w := p.ch.waiter(); w != nil && p.pending[0].first {
			t := p.take(w)
			p.b.mu.Unlock()
			end := slices.IndexFunc(p.pending, func(c *chunk) bool { return c.last }) + 1
			if end == 0 {
				end = len(p.pending)
			}
			p.oneshots = append(p.oneshots[:0], t)
			again, err := p.repeat(ctx, p.pending[:end])
			if err != nil || !again && end == len(p.pending) {
				return err
			}
			if !again {
				if err := p.settled(ctx, &p.oneshots[0]); err != nil {
					return err
				}
			}
			p.oneshots = p.oneshots[:0]
			continue
		}
		if p.b.down {
			p.b.mu.Unlock()
			return ErrClosed
		}
		if err := p.awaitArrival(ctx); err != nil {
			return err
		}
	}
}

// repeat pushes chunks to the receivers of the moment; again says that they left.
func (p *Publisher) repeat(ctx context.Context, chunks []*chunk) (again bool, err error) {
	for _, c := range chunks {
		live, err := p.push(ctx, c)
		if err != nil || live == 0 {
			return live == 0, err
		}
	}
	return false, nil
}

// settled waits until t took all that was put in, or is gone.
func (p *Publisher) settled(ctx context.Context, t *target) error {
	for {
		took, gone, change := t.m.position()
		if gone || t.gone || took >= t.upto {
			return nil
		}
		if err := p.await(ctx, t, took, change); err != nil {
			return err
		}
	}
}

// Drain blocks, when the publisher waits, until all receivers took what was
// written to them, so that nothing is left that could be lost; when the last
// receiver left before, it waits for another one. It returns the cause of ctx or
// [ErrClosed].
func (p *Publisher) Drain(ctx context.Context) error {
	for p.opts.Wait {
		p.fresh()
		for _, list := range [2][]target{p.followers, p.oneshots} {
			for i := range list {
				if err := p.settled(ctx, &list[i]); err != nil {
					return err
				}
			}
		}
		p.prune()
		if len(p.pending) == 0 {
			return nil
		}
		var err error
		if p.opts.RoundRobin {
			err = p.rescue(ctx, nil)
		} else {
			err = p.another(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ended closes the books of a message that was sent to its end.
func (p *Publisher) ended() (delivered int) {
	if p.opts.RoundRobin {
		if p.chosen.m != nil && p.chosen.whole && !p.chosen.gone {
			delivered = 1
		}
	} else {
		for _, list := range [2][]target{p.followers, p.oneshots} {
			for i := range list {
				if list[i].whole && !list[i].gone {
					delivered++
				}
			}
		}
	}
	p.b.count.delivered.Add(uint64(delivered))
	p.over()
	return delivered
}

// over says that no message is under way any more.
func (p *Publisher) over() {
	p.b.mu.Lock()
	p.open.Store(false)
	if p.b.down {
		p.b.endIdle(p.ch)
	}
	p.b.mu.Unlock()
}

// Abort ends the message under way as cut: its producer went away. It does not
// wait; without a message it does nothing.
func (p *Publisher) Abort() {
	if p.closed || !p.open.Load() {
		return
	}
	c := newChunk(p.info, nil)
	c.last, c.cut = true, true
	lists := [2][]target{p.followers, p.oneshots}
	if p.opts.RoundRobin {
		lists = [2][]target{{p.chosen}, nil}
	}
	for _, list := range lists {
		for i := range list {
			switch t := &list[i]; {
			case t.m == nil || t.gone:
			case t.m.owner != nil:
				t.m.push(c)
			default:
				t.m.end(ErrCut, true)
			}
		}
	}
	c.release()
	p.over()
}

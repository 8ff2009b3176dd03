package broker

import (
	"context"
	"io"
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
	// Patience is how long a publisher that does not wait may be held back by a
	// full receiver that takes nothing; that one then misses the rest of the
	// message. In all, receivers may hold one message back ten times as long.
	Patience time.Duration
	// Pipe is the subscription that is the other half of a pipe; it does not
	// hear this publisher unless Echo.
	Pipe *Subscription
	Echo bool
	// As is who publishes; Access, if it is not nil, the list of those who may use
	// the channel as long as this publisher is there: users, fingerprints of keys,
	// [AccessWeb].
	As     Identity
	Access []string
}

// patienceInAll bounds what receivers that are slow, but take something, may cost
// one message: so many times Patience.
const patienceInAll = 10

// A Publisher sends messages to all receivers of a channel. It is used by one
// goroutine at a time.
type Publisher struct {
	b      *Broker
	ch     *channel
	opts   PublishOptions
	denied atomic.Bool // it was a guest, and the access list is gone
	open   atomic.Bool // a message is under way; set under Broker.mu

	header Header
	size   int64
	info   *Info // of the message under way, or the last one
	part   int   // of the next chunk

	version uint64 // of ch.subs that followers was made from
	// The receivers of the message under way: followers in order of coming, and
	// those that take this message alone. With RoundRobin it goes to chosen.
	followers, oneshots []*target
	chosen              *target
	turn                uint64 // id of the follower that was served last

	// Of a publisher that waits:
	past    []*target // left one of the lists above, and may still have something
	pending backlog

	left   time.Duration // of Patience, for this message
	timer  *time.Timer
	one    [1]*target // scratch
	closed bool
}

// Publish opens a publisher. The channel's subscriptions last until it closes,
// or longer. It never blocks and returns [ErrClosed] on a broker that is going
// down, [ErrDenied] or [ErrTaken].
func (b *Broker) Publish(n Name, o PublishOptions) (*Publisher, error) {
	p := &Publisher{b: b, opts: o, size: -1}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	ch, err := b.join(n, o.As, o.Access)
	if err != nil {
		return nil, err
	}
	p.ch = ch
	p.version = p.ch.version.Load() - 1 // whatever it is, look once
	if p.ch.pubs == nil {
		p.ch.pubs = map[*Publisher]struct{}{}
	}
	p.ch.pubs[p] = struct{}{}
	for _, a := range p.ch.subs {
		a.s.pubs++
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
	p.pending.keep(func(*chunk) bool { return false })
	var stops stops
	defer func() { stops.call() }() // when the lock is given back
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	delete(p.ch.pubs, p)
	for _, a := range p.ch.subs {
		if a.s.pubs--; a.s.pubs == 0 && !a.s.opts.Stay {
			p.b.end(a.s, io.EOF)
		}
	}
	stops = p.b.unguard(p.ch, p.opts.Access)
	p.b.release(p.ch)
}

// Begin sets the header of the next message and its size in bytes, -1 when it is
// not known. Without Begin there is no header. The message begins with the first
// Write, or with End.
func (p *Publisher) Begin(h Header, size int64) { p.header, p.size = h, size }

// Ready blocks, when the publisher waits, until somebody would receive a message
// that begins now. It returns the cause of ctx, [ErrClosed] or [ErrDestroyed].
func (p *Publisher) Ready(ctx context.Context) error {
	for p.opts.Wait {
		p.b.mu.Lock()
		if err := p.barred(); err != nil {
			p.b.mu.Unlock()
			return err
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

// barred tells why the publisher may not begin a message. Under Broker.mu.
func (p *Publisher) barred() error {
	switch {
	case p.b.down:
		return ErrClosed
	case p.denied.Load():
		return ErrDenied
	}
	return nil
}

// Write sends data, which it copies, as a part of the message. A publisher that
// waits blocks until there is a receiver and every receiver has room for it. It
// returns the cause of ctx, [ErrDestroyed] while it waits for a receiver, or
// [ErrClosed] when a message cannot begin or go on any more. After an error the
// message is over as if by Abort.
func (p *Publisher) Write(ctx context.Context, data []byte) error {
	return p.write(ctx, data, false)
}

// End ends the message, an empty one if nothing was written. It returns how many
// receivers were handed all of it, into their bounded buffers or further. Errors
// are those of Write.
func (p *Publisher) End(ctx context.Context) (delivered int, err error) {
	if err := p.write(ctx, nil, true); err != nil {
		return 0, err
	}
	return p.ended(), nil
}

// Message sends a whole message. Up to 64 KiB it arrives as one event. Errors
// are those of Write.
func (p *Publisher) Message(ctx context.Context, h Header, data []byte) (delivered int, err error) {
	p.Begin(h, int64(len(data)))
	if err := p.write(ctx, data, true); err != nil {
		return 0, err
	}
	return p.ended(), nil
}

// write sends data in chunks, the last of which ends the message if last.
func (p *Publisher) write(ctx context.Context, data []byte, last bool) error {
	p.ch.seen()
	first := !p.open.Load()
	switch {
	case p.denied.Load():
		p.Abort()
		return ErrDenied
	case first:
		if err := p.start(ctx); err != nil {
			return err
		}
	}
	for {
		part := data[:min(len(data), chunkBytes)]
		data = data[len(part):]
		c := newChunk(p.info, part)
		c.part, c.first, c.last = p.part, first, last && len(data) == 0
		p.part++
		err := p.deliver(ctx, c)
		c.release()
		if err != nil {
			p.Abort()
			return err
		}
		if len(data) == 0 {
			return nil
		}
		first = false
	}
}

// ended closes the books of a message that was sent to its end.
func (p *Publisher) ended() (delivered int) {
	for _, list := range p.receivers() {
		for _, t := range list {
			if t.whole && !t.gone {
				delivered++
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
	defer p.b.mu.Unlock()
	p.open.Store(false)
	if p.b.down {
		p.b.endIdle(p.ch)
	}
}

// Abort ends the message under way as cut: its producer went away. It does not
// wait; without a message it does nothing.
func (p *Publisher) Abort() {
	if p.closed || !p.open.Load() {
		return
	}
	c := newChunk(p.info, nil)
	c.last, c.cut = true, true
	for _, list := range p.receivers() {
		for _, t := range list {
			switch {
			case t.gone:
			case t.m.owner == nil:
				t.m.end(ErrCut, true)
			case t.began == p.info.ID:
				t.m.push(c, true)
			}
		}
	}
	c.release()
	p.pending.forget(p.info)
	p.over()
}

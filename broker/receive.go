package broker

import (
	"context"
	"errors"
)

// taken is what a waiter is handed: one of the three.
type taken struct {
	offer *offer
	box   *mailbox // a broadcast to its end
	err   error
}

// A waiter is a Receive in line.
type waiter struct {
	node  node[taker] // guarded by Broker.mu
	wake  chan struct{}
	as    Identity
	below func(Name) bool // of the requests below its name, those that it may have
	got   chan taken      // capacity 1; sent to once, by whoever takes node out of its line
}

// Receive takes one message from the channel: the first queue message in line,
// or a broadcast that begins while it waits. It blocks until the first byte, or
// the end, of a message is there. It returns the cause of ctx, [ErrClosed] or
// [ErrDestroyed]; a message that was on its way to it then goes to the next.
func (b *Broker) Receive(ctx context.Context, n Name) (*Delivery, error) {
	n = n.Request()
	w := &waiter{wake: make(chan struct{}, 1), got: make(chan taken, 1)}
	w.node.v.waiter = w
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return nil, ErrClosed
	}
	w.as, w.below = identityOf(ctx), belowOf(ctx)
	ch, err := b.join(n, w.as, nil)
	if err != nil {
		b.mu.Unlock()
		return nil, err
	}
	w.node.seq = b.next()
	b.enqueue(ch, w)
	b.mu.Unlock()
	d, err := b.await(ctx, ch, w)
	if err != nil {
		b.mu.Lock()
		b.release(ch)
		b.mu.Unlock()
		return nil, err
	}
	return d, nil
}

// enqueue gives the first offer to a waiter, or puts it into the line. Under mu.
func (b *Broker) enqueue(ch *channel, w *waiter) {
	if first := b.waiting(ch, w.below, nil); first != nil {
		b.match(first, ch, w.wake)
		w.got <- taken{offer: first}
		return
	}
	ch.consumers.push(&w.node)
	ch.arrived(false)
}

// await is the waiting part of Receive.
func (b *Broker) await(ctx context.Context, ch *channel, w *waiter) (*Delivery, error) {
	for {
		var t taken
		select {
		case t = <-w.got:
		case <-ctx.Done():
			if !b.leave(ch, w) {
				b.giveBack(<-w.got, context.Cause(ctx))
			}
			return nil, context.Cause(ctx)
		case <-b.closed:
			if b.leave(ch, w) {
				return nil, ErrClosed
			}
			t = <-w.got // matched at the last moment: under way
		}
		if t.err != nil {
			return nil, t.err
		}
		d := &Delivery{b: b, ch: ch, as: w.as, offer: t.offer, box: t.box}
		if t.box != nil {
			d.Info = t.box.info
		}
		err := d.begin(ctx, w.wake)
		if errors.Is(err, errWithdrawn) {
			b.mu.Lock()
			b.count.transfers.Add(-1)
			b.enqueue(ch, w) // at its old place
			b.mu.Unlock()
			continue
		}
		if err != nil {
			b.giveBack(t, err)
			return nil, err
		}
		return d, nil
	}
}

// leave takes a waiter out of its line; false when it was matched already.
func (b *Broker) leave(ch *channel, w *waiter) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if w.node.in == nil {
		return false
	}
	ch.consumers.remove(&w.node)
	return true
}

// giveBack passes on what a waiter was handed and cannot take.
func (b *Broker) giveBack(t taken, err error) {
	switch {
	case t.offer != nil:
		b.finish(t.offer, err)
	case t.box != nil:
		t.box.leave(false)
	}
}

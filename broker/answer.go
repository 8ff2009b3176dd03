package broker

import (
	"context"
	"time"
)

// An answer is one message on its way to one requester.
type answer struct {
	offer
	place node[taker]     // in ch.consumers while it waits for a request; guarded by Broker.mu
	below func(Name) bool // as of a waiter
	got   chan *Call      // capacity 1; nil: the channel was destroyed
}

// Answer sends the answer to a request on n ("…/res/X") and blocks until the
// requester has all of it; m is read as by [Broker.Send]. id names the request
// ([Info].Reply). Without id it is the oldest one that was taken and not
// answered; if there is none, Answer waits for the next one, which is then
// answered unread. It returns [ErrGone] when nobody waits for that answer any
// more, the cause of ctx (which bounds only the waiting for a request),
// [ErrClosed], [ErrDestroyed] or the error of m.Body.
func (b *Broker) Answer(ctx context.Context, n Name, id string, m Message) error {
	b.mu.Lock()
	ch, err := b.join(n, identityOf(ctx), nil)
	if err != nil {
		b.mu.Unlock()
		return err
	}
	defer func() {
		b.mu.Lock()
		b.release(ch)
		b.mu.Unlock()
	}()
	a := &answer{got: make(chan *Call, 1)}
	a.offer = offer{ch: ch, back: true, info: &Info{
		ID: b.ids.Add(1), Channel: n, Header: m.Header, Size: m.Size, Time: time.Now(), Queue: true,
	}}
	a.as, a.below = identityOf(ctx), belowOf(ctx)
	a.init(b.opts.Replay, m.Stop)
	a.place.v.answer, a.place.seq = a, b.next()
	if err := b.bindOrWait(ctx, ch, id, a); err != nil {
		return err
	}
	return b.run(ctx, &a.offer, m)
}

// bindOrWait binds a to its call, and waits for one if it must. It is entered
// with mu held and gives it back.
func (b *Broker) bindOrWait(ctx context.Context, ch *channel, id string, a *answer) error {
	switch {
	case id != "":
		c := b.calls[id]
		if c == nil || c.ch != ch && c.home != ch || c.answer != nil || c.switched != nil || c.state != callHeld {
			b.mu.Unlock()
			return ErrGone
		}
		b.bind(c, a)
		b.mu.Unlock()
		return nil
	case len(ch.taken) > 0:
		b.bind(ch.taken[0], a)
		b.mu.Unlock()
		return nil
	case b.down:
		b.mu.Unlock()
		return ErrClosed
	}
	if o := b.waiting(ch, a.below, func(o *offer) bool { return o.call != nil }); o != nil { // and not just a message
		b.answerUnread(o, ch, a)
		b.mu.Unlock()
		return nil
	}
	ch.consumers.push(&a.place)
	b.mu.Unlock()
	var err error
	select {
	case c := <-a.got:
		if c == nil {
			return ErrDestroyed
		}
		return nil
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-b.closed:
		err = ErrClosed
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.place.in == nil { // bound at the last moment
		if c := <-a.got; c != nil {
			return nil
		}
		return ErrDestroyed
	}
	ch.consumers.remove(&a.place)
	return err
}

// bind gives the answer to the call. Under mu.
func (b *Broker) bind(c *Call, a *answer) {
	c.answer = a
	c.ch.forget(c)
	a.mu.Lock()
	a.begun = true
	a.mu.Unlock()
	signal(c.wake)
}

// answerUnread binds a to a request that nobody has taken: its body is not
// read, and it leaves its line as long as a is not withdrawn. Under mu.
func (b *Broker) answerUnread(o *offer, ch *channel, a *answer) {
	o.unline()
	o.call.moveTo(ch)
	o.mu.Lock()
	o.inLine, o.bound = false, true
	o.mu.Unlock()
	signal(o.pump)
	c := o.call
	c.state, c.takenAt, c.takenSeq = callHeld, time.Now(), b.next()
	b.bind(c, a)
	a.got <- c
}

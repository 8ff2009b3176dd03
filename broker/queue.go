package broker

import (
	"context"
	"time"
)

// An offer is a queue message on its way: in its channel's line, or with one
// receiver.
type offer struct {
	stream
	ch    *channel
	node  node[*offer] // in ch.offers; guarded by Broker.mu
	above []aboveNode  // of a request: in lines of Broker.below; guarded by Broker.mu
	info  *Info
	call  *Call // set when it is a request
	as    Identity
	pipe  *Subscription // does not receive it
	back  bool          // it is the answer to one: there is no other receiver

	begun  bool // some receiver had it; guarded by mu
	inLine bool // mirrors node.in for the producer; guarded by mu
	bound  bool // a request that left its line because it is answered unread; as inLine, changed under Broker.mu too
}

// Send offers a message to the channel's receivers and blocks until one of them
// has it whole; then it returns nil.
//
// ctx ends the waiting for a receiver, never a transfer under way; its cause is
// returned. m.Body is read in this goroutine; while a Read blocks ctx is not
// looked at, so a body whose Read may block for long must end with ctx itself.
// An error of it before the first byte withdraws the message as if it had never
// been, a later one cuts the receiver off; both are returned as they are.
//
// When a receiver leaves in mid-message the next one gets the message from its
// start, as long as it is kept ([Options].Replay); beyond that Send returns a
// [*PartialError]. It returns [ErrDestroyed] when the channel is, and [ErrClosed]
// on a broker that is going down.
func (b *Broker) Send(ctx context.Context, n Name, m Message) error {
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return ErrClosed
	}
	ch, err := b.join(n, identityOf(ctx), nil)
	if err != nil {
		b.mu.Unlock()
		return err
	}
	o := b.offer(ch, m)
	ch.seen()
	o.as = identityOf(ctx)
	b.place(o)
	b.mu.Unlock()
	err = b.run(ctx, o, m)
	b.mu.Lock()
	b.release(ch)
	b.mu.Unlock()
	return err
}

// offer makes an offer that stands in no line yet. Under mu.
func (b *Broker) offer(ch *channel, m Message) *offer {
	o := &offer{ch: ch, info: &Info{
		ID: b.ids.Add(1), Channel: ch.name, Header: m.Header, Size: m.Size, Time: time.Now(), Queue: true,
	}}
	if m.Body == nil {
		o.info.Size = 0
	}
	o.pipe = m.Pipe
	o.init(b.opts.Replay, m.Stop)
	o.node.v, o.node.seq = o, b.next()
	return o
}

// run is the producer's side of an offer until its result is known.
func (b *Broker) run(ctx context.Context, o *offer, m Message) error {
	for {
		o.mu.Lock()
		settled, result := o.settled, o.result
		fill := o.begun && !o.inLine && !o.bound && o.fillable()
		waits, bound := o.inLine || o.bound, o.bound
		o.mu.Unlock()
		if settled {
			return result
		}
		if fill {
			o.fill(m.Body, m.Size)
			b.failed(o)
			continue
		}
		if !waits {
			<-o.pump // the receiver answers, or leaves
			continue
		}
		closed := b.closed
		if bound {
			closed = nil // under way
		}
		select {
		case <-o.pump:
		case <-ctx.Done():
			b.withdraw(o, context.Cause(ctx))
		case <-closed:
			b.withdraw(o, ErrClosed)
		}
	}
}

// withdraw takes an offer out of its line for good; one that is with a receiver
// at this moment stays there.
func (b *Broker) withdraw(o *offer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.node.in != nil || o.bound {
		b.count.withdrawn.Add(1)
		o.dismiss(err)
	}
}

// failed settles an offer whose producer went away, wherever it is.
func (b *Broker) failed(o *offer) {
	o.mu.Lock()
	err, ghost := o.err, o.total == 0 && !o.settled
	o.mu.Unlock()
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if ghost || o.node.in != nil {
		b.count.withdrawn.Add(1)
	}
	o.dismiss(err)
}

// dismiss settles an offer, and takes it out of its line if it stands in one. It
// returns what settle returns. Under Broker.mu.
func (o *offer) dismiss(err error) (stop func()) {
	o.unline()
	o.mu.Lock()
	o.inLine, o.bound = false, false
	stop = o.settle(err)
	o.mu.Unlock()
	if o.call != nil {
		signal(o.call.wake)
	}
	return stop
}

// place gives an offer to the first receiver in line that is free, or puts it
// into the line of offers. Under mu.
func (b *Broker) place(o *offer) {
	if b.placeOn(o, o.ch) {
		return
	}
	if o.call != nil && b.placeAbove(o) {
		return
	}
	b.line(o)
	o.mu.Lock()
	o.inLine = true
	o.mu.Unlock()
}

// placeOn gives an offer to the first receiver in the channel's line that is free.
// Under mu.
func (b *Broker) placeOn(o *offer, ch *channel) bool {
	for x := ch.consumers.head; x != nil; x = x.next {
		switch t := x.v; {
		case ch != o.ch && !t.serves(o.ch.name):
		case t.waiter != nil:
			ch.consumers.remove(x)
			b.match(o, ch, t.waiter.wake)
			t.waiter.got <- taken{offer: o}
			return true
		case t.sub != nil:
			if t.sub.s != o.pipe && t.sub.s.claim(o, ch) {
				return true
			}
		case t.answer != nil && o.call != nil:
			ch.consumers.remove(x)
			b.answerUnread(o, ch, t.answer)
			return true
		}
	}
	return false
}

// match hands an offer to the receiver on ch that is woken through wake. Under mu.
func (b *Broker) match(o *offer, ch *channel, wake chan struct{}) {
	o.unline()
	if o.call != nil {
		o.call.moveTo(ch)
		b.callTaken(o.call)
	}
	o.mu.Lock()
	if !o.begun {
		b.count.messages.Add(1)
	}
	o.begun, o.inLine = true, false
	o.rewind(wake)
	o.mu.Unlock()
	b.count.transfers.Add(1)
	signal(o.pump)
}

// finish is the receiver's last word on an offer. nil means that it wrote every
// byte; with an error the message goes back to its place in line if it is kept,
// and fails if not.
func (b *Broker) finish(o *offer, err error) {
	b.mu.Lock()
	b.count.transfers.Add(-1)
	o.mu.Lock()
	if err == nil {
		o.written()
	}
	b.count.bytes.Add(uint64(o.handed))
	o.wake = nil
	var stop func()
	again := false
	switch {
	case o.settled: // the producer went away first
	case err == nil && o.atEnd():
		stop = o.settle(nil)
		b.count.delivered.Add(1)
	case o.back:
		stop = o.settle(ErrGone)
	case o.err != nil: // the producer went away as well
		stop = o.settle(o.err)
	case o.call != nil && o.call.answered():
		stop = o.settle(nil) // the rest of it does not matter
	case !o.streamed:
		again = true
	default:
		if err == nil {
			err = errLeft
		}
		stop = o.settle(&PartialError{Bytes: o.handed, Err: err})
	}
	o.mu.Unlock()
	if again {
		stop = b.again(o)
	}
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
}

// again brings an offer back to its line. On a broker that is going down there is
// no other receiver. Under mu.
func (b *Broker) again(o *offer) (stop func()) {
	if o.call != nil {
		b.callReturned(o.call)
		o.call.moveHome()
	}
	if b.down {
		return o.dismiss(ErrClosed)
	}
	b.count.redelivered.Add(1)
	b.place(o)
	signal(o.pump)
	return nil
}

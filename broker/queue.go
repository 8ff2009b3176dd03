package broker

import (
	"context"
	"io"
	"time"
)

// An offer is a queue message on its way: in its channel's line, or with one
// receiver.
type offer struct {
	stream
	ch   *channel
	node node[*offer] // in ch.offers; guarded by Broker.mu
	info *Info
	call *Call // set when it is a request
	back bool  // it is the answer to one: there is no other receiver

	begun  bool // some receiver had it; guarded by mu
	inLine bool // mirrors node.in for the producer; guarded by mu
}

// taken is what a waiter is handed: one of the three.
type taken struct {
	offer *offer
	box   *mailbox // a broadcast to its end
	err   error
}

// A waiter is a Receive in line.
type waiter struct {
	node node[taker] // guarded by Broker.mu
	wake chan struct{}
	got  chan taken // capacity 1; sent to once, by whoever takes node out of its line
}

// Send offers a message to the channel's receivers and blocks until one of them
// has it whole; then it returns nil.
//
// ctx ends the waiting for a receiver, never a transfer under way; its cause is
// returned. m.Body is read in this goroutine. An error of it before the first
// byte withdraws the message as if it had never been, a later one cuts the
// receiver off; both are returned as they are. When a receiver leaves in
// mid-message the next one gets the message from its start, as long as it is
// kept ([Options].Replay); beyond that Send returns a [*PartialError]. On a
// broker that is going down it returns [ErrClosed].
func (b *Broker) Send(ctx context.Context, n Name, m Message) error {
	b.mu.Lock()
	if b.down {
		b.mu.Unlock()
		return ErrClosed
	}
	ch := b.hold(n)
	o := b.offer(ch, m)
	b.place(o)
	b.mu.Unlock()
	err := b.run(ctx, o, m)
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
	o.init(b.opts.Replay, m.Stop)
	o.node.v, o.node.seq = o, b.next()
	return o
}

// run is the producer's side of an offer until its result is known.
func (b *Broker) run(ctx context.Context, o *offer, m Message) error {
	for {
		o.mu.Lock()
		settled, result := o.settled, o.result
		fill := o.begun && !o.inLine && o.fillable()
		waits := o.inLine
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
		select {
		case <-o.pump:
		case <-ctx.Done():
			b.withdraw(o, context.Cause(ctx))
		case <-b.closed:
			b.withdraw(o, ErrClosed)
		}
	}
}

// withdraw takes an offer out of its line for good; one that is with a receiver
// at this moment stays there.
func (b *Broker) withdraw(o *offer, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.node.in == nil {
		return
	}
	o.ch.offers.remove(&o.node)
	b.count.withdrawn.Add(1)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.inLine = false
	o.settle(err)
}

// failed settles an offer whose producer went away.
func (b *Broker) failed(o *offer) {
	o.mu.Lock()
	err, waits := o.err, o.inLine
	if err != nil && !waits {
		if o.total == 0 {
			b.count.withdrawn.Add(1)
		}
		o.settle(err)
	}
	o.mu.Unlock()
	if err != nil && waits {
		b.withdraw(o, err)
	}
}

// place gives an offer to the first receiver in line that is free, or puts it
// into the line of offers. Under mu.
func (b *Broker) place(o *offer) {
	for x := o.ch.consumers.head; x != nil; x = x.next {
		switch t := x.v; {
		case t.waiter != nil:
			o.ch.consumers.remove(x)
			b.match(o, t.waiter.wake)
			t.waiter.got <- taken{offer: o}
			return
		case t.sub != nil:
			if t.sub.s.claim(o) {
				return
			}
		case t.answer != nil && o.call != nil:
			o.ch.consumers.remove(x)
			b.answerUnread(o, t.answer)
			return
		}
	}
	o.ch.offers.push(&o.node)
	o.mu.Lock()
	o.inLine = true
	o.mu.Unlock()
}

// match hands an offer to the receiver that is woken through wake. Under mu.
func (b *Broker) match(o *offer, wake chan struct{}) {
	o.ch.offers.remove(&o.node)
	if o.call != nil {
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
		b.count.redelivered.Add(1)
		if o.call != nil {
			b.callReturned(o.call)
		}
		b.place(o)
		signal(o.pump)
	}
	b.mu.Unlock()
	if stop != nil {
		stop()
	}
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
	ch := b.hold(n)
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
	if first := ch.offers.head; first != nil {
		b.match(first.v, w.wake)
		w.got <- taken{offer: first.v}
		return
	}
	ch.consumers.push(&w.node)
	ch.arrived()
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
		d := &Delivery{b: b, ch: ch, offer: t.offer, box: t.box}
		err := d.begin(ctx, w.wake)
		if err == errWithdrawn {
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

// A Delivery is one message on its way to one receiver. It is used by one
// goroutine at a time.
type Delivery struct {
	Info *Info

	b     *Broker
	ch    *channel
	offer *offer
	box   *mailbox
	wake  chan struct{}

	first []byte // got by begin, not yet by Next
	end   error  // io.EOF or how the message failed, once known
	done  bool
}

// begin waits for the first byte or the end.
func (d *Delivery) begin(ctx context.Context, wake chan struct{}) error {
	d.wake = wake
	data, err := d.next(ctx)
	switch err {
	case nil:
		d.first = data
	case io.EOF, ErrCut, ErrSlow:
		d.end = err
	default:
		return err
	}
	return nil
}

// Next returns the next chunk of the message, valid until the following call of
// Next or Done, and blocks until there is one. io.EOF is the end of a whole
// message; [ErrCut] means the producer went away and [ErrSlow] that this
// receiver missed a part: what was received then is not whole, and the client
// must be told by a broken connection. Otherwise it returns the cause of ctx.
// Done is due in every case.
func (d *Delivery) Next(ctx context.Context) ([]byte, error) {
	if d.first != nil {
		data := d.first
		d.first = nil
		return data, nil
	}
	if d.end != nil {
		return nil, d.end
	}
	data, err := d.next(ctx)
	if err == io.EOF || err == ErrCut || err == ErrSlow {
		d.end = err
	}
	return data, err
}

func (d *Delivery) next(ctx context.Context) ([]byte, error) {
	if d.box != nil {
		return d.nextOfBox(ctx)
	}
	for {
		d.offer.mu.Lock()
		data, err := d.offer.next()
		d.Info = d.offer.info
		d.offer.mu.Unlock()
		if data != nil || err != nil {
			return data, err
		}
		select {
		case <-d.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// nextOfBox reads the one broadcast that this mailbox was made for.
func (d *Delivery) nextOfBox(ctx context.Context) ([]byte, error) {
	for {
		c, err := d.box.one()
		if c != nil {
			d.Info = c.info
			switch {
			case c.cut:
				return nil, ErrCut
			case c.last:
				d.end = io.EOF
				if len(c.data) == 0 {
					return nil, io.EOF
				}
			}
			if len(c.data) > 0 {
				return c.data, nil
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-d.box.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Done ends the delivery and must be called exactly once, after Next was called
// for the last time. nil says that every byte was written to the client and the
// client has it: the message's producer hears success. With an error the message
// goes to the next receiver if it is kept, and fails if not.
func (d *Delivery) Done(err error) {
	if d.done {
		return
	}
	d.done = true
	if d.offer != nil {
		d.b.finish(d.offer, err)
	} else {
		d.box.leave(err == nil && d.end == io.EOF)
	}
	if d.ch == nil {
		return // an answer: its call holds the channel
	}
	d.b.mu.Lock()
	d.b.release(d.ch)
	d.b.mu.Unlock()
}

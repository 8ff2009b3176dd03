package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"
)

// A Call is a request that carries its own way back. Its two halves run side by
// side: Send moves the request to a responder, Answer waits for what comes back,
// so that an answer may begin while the request is still arriving.
type Call struct {
	b    *Broker
	ch   *channel
	id   string
	req  *offer
	m    Message
	wake chan struct{} // capacity 1: the state below changed

	// Guarded by Broker.mu.
	state    callState
	takenAt  time.Time
	answer   *answer // that is bound to it
	switched *switched
	closed   bool
}

type callState uint8

const (
	callWaits callState = iota // in line
	callHeld                   // a responder has it
)

// switched says where the answer of a call will be posted.
type switched struct {
	to   Name
	wait time.Duration
	undo context.CancelCauseFunc // ends the wait for it; nil before it began
}

func (sw *switched) cancel(cause error) {
	if sw != nil && sw.undo != nil {
		sw.undo(cause)
	}
}

// errReturned ends the wait on a switch channel when the request goes to another
// responder.
var errReturned = errors.New("the responder left before it had the request")

// An answer is one message on its way to one requester.
type answer struct {
	offer
	place node[taker] // in ch.consumers while it waits for a request; guarded by Broker.mu
	got   chan *Call  // capacity 1; nil: the channel was destroyed
}

// Call opens a request on n ("…/req/X") and puts it in line. The caller runs
// Send in one goroutine and Answer in another, and closes the call when both are
// done. It returns [ErrClosed] on a broker that is going down.
func (b *Broker) Call(n Name, m Message) (*Call, error) {
	c := &Call{b: b, id: rand.Text(), m: m, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	c.ch = b.hold(n.Request())
	b.calls[c.id] = c
	c.req = b.offer(c.ch, m)
	c.req.call, c.req.info.Reply = c, c.id
	b.place(c.req)
	return c, nil
}

// Send moves the request to a responder and returns as [Broker.Send] does; it
// returns early, without an error, when the request is answered unread.
func (c *Call) Send(ctx context.Context) error { return c.b.run(ctx, c.req, c.m) }

// Close ends the call; a responder that is about to answer hears [ErrGone]. It
// makes Send and Answer return. It may be called again.
func (c *Call) Close() {
	b := c.b
	b.mu.Lock()
	if c.closed {
		b.mu.Unlock()
		return
	}
	c.closed = true
	delete(b.calls, c.id)
	c.ch.forget(c)
	c.ch.offers.remove(&c.req.node)
	c.req.mu.Lock()
	c.req.inLine = false
	stop := c.req.settle(ErrGone)
	if !c.req.eof && c.req.err == nil {
		c.req.err = ErrGone
		c.req.wakeReceiver()
	}
	c.req.mu.Unlock()
	c.switched.cancel(ErrGone)
	var stopAnswer func()
	if a := c.answer; a != nil {
		a.mu.Lock()
		stopAnswer = a.settle(ErrGone)
		a.mu.Unlock()
	}
	b.release(c.ch)
	b.mu.Unlock()
	signal(c.wake)
	for _, f := range []func(){stop, stopAnswer} {
		if f != nil {
			f()
		}
	}
}

// forget takes a call out of those that were taken and not answered. Under
// Broker.mu.
func (ch *channel) forget(c *Call) {
	if i := slices.Index(ch.taken, c); i >= 0 {
		ch.taken = slices.Delete(ch.taken, i, i+1)
	}
}

// callTaken books that a responder has the request. Under Broker.mu.
func (b *Broker) callTaken(c *Call) {
	c.state, c.takenAt = callHeld, time.Now()
	c.ch.taken = append(c.ch.taken, c)
	signal(c.wake)
}

// callReturned books that the responder left before it had all of the request.
// Under Broker.mu.
func (b *Broker) callReturned(c *Call) {
	c.state = callWaits
	c.ch.forget(c)
	c.switched.cancel(errReturned)
	c.switched = nil
	signal(c.wake)
}

// Answer blocks until the first byte, or the end, of the answer is there; its
// Header and bytes are those the responder sent. take bounds the wait for a
// responder ([ErrTimeout]; 0 is no bound), answer the wait from then on
// ([ErrVanished]). It also returns [ErrNoAnswer], [ErrClosed] or the cause of
// ctx.
func (c *Call) Answer(ctx context.Context, take, answer time.Duration) (*Delivery, error) {
	begun := time.Now()
	for {
		c.b.mu.Lock()
		state, takenAt, a, sw, closed := c.state, c.takenAt, c.answer, c.switched, c.closed
		c.b.mu.Unlock()
		switch {
		case closed:
			return nil, ErrGone
		case a != nil:
			d, err := c.receive(ctx, a)
			if err == errWithdrawn {
				continue
			}
			return d, err
		case sw != nil:
			d, err := c.receiveFrom(ctx, sw)
			if err == errReturned {
				continue
			}
			return d, err
		}
		if err := c.await(ctx, state, begun, take, takenAt, answer); err != nil {
			return nil, err
		}
	}
}

// await waits for a change of the call's state.
func (c *Call) await(ctx context.Context, state callState, begun time.Time, take time.Duration, takenAt time.Time, answer time.Duration) error {
	var timeout <-chan time.Time
	late := ErrVanished
	down := c.b.closed
	switch {
	case state == callHeld:
		timeout, down = time.After(answer-time.Since(takenAt)), nil
	case take > 0:
		timeout, late = time.After(take-time.Since(begun)), ErrTimeout
	}
	select {
	case <-c.wake:
		return nil
	case <-timeout:
		return late
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-down:
		return ErrClosed
	}
}

// receive takes the answer that is bound to the call. When its producer goes
// away before the first byte the call waits for another one.
func (c *Call) receive(ctx context.Context, a *answer) (*Delivery, error) {
	wake := make(chan struct{}, 1)
	a.mu.Lock()
	a.rewind(wake)
	a.mu.Unlock()
	c.b.count.transfers.Add(1)
	d := &Delivery{b: c.b, offer: &a.offer}
	err := d.begin(ctx, wake)
	switch {
	case err == errWithdrawn:
		c.b.count.transfers.Add(-1)
		c.b.mu.Lock()
		c.answer = nil
		c.ch.taken = slices.Insert(c.ch.taken, 0, c)
		c.b.mu.Unlock()
		return nil, err
	case err != nil:
		c.b.finish(&a.offer, err)
		return nil, err
	}
	return d, nil
}

// receiveFrom takes as answer what is posted next to the channel that the
// responder named.
func (c *Call) receiveFrom(ctx context.Context, sw *switched) (*Delivery, error) {
	ctx, undo := context.WithCancelCause(ctx)
	defer undo(nil)
	c.b.mu.Lock()
	if c.switched != sw {
		c.b.mu.Unlock()
		return nil, errReturned
	}
	sw.undo = undo
	c.b.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, sw.wait, ErrNoAnswer)
	defer cancel()
	return c.b.Receive(ctx, sw.to)
}

// Switch says, of a request, that its answer is whatever is posted next to the
// channel to, within wait; else the requester gets [ErrNoAnswer].
func (d *Delivery) Switch(to Name, wait time.Duration) {
	b := d.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.offer == nil || d.offer.call == nil || d.offer.call.closed {
		return
	}
	c := d.offer.call
	c.ch.forget(c)
	c.switched = &switched{to: to, wait: wait}
	signal(c.wake)
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
	if b.down && id == "" {
		b.mu.Unlock()
		return ErrClosed
	}
	ch := b.hold(n.Request())
	defer func() {
		b.mu.Lock()
		b.release(ch)
		b.mu.Unlock()
	}()
	a := &answer{got: make(chan *Call, 1)}
	a.offer = offer{ch: ch, back: true, info: &Info{
		ID: b.ids.Add(1), Channel: n, Header: m.Header, Size: m.Size, Time: time.Now(), Queue: true,
	}}
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
		if c == nil || c.ch != ch || c.answer != nil || c.switched != nil || c.state != callHeld {
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
	case ch.offers.head != nil:
		b.answerUnread(ch.offers.head.v, a)
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
// read. Under mu.
func (b *Broker) answerUnread(o *offer, a *answer) {
	o.ch.offers.remove(&o.node)
	o.mu.Lock()
	o.inLine = false
	o.settle(nil)
	o.mu.Unlock()
	c := o.call
	c.state, c.takenAt = callHeld, time.Now()
	b.bind(c, a)
	a.got <- c
}

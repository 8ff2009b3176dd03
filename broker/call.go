package broker

import (
	"cmp"
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
	takenSeq uint64  // order in which requests were taken
	answer   *answer // that is bound to it
	switched *switched
	closed   bool
}

type callState uint8

const (
	callWaits callState = iota // in line
	callHeld                   // a responder has it, or answers it unread
	callDone                   // its answer began
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

// Call opens a request on n ("…/req/X") and puts it in line. The caller runs
// Send in one goroutine and Answer in another, and closes the call when it is
// done with the answer or will not have one; Send may still be running then. It
// returns [ErrClosed] on a broker that is going down.
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

// Close ends the call; a responder that is about to answer hears [ErrGone], and
// one that reads the request is cut off. It makes Send and Answer return. It may
// be called again.
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
	var stops stops
	stops.add(c.req.dismiss(ErrGone))
	c.req.fail(ErrGone)
	c.switched.cancel(ErrGone)
	if a := c.answer; a != nil {
		stops.add(a.dismiss(ErrGone))
		a.fail(ErrGone)
	}
	b.release(c.ch)
	b.mu.Unlock()
	signal(c.wake)
	stops.call()
}

// answered tells whether an answer to the request is on its way. Under Broker.mu.
func (c *Call) answered() bool { return c.answer != nil || c.state == callDone }

// forget takes a call out of those that were taken and not answered. Under
// Broker.mu.
func (ch *channel) forget(c *Call) {
	if i := slices.Index(ch.taken, c); i >= 0 {
		ch.taken = slices.Delete(ch.taken, i, i+1)
	}
}

// remember puts a call among those that were taken and not answered. Under
// Broker.mu.
func (ch *channel) remember(c *Call) {
	i, _ := slices.BinarySearchFunc(ch.taken, c, func(a, b *Call) int { return cmp.Compare(a.takenSeq, b.takenSeq) })
	ch.taken = slices.Insert(ch.taken, i, c)
}

// callTaken books that a responder has the request. Under Broker.mu.
func (b *Broker) callTaken(c *Call) {
	c.state, c.takenAt, c.takenSeq = callHeld, time.Now(), b.next()
	c.ch.remember(c)
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
// responder ([ErrTimeout]), answer the wait from then on ([ErrVanished]); 0 is no
// bound. It also returns [ErrNoAnswer], [ErrClosed], [ErrDestroyed], the cause of
// ctx, [ErrGone] after Close, or what Send returned when the request came to
// nothing before a responder took it.
func (c *Call) Answer(ctx context.Context, take, answer time.Duration) (*Delivery, error) {
	begun := time.Now()
	for {
		c.b.mu.Lock()
		state, takenAt, a, sw, closed := c.state, c.takenAt, c.answer, c.switched, c.closed
		c.req.mu.Lock()
		failed := c.req.result
		c.req.mu.Unlock()
		c.b.mu.Unlock()
		switch {
		case closed:
			return nil, ErrGone
		case state == callWaits && failed != nil:
			return nil, failed
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
	late := ErrTimeout
	down := c.b.closed
	since, bound := begun, take
	if state == callHeld {
		since, bound, late, down = takenAt, answer, ErrVanished, nil
	}
	if bound > 0 {
		timer := time.NewTimer(bound - time.Since(since))
		defer timer.Stop()
		timeout = timer.C
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
		c.unbind()
		return nil, err
	case err != nil:
		c.b.finish(&a.offer, err)
		return nil, err
	}
	c.b.count.messages.Add(1)
	c.begun(nil)
	return d, nil
}

// unbind waits for another answer in the place of one that was withdrawn; a
// request that nobody took goes back into its line.
func (c *Call) unbind() {
	var stops stops
	defer stops.call()
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	c.answer = nil
	if c.closed {
		return
	}
	if !c.req.bound {
		c.ch.remember(c)
		return
	}
	c.state = callWaits
	if b.down {
		stops.add(c.req.dismiss(ErrClosed))
		return
	}
	c.req.mu.Lock()
	c.req.bound = false
	c.req.mu.Unlock()
	b.place(c.req)
	signal(c.req.pump)
}

// begun books that the answer began: the request is not handed to anybody any
// more. It tells whether the call is still switched as it was.
func (c *Call) begun(sw *switched) bool {
	var stops stops
	defer stops.call()
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	if c.switched != sw {
		return false
	}
	c.state = callDone
	if c.req.bound {
		stops.add(c.req.dismiss(nil))
	}
	return true
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
	d, err := c.b.Receive(ctx, sw.to)
	if err != nil {
		return nil, err
	}
	if !c.begun(sw) { // the request went to another responder at the same moment
		d.Done(errReturned)
		return nil, errReturned
	}
	return d, nil
}

// Switch says, of a request, that its answer is whatever is posted next to the
// channel to, within wait; else the requester gets [ErrNoAnswer]. It does nothing
// when the delivery is not a request or is being answered already.
func (d *Delivery) Switch(to Name, wait time.Duration) {
	b := d.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.offer == nil || d.offer.call == nil {
		return
	}
	c := d.offer.call
	if c.closed || c.state != callHeld || c.answer != nil {
		return
	}
	c.ch.forget(c)
	c.switched = &switched{to: to, wait: wait}
	signal(c.wake)
}

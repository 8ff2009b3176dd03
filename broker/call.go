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
	home *channel // of its name
	ch   *channel // home, or the one above on which a responder has it; held too then; guarded by Broker.mu
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
	as   Identity                // of the responder, who receives there for the requester
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
// returns [ErrClosed] on a broker that is going down, or [ErrDenied]. ctx says who
// asks, and no more.
func (b *Broker) Call(ctx context.Context, n Name, m Message) (*Call, error) {
	c := &Call{b: b, id: rand.Text(), m: m, wake: make(chan struct{}, 1)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return nil, ErrClosed
	}
	var err error
	if c.home, err = b.join(n, identityOf(ctx), nil); err != nil {
		return nil, err
	}
	c.ch = c.home
	b.calls[c.id] = c
	c.req = b.offer(c.ch, m)
	c.req.call, c.req.info.Reply, c.req.as = c, c.id, identityOf(ctx)
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
	c.moveHome()
	b.release(c.home)
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

// Switch says, of a request, that its answer is whatever is posted next to the
// channel to, within wait; else the requester gets [ErrNoAnswer]. It is received for
// the requester as by the responder, whose rights it takes. Switch does nothing when the
// delivery is not a request or is being answered already.
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
	c.switched = &switched{to: to, wait: wait, as: d.as}
	signal(c.wake)
}

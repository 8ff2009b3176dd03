package broker

import (
	"context"
	"errors"
	"time"
)

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
			if errors.Is(err, errWithdrawn) {
				continue
			}
			return d, err
		case sw != nil:
			d, err := c.receiveFrom(ctx, sw)
			if errors.Is(err, errReturned) {
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
	case errors.Is(err, errWithdrawn):
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
	c.moveHome()
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
	d, err := c.b.Receive(As(ctx, sw.as), sw.to)
	if err != nil {
		return nil, err
	}
	if !c.begun(sw) { // the request went to another responder at the same moment
		d.Done(errReturned)
		return nil, errReturned
	}
	return d, nil
}

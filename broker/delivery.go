package broker

import (
	"context"
	"errors"
	"io"
)

// A Delivery is one message on its way to one receiver. It is used by one
// goroutine at a time.
type Delivery struct {
	Info *Info

	b     *Broker
	ch    *channel
	as    Identity // of the receiver
	offer *offer
	box   *mailbox
	wake  chan struct{}

	bytes int    // of a broadcast, handed out
	first []byte // got by begin, not yet by Next
	end   error  // io.EOF or how the message failed, once known
	done  bool
}

// begin waits for the first byte or the end.
func (d *Delivery) begin(ctx context.Context, wake chan struct{}) error {
	d.wake = wake
	data, err := d.next(ctx)
	switch {
	case err == nil:
		d.first = data
	case ends(err):
		d.end = err
	default:
		return err
	}
	return nil
}

// ends tells whether an error is the end of a message, whole or not.
func ends(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, ErrCut) || errors.Is(err, ErrSlow)
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
	if err != nil && ends(err) {
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
			d.bytes += len(c.data)
			if c.last {
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
		d.box.leave(err == nil && errors.Is(d.end, io.EOF))
		d.b.count.bytes.Add(uint64(d.bytes))
	}
	if d.ch == nil {
		return // an answer: its call holds the channel
	}
	d.b.mu.Lock()
	d.b.release(d.ch)
	d.b.mu.Unlock()
}

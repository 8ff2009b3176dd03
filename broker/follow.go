package broker

import (
	"context"
	"errors"
	"io"
)

// batchBytes bounds what one Next hands out: enough for one write, little
// enough to be acknowledged soon.
const batchBytes = 64 << 10

// Next returns what came, at least one event and not much more than 64 KiB; the
// slice and the bytes in it are valid until the following Next or Close. Calling
// Next says that everything it returned before was written to the client: a
// queue message is acknowledged to its producer by the call that follows its
// last event. Next blocks while there is nothing. It returns io.EOF when the
// last publisher left (unless Stay), [ErrSlow], [ErrClosed], [ErrDestroyed] or
// the cause of ctx; Close is due in every case.
func (s *Subscription) Next(ctx context.Context) ([]Event, error) {
	s.acknowledge()
	for {
		s.box.mu.Lock()
		s.idle = false
		s.collect()
		if len(s.events) > 0 {
			s.box.mu.Unlock()
			return s.events, nil
		}
		if err := s.box.ended; err != nil && s.offer == nil {
			s.box.mu.Unlock()
			return nil, err
		}
		s.idle = s.offer == nil
		scan := s.idle && s.skipped
		if scan {
			s.skipped = false
		}
		s.box.mu.Unlock()
		if scan {
			s.scan()
		}
		select {
		case <-s.box.wake:
		case <-ctx.Done():
			s.box.mu.Lock()
			s.idle = false
			s.box.mu.Unlock()
			return nil, context.Cause(ctx)
		}
	}
}

// collect fills events from the mailbox and from the queue message in hand. Under
// box.mu.
func (s *Subscription) collect() {
	clear(s.events)
	s.events = s.events[:0]
	for size := 0; s.box.n > 0 && size < batchBytes; {
		c := s.box.pop()
		size += len(c.data)
		s.events = append(s.events, Event{Info: c.info, Data: c.data, First: c.first, Last: c.last, Cut: c.cut})
	}
	o := s.offer
	if o == nil || s.offerLast {
		return
	}
	o.mu.Lock()
	data, err := o.next()
	end := o.atEnd()
	o.mu.Unlock()
	e := Event{Info: o.info, Data: data, First: s.offerFirst}
	switch {
	case errors.Is(err, errWithdrawn): // it keeps its place in line, and looks for another
		s.offer, s.skipped = nil, true
		s.b.count.transfers.Add(-1)
		return
	case errors.Is(err, ErrCut):
		e.Last, e.Cut = true, true
	case errors.Is(err, io.EOF) || data != nil && end:
		e.Last = true
	case data == nil:
		return
	}
	s.offerFirst, s.offerLast = false, e.Last
	s.events = append(s.events, e)
}

// Written says what the next call of Next would say, that everything before was
// written to the client, and asks for nothing more: for a subscriber that is about
// to Close.
func (s *Subscription) Written() { s.acknowledge() }

// acknowledge books what Next returned last as written.
func (s *Subscription) acknowledge() {
	s.box.mu.Lock()
	bytes := 0
	for _, e := range s.events {
		if !e.Info.Queue { // finish books those
			bytes += len(e.Data)
		}
	}
	s.box.written()
	o, done := s.offer, s.offerLast
	if done {
		s.offer, s.offerLast = nil, false
	}
	clear(s.events)
	s.events = s.events[:0]
	s.box.mu.Unlock()
	if bytes > 0 {
		s.b.count.bytes.Add(uint64(bytes))
	}
	if done {
		s.served(o)
	}
}

// served ends a queue message that was received, and sends s to the back of the
// line it came from.
func (s *Subscription) served(o *offer) {
	s.b.finish(o, nil)
	o.mu.Lock()
	empty := o.eof && o.total == 0
	o.mu.Unlock()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if a := s.attached[o.ch]; a != nil {
		o.ch.consumers.remove(&a.node)
		a.node.seq = s.b.next()
		o.ch.consumers.push(&a.node)
	}
	if empty && !s.opts.Stay {
		s.b.end(s, io.EOF)
	}
}

// claim gives a queue message to s, on ch, if it is idle. Under Broker.mu.
func (s *Subscription) claim(o *offer, ch *channel) bool {
	s.box.mu.Lock()
	defer s.box.mu.Unlock()
	s.skipped = true // there may be more
	if !s.idle || s.offer != nil || s.box.n > 0 || s.box.ended != nil {
		return false
	}
	s.offer, s.idle, s.offerFirst, s.offerLast = o, false, true, false
	s.b.match(o, ch, s.box.wake)
	signal(s.box.wake)
	return true
}

// scan looks for queue messages that came while s was not idle: of those that
// are first on their channels, the one that came first.
func (s *Subscription) scan() {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	var first *offer
	var at *channel
	for ch := range s.attached {
		o := s.b.waiting(ch, publicOnly, func(o *offer) bool { return o.pipe != s })
		if o != nil && (first == nil || o.node.seq < first.node.seq) {
			first, at = o, ch
		}
	}
	if first != nil {
		s.claim(first, at)
	}
}

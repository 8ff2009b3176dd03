package sshfront

import (
	"context"
	"errors"
	"io"
	"time"

	"patchwork/broker"
)

var errTimedOut = errors.New("timed out")

// runPub sends stdin. Plain topics get it as a broadcast: in order, to everybody
// who subscribes at that moment.
func runPub(s *session, o *options) error {
	topic := s.topicOrRandom(o, "sub")
	name, err := s.channel(topic, o.public, Send)
	if err != nil {
		return err
	}
	o.topic = topic
	if err := s.mayList(name, o); err != nil {
		return err
	}
	defer s.on(name)()
	if kind := name.Kind(); o.empty || s.pty != nil || kind == broker.Queue || kind == broker.Req || kind == broker.Res {
		s.progress.refuse()
	}
	switch name.Kind() {
	case broker.Queue:
		return s.pubQueue(name, o)
	case broker.Req, broker.Res:
		return s.pubCall(name, o)
	case broker.Pubsub:
		o.block = false
	}
	p, err := s.srv.cfg.Broker.Publish(name, broker.PublishOptions{
		Wait: o.block, RoundRobin: o.roundRobin, As: s.as, Access: o.access,
	})
	if err != nil {
		return err
	}
	defer p.Close()
	b := &broadcast{s: s, o: o, name: name, p: p}
	if o.block && !s.hasReceiver(name) {
		s.talk("waiting for a subscriber; receive with: %s", s.example("sub", s.joinedAs(topic, o), o.public))
	}
	if err := b.send(); err != nil {
		return err // Close cuts a message that is under way
	}
	return b.waiting(p.Drain)
}

func (s *session) hasReceiver(n broker.Name) bool {
	c := s.srv.cfg.Broker.Peek(n)
	return c.Consumers+c.Subscribers > 0
}

// A broadcast is a pub under way.
type broadcast struct {
	s    *session
	o    *options
	name broker.Name
	p    *broker.Publisher
}

func noSubscriber(o *options) error {
	return refused("nobody took %s within %v; try again, or wait longer with -t", o.topic, o.timeout)
}

// waiting does what may wait for a subscriber, and gives it up when the client's
// time has passed without progress and there is none. One that is only slow has
// the broker's stall limit to mind.
func (b *broadcast) waiting(do func(context.Context) error) error {
	if !b.o.block {
		return do(b.s.ctx)
	}
	ctx, cancel := context.WithCancelCause(b.s.ctx)
	defer cancel(nil)
	var timer *time.Timer
	armed := make(chan struct{})
	timer = time.AfterFunc(b.o.timeout, func() {
		<-armed
		if b.s.hasReceiver(b.name) {
			timer.Reset(max(b.o.timeout, time.Second))
			return
		}
		cancel(errTimedOut)
	})
	close(armed)
	defer timer.Stop()
	err := do(ctx)
	if errors.Is(err, errTimedOut) {
		return noSubscriber(b.o)
	}
	return err
}

// ready waits for a subscriber, if that is wanted and as long as it is.
func (b *broadcast) ready(context.Context) error { return b.waiting(b.p.Ready) }

func (b *broadcast) write(data []byte) error {
	return b.waiting(func(ctx context.Context) error { return b.p.Write(ctx, data) })
}

func (b *broadcast) end() error {
	return b.waiting(func(ctx context.Context) error {
		_, err := b.p.End(ctx)
		return err
	})
}

// send passes on stdin, or the one empty message. It waits for a subscriber first;
// when the last one left in mid-message Write waits for another. What the client
// sends stays unread meanwhile.
func (b *broadcast) send() error {
	ctx := b.s.ctx
	if err := b.ready(ctx); err != nil {
		return err
	}
	if b.o.empty {
		return b.end()
	}
	in := b.s.openStdin()
	if b.o.lines || b.o.roundRobin {
		return sendLines(ctx, b.p, stdinReader{ctx, in}, b.ready, b.s.progress.add)
	}
	for {
		chunk, err := in.next(ctx)
		if errors.Is(err, io.EOF) {
			return b.end()
		}
		if err != nil {
			return err
		}
		if err := b.write(chunk); err != nil {
			return err
		}
		b.s.progress.add(len(chunk))
	}
}

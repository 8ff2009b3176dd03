package sshfront

import (
	"context"
	"errors"
	"io"

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
	switch name.Kind() {
	case broker.Queue:
		return s.pubQueue(name, o)
	case broker.Req, broker.Res:
		return s.pubCall(name, o)
	case broker.Pubsub:
		o.block = false
	}
	p, err := s.srv.cfg.Broker.Publish(name, broker.PublishOptions{Wait: o.block, RoundRobin: o.roundRobin})
	if err != nil {
		return err
	}
	defer p.Close()
	b := &broadcast{s: s, o: o, p: p}
	if o.block && !s.hasReceiver(name) {
		s.talk("waiting for a subscriber; receive with: %s", s.example("sub", topic, o.public))
	}
	if err := b.send(); err != nil {
		return err // Close cuts a message that is under way
	}
	return p.Drain(s.ctx)
}

func (s *session) hasReceiver(n broker.Name) bool {
	c := s.srv.cfg.Broker.Peek(n)
	return c.Consumers+c.Subscribers > 0
}

// A broadcast is a pub under way.
type broadcast struct {
	s *session
	o *options
	p *broker.Publisher
}

func noSubscriber(o *options) error {
	return refused("nobody took %s within %v; try again, or wait longer with -t", o.topic, o.timeout)
}

// ready waits for a subscriber, if that is wanted and as long as it is.
func (b *broadcast) ready(ctx context.Context) error {
	if !b.o.block {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, b.o.timeout, errTimedOut)
	defer cancel()
	err := b.p.Ready(ctx)
	if errors.Is(err, errTimedOut) {
		return noSubscriber(b.o)
	}
	return err
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
		_, err := b.p.End(ctx)
		return err
	}
	in := b.s.openStdin()
	if b.o.lines || b.o.roundRobin {
		return sendLines(ctx, b.p, stdinReader{ctx, in}, b.ready)
	}
	for {
		chunk, err := in.next(ctx)
		if err == io.EOF {
			_, err = b.p.End(ctx)
			return err
		}
		if err != nil {
			return err
		}
		if err := b.p.Write(ctx, chunk); err != nil {
			return err
		}
	}
}

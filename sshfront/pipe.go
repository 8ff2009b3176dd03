package sshfront

import (
	"context"
	"errors"
	"io"

	"patchwork/broker"
)

var errEndOfInput = errors.New("stdin has ended")

// runPipe publishes stdin and writes what others publish to stdout, both at once
// and without waiting for anybody. It ends with stdin.
func runPipe(s *session, o *options) error {
	o.topic = s.topicOrRandom(o, "pipe")
	name, err := s.channel(o.topic, o.public, Receive, Send)
	if err != nil {
		return err
	}
	if err := s.mayList(name, o); err != nil {
		return err
	}
	defer s.on(name)()
	switch {
	case isCall(name):
		return usage("requests and answers cannot be a pipe; use pub and sub on %s", o.topic)
	case name.Kind() == broker.Queue:
		return usage("a queue cannot be a pipe; use pub and sub on %s", o.topic)
	}
	sub, err := s.srv.cfg.Broker.Subscribe(name, broker.SubscribeOptions{
		Stay: true, Pipe: true, OnCut: s.onCut, As: s.as, Access: o.access,
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	pub, err := s.srv.cfg.Broker.Publish(name, broker.PublishOptions{
		RoundRobin: o.roundRobin, Pipe: sub, Echo: o.echo, As: s.as, Access: o.access,
	})
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(s.ctx)
	defer end(nil)
	fed := make(chan struct{})
	s.goJob(func() {
		defer close(fed)
		defer pub.Close()
		end(s.feed(pub, o))
	})
	err = s.hear(ctx, sub, o)
	end(err)
	s.cancelFeed(err)
	<-fed
	if errors.Is(err, errEndOfInput) {
		return nil
	}
	return err
}

// cancelFeed ends the other half of a pipe whose receiving half failed.
func (s *session) cancelFeed(err error) {
	if !errors.Is(err, errEndOfInput) {
		s.cancel(err)
	}
}

// feed publishes stdin to its end, which is errEndOfInput.
func (s *session) feed(pub *broker.Publisher, o *options) error {
	in := s.openStdin()
	if o.roundRobin {
		err := sendLines(s.ctx, pub, stdinReader{s.ctx, in}, func(context.Context) error { return nil }, func(int) {})
		if err == nil {
			err = errEndOfInput
		}
		return err
	}
	for {
		chunk, err := in.next(s.ctx)
		if errors.Is(err, io.EOF) {
			if _, err := pub.End(s.ctx); err != nil {
				return err
			}
			return errEndOfInput
		}
		if err == nil {
			err = pub.Write(s.ctx, chunk)
		}
		if err != nil {
			return err
		}
	}
}

// hear writes what others publish to stdout until ctx ends, and then what is left
// in the mailbox. It returns the cause.
func (s *session) hear(ctx context.Context, sub *broker.Subscription, o *options) error {
	out := s.newOutput(o.raw)
	for {
		events, err := sub.Next(ctx)
		if err != nil {
			return errors.Join(err, out.end())
		}
		if _, err := s.deliver(out, events); err != nil {
			return err
		}
	}
}

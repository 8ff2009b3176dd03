package sshfront

import (
	"errors"
	"io"
	"strings"

	"patchwork/broker"
)

// runSub writes what is sent to the topic to stdout, byte for byte, until the last
// publisher leaves.
func runSub(s *session, o *options) error {
	if !strings.Contains(o.topic, "*") {
		name, err := s.channel(o.topic, o.public, Receive)
		if err != nil {
			return err
		}
		switch name.Kind() {
		case broker.Req:
			return usage("req/ is the end that asks; take requests with: sub %s", quoted("res/"+strings.TrimPrefix(name.Topic(), "req/")))
		case broker.Res:
			defer s.on(name)()
			return s.takeRequests(name, o)
		}
	}
	sub, leave, err := s.subscribe(o, broker.SubscribeOptions{Stay: o.keep, OnCut: s.onCut})
	if err != nil {
		return err
	}
	defer leave()
	// Without a Next after it, what was read last is not acknowledged: a queue
	// message whose write failed goes to somebody else.
	defer sub.Close()
	if s.pty != nil {
		s.watchKeys()
	}
	out := s.newOutput(o.raw)
	cut := false
	for {
		events, err := sub.Next(s.ctx)
		if err != nil {
			if endErr := out.end(); endErr != nil {
				return endErr
			}
			if errors.Is(err, io.EOF) && cut {
				return refused("cut short: a publisher went away in the middle of its message")
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		broken, err := s.deliver(out, events)
		if err != nil {
			return err
		}
		if broken && o.keep {
			s.talk("a publisher went away in the middle of its message")
		}
		cut = cut || broken
	}
}

// subscribe follows a topic, or with a * in it all that match. leave is due when
// the subscription is over.
func (s *session) subscribe(o *options, opts broker.SubscribeOptions) (sub *broker.Subscription, leave func(), err error) {
	if strings.Contains(o.topic, "*") {
		return s.subscribeMatch(o, opts)
	}
	name, err := s.channel(o.topic, o.public, Receive)
	if err != nil {
		return nil, nil, err
	}
	if err := s.mayList(name, o); err != nil {
		return nil, nil, err
	}
	opts.As, opts.Access = s.as, o.access
	sub, err = s.srv.cfg.Broker.Subscribe(name, opts)
	if err != nil {
		return nil, nil, err
	}
	return sub, s.on(name), nil
}

func (s *session) subscribeMatch(o *options, opts broker.SubscribeOptions) (sub *broker.Subscription, leave func(), err error) {
	if o.access != nil {
		return nil, nil, usage("an access list is for one topic, and not for a pattern")
	}
	full := s.fullName(o.topic, o.public)
	pattern, err := broker.ParsePattern(full)
	if err != nil {
		return nil, nil, err
	}
	namespace, _, _ := strings.Cut(full, "/")
	allow := s.caller.Filter(s.ctx, Receive, namespace)
	if allow == nil {
		return nil, nil, denied(full)
	}
	opts.As = s.as
	sub, err = s.srv.cfg.Broker.SubscribeMatch(pattern, func(n broker.Name) bool { return !isCall(n) && allow(n) }, opts)
	if err != nil {
		return nil, nil, err
	}
	return sub, s.onAll(namespace, pattern), nil
}

// deliver writes events to stdout. When one of them is the end of a queue message
// it makes sure that the client's process has it: the next call of Next tells its
// producer so. broken means that some message ended before its end.
func (s *session) deliver(out *output, events []broker.Event) (broken bool, err error) {
	queued := false
	for _, e := range events {
		if err := out.add(e.Data); err != nil {
			return broken, err
		}
		if e.Last {
			broken = broken || e.Cut
			queued = queued || e.Info.Queue
		}
	}
	if err := out.flush(); err != nil {
		return broken, err
	}
	if queued && !s.answers(takenCheck) {
		return broken, errClientGone
	}
	return broken, nil
}

// onCut is called from a publisher's goroutine when the session was too slow. It
// will read so when it comes back to read; if it does not, its connection goes.
func (s *session) onCut(error) { s.hangUpIn(s.srv.cfg.StallGrace) }

// watchKeys reads the terminal of a session that takes no input, for Ctrl-C.
func (s *session) watchKeys() {
	keys := &tty{src: s.ch, interrupt: func() { s.cancel(errInterrupted) }}
	s.goJob(func() {
		_, _ = io.Copy(io.Discard, keys)
	})
}

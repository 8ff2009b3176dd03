package sshfront

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"patchwork/broker"
)

// answerIn is how long a responder that took a request may be silent, unless the
// requester says otherwise.
const answerIn = 30 * time.Second

// isCall tells whether a channel is an end of a request/response pair.
func isCall(n broker.Name) bool { return n.Kind() == broker.Req || n.Kind() == broker.Res }

// pubCall is pub on an end of a request/response pair.
func (s *session) pubCall(name broker.Name, o *options) error {
	switch {
	case o.lines || o.roundRobin:
		return usage("-l and -d are not for requests and answers: stdin is one")
	}
	leave, err := s.guard(name, o)
	if err != nil {
		return err
	}
	defer leave()
	if name.Kind() == broker.Req {
		return s.ask(name, o)
	}
	return s.answer(name, o)
}

// ask sends stdin as a request and prints the answer while it comes. An answer
// that is an error is exit status 1.
func (s *session) ask(name broker.Name, o *options) error {
	if !o.block {
		if !s.hasReceiver(name) {
			return refused("nobody takes requests on %s; nothing was sent", o.topic)
		}
		o.timeout = time.Second // the responder that was there may have left
	}
	silence := answerIn
	if o.timed {
		silence = o.timeout
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	defer cancel(nil)
	m := s.stdinMessage(ctx, o)
	m.Header = broker.Header{"Patch-Method": {"POST"}, "Patch-Uri": {webPath(name)}}
	call, err := s.srv.cfg.Broker.Call(ctx, name, m)
	if err != nil {
		return err
	}
	sent := make(chan struct{})
	s.goJob(func() {
		defer close(sent)
		if err := call.Send(ctx); err != nil && !errors.Is(err, broker.ErrGone) {
			cancel(err)
		}
	})
	defer func() {
		call.Close()
		<-sent
	}()
	d, err := call.Answer(ctx, o.timeout, silence)
	if errors.Is(err, broker.ErrTimeout) {
		return noSubscriber(o)
	}
	if err != nil {
		return err
	}
	if err := s.receive(ctx, d, s.newOutput(false)); err != nil {
		return err
	}
	return answerError(d.Info)
}

// answerError is the error that an answer's status stands for, if it does.
func answerError(info *broker.Info) error {
	text := ""
	if v := info.Header["Patch-Status"]; len(v) > 0 {
		text = v[0]
	}
	code, err := strconv.Atoi(text)
	switch {
	case text == "":
		return nil
	case err != nil || code < 200 || code > 599:
		return refused("the answer has an impossible status: %s", short(text))
	case code >= 400:
		return refused("the answer is an error: status %d", code)
	}
	return nil
}

// webPath is where a channel is over HTTP.
func webPath(n broker.Name) string {
	if n.Namespace() == public {
		return n.Path()
	}
	return "/u" + n.Path()
}

// takeRequests writes the next request to stdout, or with -k one after the other.
func (s *session) takeRequests(name broker.Name, o *options) error {
	leave, err := s.guard(name, o)
	if err != nil {
		return err
	}
	defer leave()
	if s.pty != nil {
		s.watchKeys()
	}
	out := s.newOutput(o.raw)
	for {
		d, err := s.srv.cfg.Broker.Receive(s.ctx, name)
		if err != nil {
			return err
		}
		err = s.receive(s.ctx, d, out)
		if errors.Is(err, errCutShort) && o.keep {
			s.talk("a requester went away in the middle of its request")
			continue
		}
		if err != nil || !o.keep {
			return err
		}
	}
}

var errCutShort = refused("cut short: the other side went away in the middle of its message")

// receive writes one message to stdout while it comes, and makes sure that the
// client's process has it before its producer hears so.
func (s *session) receive(ctx context.Context, d *broker.Delivery, out *output) (err error) {
	defer func() { d.Done(err) }()
	for {
		data, err := d.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			if err := out.end(); err != nil {
				return err
			}
			if !s.answers(takenCheck) {
				return errClientGone
			}
			return nil
		case errors.Is(err, broker.ErrCut):
			return errors.Join(errCutShort, out.end())
		case err != nil:
			return err
		}
		if err := errors.Join(out.add(data), out.flush()); err != nil {
			return err
		}
	}
}

// answer sends stdin as the answer to the oldest request that was taken and not
// answered, or to the next one that comes.
func (s *session) answer(name broker.Name, o *options) error {
	if !o.block {
		o.timeout = time.Second
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, o.timeout, errTimedOut)
	defer cancel()
	err := s.srv.cfg.Broker.Answer(ctx, name, "", s.stdinMessage(s.ctx, o))
	if errors.Is(err, errTimedOut) {
		return refused("nobody asked on %s within %v; try again, or wait longer with -t", o.topic, o.timeout)
	}
	return err
}

// stdinMessage is stdin as one message, or the empty one.
func (s *session) stdinMessage(ctx context.Context, o *options) broker.Message {
	if o.empty {
		return broker.Message{}
	}
	ctx, stop := context.WithCancelCause(ctx)
	return broker.Message{Size: -1, Body: &lateStdin{s: s, ctx: ctx}, Stop: func() { stop(errClientGone) }}
}

package sshfront

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"patchwork/broker"
)

// pubQueue sends stdin to one receiver, or with -l each line to the next one.
// Exit status 0 means that it arrived whole.
func (s *session) pubQueue(name broker.Name, o *options) error {
	leave, err := s.guard(name, o)
	if err != nil {
		return err
	}
	defer leave()
	if !s.hasReceiver(name) {
		if !o.block {
			return refused("nobody waits on %s; nothing was sent", o.topic)
		}
		s.talk("waiting for a receiver; receive with: %s", s.example("sub", s.joinedAs(o.topic, o), o.public))
	}
	if !o.block {
		o.timeout = time.Second // the receiver that was there may have left
	}
	if o.empty {
		return s.offer(name, o, broker.Message{})
	}
	ctx, stop := context.WithCancelCause(s.ctx)
	defer stop(nil)
	body := &lateStdin{s: s, ctx: ctx}
	give := func() { stop(errClientGone) }
	if !o.lines && !o.roundRobin {
		return s.offer(name, o, broker.Message{Size: -1, Body: body, Stop: give})
	}
	br := bufio.NewReaderSize(body, wholeLine)
	for {
		line, err := br.ReadSlice('\n')
		m := broker.Message{Size: int64(len(line)), Body: bytes.NewReader(line)}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			m = broker.Message{Size: -1, Body: io.MultiReader(bytes.NewReader(line), &restOfLine{br: br}), Stop: give}
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case err != nil && !errors.Is(err, io.EOF):
			return err
		}
		if err := s.offer(name, o, m); err != nil {
			return err
		}
	}
}

// offer sends one message, and waits for a receiver as long as the client would.
func (s *session) offer(name broker.Name, o *options, m broker.Message) error {
	ctx, cancel := context.WithTimeoutCause(s.ctx, o.timeout, errTimedOut)
	defer cancel()
	err := s.srv.cfg.Broker.Send(ctx, name, m)
	if errors.Is(err, errTimedOut) {
		return noSubscriber(o)
	}
	return err
}

// lateStdin is stdin that is not touched before its first Read.
type lateStdin struct {
	s   *session
	ctx context.Context
	in  *stdin
}

func (l *lateStdin) Read(p []byte) (int, error) {
	if l.in == nil {
		l.in = l.s.openStdin()
	}
	return stdinReader{l.ctx, l.in}.Read(p)
}

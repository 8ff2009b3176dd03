package sshfront

import (
	"bufio"
	"context"
	"errors"
	"io"

	"patchwork/broker"
)

// wholeLine is the longest line that is sent as one piece; longer ones go out as
// they come. Either way a line is one message, its newline included.
const wholeLine = 64 << 10

// sendLines sends each line of r as a message of its own, a last one without a
// newline too. before is called before each, sent after each with its length.
func sendLines(ctx context.Context, p *broker.Publisher, r io.Reader, before func(context.Context) error, sent func(int)) error {
	br := bufio.NewReaderSize(r, wholeLine)
	for {
		if err := before(ctx); err != nil {
			return err
		}
		line, err := br.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			err = sendLongLine(ctx, p, line, br, sent)
		case errors.Is(err, io.EOF) && len(line) == 0:
			return nil
		case err == nil || errors.Is(err, io.EOF):
			if _, err = p.Message(ctx, nil, line); err == nil {
				sent(len(line))
			}
		}
		if err != nil {
			return err
		}
	}
}

// sendLongLine sends a line of which only the beginning is there.
func sendLongLine(ctx context.Context, p *broker.Publisher, part []byte, br *bufio.Reader, sent func(int)) error {
	for {
		n := len(part)
		if err := p.Write(ctx, part); err != nil {
			return err
		}
		sent(n)
		var err error
		part, err = br.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := p.Write(ctx, part); err != nil {
			return err
		}
		if _, err = p.End(ctx); err == nil {
			sent(len(part))
		}
		return err
	}
}

// A restOfLine reads to the end of the line that br is in.
type restOfLine struct {
	br   *bufio.Reader
	done bool
}

func (l *restOfLine) Read(p []byte) (int, error) {
	if l.done {
		return 0, io.EOF
	}
	if _, err := l.br.Peek(1); err != nil {
		l.done = errors.Is(err, io.EOF)
		return 0, err
	}
	there, _ := l.br.Peek(min(len(p), l.br.Buffered()))
	n := copy(p, there)
	for i, b := range p[:n] {
		if b == '\n' {
			n, l.done = i+1, true
			break
		}
	}
	_, _ = l.br.Discard(n)
	return n, nil
}

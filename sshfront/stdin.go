package sshfront

import (
	"context"
	"errors"
	"io"
)

// chunkSize is the largest packet of SSH data, and so the most that one read or
// write can move.
const chunkSize = 32 << 10

// stdin is what the client sends, so read that waiting for it can be given up: a
// channel's Read ends only with the channel. It is used by one goroutine at a
// time.
type stdin struct {
	chunks chan []byte
	spare  chan []byte // buffers to read into
	err    error       // why chunks was closed
	last   []byte      // handed out by next
	rest   []byte      // of last, not yet taken by Read
}

// openStdin starts to read the client's stdin, in a goroutine that ends when the
// session's channel closes. Before that nothing is read, and the client can send
// no more than fits the channel's window.
func (s *session) openStdin() *stdin {
	in := &stdin{chunks: make(chan []byte), spare: make(chan []byte, 2)}
	for range cap(in.spare) {
		in.spare <- make([]byte, chunkSize)
	}
	var src io.Reader = s.ch
	if s.pty != nil {
		src = s.openTTY()
	}
	s.goJob(func() { s.pump(src, in) })
	return in
}

// pump reads src to its end. An end that the client does not confirm is
// errClientGone, not io.EOF.
func (s *session) pump(src io.Reader, in *stdin) {
	for {
		var buf []byte
		select {
		case buf = <-in.spare:
		case <-s.ctx.Done():
			return
		}
		n, err := src.Read(buf[:chunkSize])
		if n > 0 {
			select {
			case in.chunks <- buf[:n]:
			case <-s.ctx.Done():
				return
			}
		} else {
			in.spare <- buf
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) && !s.answers(eofCheck) {
			err = errClientGone
		}
		in.err = err
		close(in.chunks)
		return
	}
}

// next returns what came, valid until the following call of next or Read, and
// waits for it. io.EOF is an end that the client confirmed; other errors are
// errClientGone and the cause of ctx, which must be the session's or made of it.
func (in *stdin) next(ctx context.Context) ([]byte, error) {
	if in.last != nil {
		in.spare <- in.last // never blocks: it came from there
		in.last = nil
	}
	select {
	case chunk, ok := <-in.chunks:
		if !ok {
			return nil, in.err
		}
		in.last = chunk
		return chunk, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// A stdinReader is stdin as an io.Reader whose waiting ends with ctx.
type stdinReader struct {
	ctx context.Context
	in  *stdin
}

func (r stdinReader) Read(p []byte) (int, error) {
	for len(r.in.rest) == 0 {
		chunk, err := r.in.next(r.ctx)
		if err != nil {
			return 0, err
		}
		r.in.rest = chunk
	}
	n := copy(p, r.in.rest)
	r.in.rest = r.in.rest[n:]
	return n, nil
}

package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// deaf is how long a stream may bring nothing before its other end counts as
	// gone. Both ends ask for a sign of life every heartbeat.
	deaf      = 12 * time.Second
	heartbeat = 3 * time.Second
	// handOverLimit bounds the four lines of a hand-over.
	handOverLimit = 10 * time.Second
	// lastWords bounds what is still sent by a stream that was closed.
	lastWords = 2 * time.Second
)

// stream is one byte stream in each direction over a succession of pairs of HTTP
// requests ("SendIt v1"). Each pair begins with four lines: both ends say SYN, and
// having read the other's say SYNACK. Who says SYNACK reads the new inlet as soon
// as the old one ends; who has read SYNACK writes to the new outlet and ends the
// old one. So at every moment exactly one inlet is read, to its end, and the bytes
// before the switch are all in the old pair.
//
// One goroutine may read and one write at a time.
type stream struct {
	*outbox
	ctx    context.Context // ends with the stream, its cause is why
	cancel context.CancelCauseFunc
	alive  *time.Timer

	handOver chan struct{} // holds the right to change the pair

	mu     sync.Mutex // guards inlets
	inlets []*inlet   // the one that is read, and its successors
}

func newStream() *stream {
	s := &stream{outbox: newOutbox(), handOver: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	s.alive = time.AfterFunc(deaf, func() { s.end(fmt.Errorf("%w: it has been silent for %v", ErrLost, deaf)) })
	return s
}

// adopt makes in and out the stream's pair, once the other end has done the same.
// When it fails before the other end can have switched, the stream goes on with
// the pair it has; later, the stream ends.
func (s *stream) adopt(ctx context.Context, in *inlet, out *outlet) (err error) {
	select {
	case s.handOver <- struct{}{}:
		defer func() { <-s.handOver }()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	limit := time.AfterFunc(handOverLimit, in.stop)
	defer limit.Stop()
	defer context.AfterFunc(s.ctx, in.stop)()
	defer context.AfterFunc(ctx, in.stop)()
	defer func() {
		if err != nil {
			out.fail(err)
		}
	}()
	out.say("SYN\n")
	if err := in.expect("SYN\n"); err != nil {
		return err
	}
	s.mu.Lock()
	s.inlets = append(s.inlets, in)
	s.mu.Unlock()
	out.say("SYNACK\n")
	if err := in.expect("SYNACK\n"); err != nil {
		s.end(err)
		return err
	}
	if !limit.Stop() { // it struck between the last byte and here
		s.end(ErrLost)
		return ErrLost
	}
	s.alive.Reset(deaf)
	close(in.open)
	s.pass(out)
	return nil
}

// newOutlet returns the write half of a pair to come.
func (s *stream) newOutlet() *outlet { return &outlet{box: s.outbox} }

// Read reads the inlets one after the other. It ends with io.EOF when the last
// one has ended properly and has no successor.
func (s *stream) Read(p []byte) (int, error) {
	for {
		in := s.head()
		if in == nil {
			return 0, io.EOF
		}
		select {
		case <-in.open:
		case <-s.ctx.Done():
			return 0, context.Cause(s.ctx)
		}
		n, err := in.read(p)
		if n > 0 {
			s.alive.Reset(deaf)
			return n, nil // an error comes again at the next read
		}
		switch {
		case errors.Is(err, io.EOF):
			s.next(in, nil)
		case err != nil:
			s.next(in, err)
			if s.ctx.Err() != nil {
				return 0, context.Cause(s.ctx)
			}
			err = fmt.Errorf("%w: %w", ErrLost, err)
			s.end(err)
			return 0, err
		}
	}
}

func (s *stream) head() *inlet {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inlets) == 0 {
		return nil
	}
	return s.inlets[0]
}

func (s *stream) next(in *inlet, err error) {
	s.mu.Lock()
	s.inlets = slices.DeleteFunc(s.inlets, func(x *inlet) bool { return x == in })
	s.mu.Unlock()
	in.err = err
	close(in.done)
}

// Close ends the stream after its last words.
func (s *stream) Close() error {
	s.outbox.close(lastWords, io.ErrClosedPipe)
	s.end(io.ErrClosedPipe)
	return nil
}

// end ends the stream at once; the first reason counts.
func (s *stream) end(why error) {
	s.alive.Stop()
	s.cancel(why)
	s.outbox.close(0, why)
	s.mu.Lock()
	inlets := slices.Clone(s.inlets)
	s.mu.Unlock()
	for _, in := range inlets {
		in.stop()
	}
}

// broken says that the outgoing direction does not work any more. What the other
// end said before that is still read, for a moment.
func (s *stream) broken() { time.AfterFunc(lastWords/2, func() { s.end(ErrLost) }) }

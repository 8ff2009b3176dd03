package tunnel

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/yamux"
)

// session is one client of a SendIt server, from open to its end. It is the
// Opener of its prefix.
type session struct {
	id     string
	prefix string
	stream *stream
	claim  *Claim

	reading, writing atomic.Bool // a half waits for its other half
	halves           chan *outlet

	once  sync.Once
	ready chan struct{} // closed when mux is set
	mux   *yamux.Session
	crew  crew
}

func newSession(id, prefix string) *session {
	return &session{id: id, prefix: prefix, stream: newStream(), halves: make(chan *outlet), ready: make(chan struct{})}
}

// establish puts the multiplexer on the stream, after its first pair.
func (s *session) establish() error {
	mux, err := yamux.Server(s.stream, muxConfig())
	if err != nil {
		return err
	}
	s.mux = mux
	close(s.ready)
	return nil
}

func (s *session) established() bool {
	select {
	case <-s.ready:
		return true
	default:
		return false
	}
}

// run returns when the session has ended and nothing of it is left.
func (s *session) run() (why error) {
	unborn := time.AfterFunc(handOverLimit, func() {
		if !s.established() {
			s.stream.end(ErrLost)
		}
	})
	defer unborn.Stop()
	select {
	case <-s.ready:
		select {
		case <-s.mux.CloseChan():
		case <-s.stream.ctx.Done():
		}
	case <-s.stream.ctx.Done():
	}
	why = context.Cause(s.stream.ctx)
	s.claim.Release() // before anything that may take its time
	if s.established() {
		s.mux.Close()
	}
	s.stream.Close()
	if why == nil {
		why = ErrLost
	}
	s.crew.finish()
	return why
}

// DialContext opens a stream to the client, once there is one.
func (s *session) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	select {
	case <-s.ready:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.stream.ctx.Done():
		return nil, ErrLost
	}
	if s.mux.NumStreams() >= maxStreams {
		return nil, ErrBusy
	}
	stream, err := s.mux.OpenStream()
	if err != nil {
		return nil, ErrLost
	}
	return &lane{Stream: stream, crew: &s.crew}, nil
}

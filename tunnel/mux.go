package tunnel

import (
	"context"
	"io"
	"log"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// maxStreams is how many streams one session may have open, those included that
// its other end does not close.
const maxStreams = 512

// muxConfig is yamux as both ends speak it. Its own limit on writes is set far
// off: a slow line is not a dead one, and the stream below ends when it hears
// nothing any more.
func muxConfig() *yamux.Config {
	c := yamux.DefaultConfig()
	c.KeepAliveInterval = heartbeat
	c.ConnectionWriteTimeout = time.Minute
	c.MaxStreamWindowSize = 4 << 20
	c.StreamCloseTimeout = 0 // a half-closed stream may live on
	c.LogOutput = nil
	c.Logger = log.New(io.Discard, "", 0) // what matters comes back as an error
	return c
}

// lane is one yamux stream as a connection. Closing a yamux stream only ends its
// outgoing direction, so Close reads on until the other end has closed as well:
// else that end would wait for room in a window that nobody empties, and never
// notice.
type lane struct {
	*yamux.Stream
	crew *crew

	reading sync.Mutex // held during a Read

	mu     sync.Mutex // guards what follows
	closed bool
}

func (l *lane) Read(p []byte) (int, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.isClosed() {
		return 0, net.ErrClosed
	}
	n, err := l.Stream.Read(p)
	if err != nil && l.isClosed() {
		err = net.ErrClosed
	}
	return n, err
}

func (l *lane) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// CloseWrite ends the outgoing direction.
func (l *lane) CloseWrite() error { return l.Stream.Close() }

func (l *lane) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return net.ErrClosed
	}
	return l.Stream.SetReadDeadline(t)
}

func (l *lane) SetDeadline(t time.Time) error {
	if err := l.SetReadDeadline(t); err != nil {
		return err
	}
	return l.SetWriteDeadline(t)
}

func (l *lane) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	_ = l.Stream.SetReadDeadline(time.Unix(1, 0)) // wakes a Read
	empty := func() {
		l.Stream.Close()
		l.reading.Lock()
		defer l.reading.Unlock()
		_ = l.Stream.SetReadDeadline(time.Time{})
		_, _ = io.Copy(io.Discard, l.Stream) // ends with the session at the latest
	}
	if !l.crew.start(empty) {
		l.Stream.Close()
	}
	return nil
}

// listener hands out the streams that the other end opens, until it is closed.
// The session stays open: answers under way still go out through it.
type listener struct {
	mux   *yamux.Session
	crew  *crew
	ctx   context.Context
	close context.CancelFunc
}

func newListener(mux *yamux.Session, crew *crew) *listener {
	l := &listener{mux: mux, crew: crew}
	l.ctx, l.close = context.WithCancel(context.Background())
	return l
}

func (l *listener) Accept() (net.Conn, error) {
	s, err := l.mux.AcceptStreamWithContext(l.ctx)
	if err != nil {
		return nil, err
	}
	return &lane{Stream: s, crew: l.crew}, nil
}

func (l *listener) Close() error {
	l.close()
	return nil
}

func (l *listener) Addr() net.Addr { return l.mux.Addr() }

// crew are the goroutines that a session has at work on its lanes.
type crew struct {
	mu   sync.Mutex // guards over, and work.Add against work.Wait
	over bool
	work sync.WaitGroup
}

// start has f done, unless the session is over.
func (c *crew) start(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.work.Go(f)
	}
	return !c.over
}

// finish waits for all, once the session's multiplexer is closed.
func (c *crew) finish() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.work.Wait()
}

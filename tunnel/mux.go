package tunnel

import (
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
	lanes *sync.WaitGroup // counts lanes that are being emptied

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
	l.Stream.SetReadDeadline(time.Unix(1, 0)) // wakes a Read
	l.lanes.Go(func() {
		l.Stream.Close()
		l.reading.Lock()
		defer l.reading.Unlock()
		l.Stream.SetReadDeadline(time.Time{})
		io.Copy(io.Discard, l.Stream) // ends with the session at the latest
	})
	return nil
}

// listener hands out the streams that the other end opens.
type listener struct {
	mux   *yamux.Session
	lanes *sync.WaitGroup
}

func (l listener) Accept() (net.Conn, error) {
	s, err := l.mux.AcceptStream()
	if err != nil {
		return nil, err
	}
	return &lane{Stream: s, lanes: l.lanes}, nil
}

func (l listener) Close() error   { return l.mux.Close() }
func (l listener) Addr() net.Addr { return l.mux.Addr() }

package tunnel

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// frames is the byte stream in a WebSocket's binary messages.
type frames struct {
	conn       *websocket.Conn
	halfCloses bool // the peer knows the empty message

	message io.Reader // what is left of the message that came last; nil between two

	sentEnd, gotEnd atomic.Bool
	ended           chan struct{} // closed when gotEnd is set
	watched         chan struct{} // closed when the watch is over
	closed          chan struct{}
	once            sync.Once
}

func newFrames(conn *websocket.Conn) *frames {
	f := &frames{
		conn: conn, halfCloses: conn.Subprotocol() == halfCloses,
		ended: make(chan struct{}), watched: make(chan struct{}), closed: make(chan struct{}),
	}
	alive := func() { _ = conn.SetReadDeadline(time.Now().Add(silence)) }
	conn.SetPongHandler(func(string) error { alive(); return nil })
	ping := conn.PingHandler()
	conn.SetPingHandler(func(data string) error { alive(); return ping(data) })
	return f
}

// errHungUp says that the peer ended both directions at once: nobody is left to
// hear what the other side still has to say.
var errHungUp = errors.New("the peer closed the connection")

func (f *frames) join(ctx context.Context, other io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	wg.Go(f.ping)
	wg.Go(func() { f.watch(cancel) })
	err := Join(ctx, f, other)
	wg.Wait()
	if errors.Is(err, errHungUp) {
		return nil
	}
	return err
}

// ping returns when the connection is closed.
func (f *frames) ping() {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-f.closed:
			return
		case <-t.C:
			// One that finds the line full is left out: data keeps it alive as well.
			_ = f.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(goodbye))
		}
	}
}

// watch takes over from Read after the peer's last byte. Somebody must go on
// reading, or pings would stay without an answer and nobody would hear that the
// peer is gone altogether.
func (f *frames) watch(gone context.CancelCauseFunc) {
	defer close(f.watched)
	select {
	case <-f.ended:
	case <-f.closed:
		if !f.gotEnd.Load() {
			return
		}
	}
	for {
		_ = f.conn.SetReadDeadline(time.Now().Add(silence))
		if _, _, err := f.conn.NextReader(); err != nil {
			if !f.sentEnd.Load() {
				gone(errHungUp)
			}
			return
		}
	}
}

func (f *frames) Read(p []byte) (int, error) {
	for {
		// Renewed before each read: as long as the other side held us back, nobody
		// looked for signs of life.
		_ = f.conn.SetReadDeadline(time.Now().Add(silence))
		first := f.message == nil
		if first {
			kind, r, err := f.conn.NextReader()
			switch {
			case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived):
				if f.sentEnd.Load() { // it answers ours
					return 0, f.end()
				}
				return 0, errHungUp
			case err != nil:
				return 0, err
			case kind != websocket.BinaryMessage:
				return 0, errors.New("a text message came where only binary ones are expected")
			}
			f.message = r
		}
		n, err := f.message.Read(p)
		if err == io.EOF {
			f.message, err = nil, nil
			if n == 0 && first {
				return 0, f.end()
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (f *frames) end() error {
	f.gotEnd.Store(true)
	close(f.ended)
	return io.EOF
}

// Write sends one message. An empty one would be an end, and is not sent.
func (f *frames) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := f.conn.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// CloseWrite ends our direction; with a peer that knows no half-close, both.
func (f *frames) CloseWrite() error {
	f.sentEnd.Store(true)
	if !f.halfCloses {
		return f.sendClose()
	}
	return f.conn.WriteMessage(websocket.BinaryMessage, nil)
}

func (f *frames) sendClose() error {
	err := f.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(goodbye))
	if errors.Is(err, websocket.ErrCloseSent) {
		return nil
	}
	return err
}

// Close closes the connection. When both directions have ended it waits for the
// peer's close, for a moment: what it has not read yet would be lost if this end
// were reset. Otherwise the peer hears no close, so it cannot take a cut for an
// end.
func (f *frames) Close() error {
	f.once.Do(func() {
		close(f.closed)
		if f.sentEnd.Load() && f.gotEnd.Load() {
			f.sendClose()
			cut := time.AfterFunc(goodbye, func() { f.conn.Close() })
			defer cut.Stop()
			<-f.watched
		}
		f.conn.Close()
	})
	return nil
}

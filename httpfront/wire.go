package httpfront

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"
)

// A wire is a response on a connection that was taken over from net/http, so
// that its end can be watched. HTTP has no word for "I have it all": the only
// one TCP has is that a client which read everything closes its side cleanly,
// while one that died with bytes unread resets the connection. So a wire ends its
// own side after the last byte, and waits for the client to end its. That is what
// lets the producer of a queue message trust its 200.
type wire struct {
	conn    net.Conn
	timeout time.Duration // without progress; 0 is none
	w       *response
	head    []byte // not written yet
	chunked bool
	bare    bool  // HTTP/1.0 without a length: only a reset can say that it is not whole
	left    int64 // of a known length; -1 without

	closed chan error // the client's side: io.EOF when it closed cleanly
	over   context.Context
}

// lastWord bounds the wait for the client's close. One that ignores the
// Connection: close it was sent is believed to have what its system has.
const lastWord = 60 * time.Second

// lastAck bounds the wait for the last acknowledgement after the client's close.
const lastAck = 5 * time.Second

// takeOver takes the connection of a request over and prepares the head of the
// response. The error is http.ErrNotSupported where that cannot be done.
func (s *Server) takeOver(w *response, r *http.Request, code int, header http.Header) (*wire, error) {
	conn, buf, err := w.Hijack()
	if err != nil {
		return nil, err
	}
	buf.Writer.Flush() //nolint:errcheck // nothing but interim responses; a dead connection shows in the next write
	w.status = code
	x := &wire{conn: conn, timeout: s.cfg.WriteTimeout, w: w, left: -1, closed: make(chan error, 1)}
	head := bytes.NewBuffer(make([]byte, 0, 1024))
	fmt.Fprintf(head, "HTTP/1.%d %03d %s\r\n", r.ProtoMinor, code, http.StatusText(code))
	header.Set("Connection", "close")
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	switch length := header.Get("Content-Length"); {
	case length != "":
		if x.left, err = strconv.ParseInt(length, 10, 64); err != nil {
			x.left = -1
		}
	case r.ProtoAtLeast(1, 1):
		header.Set("Transfer-Encoding", "chunked")
		x.chunked = true
	default:
		x.bare = true
	}
	header.Write(head) //nolint:errcheck // to memory
	head.WriteString("\r\n")
	x.head = head.Bytes()
	return x, nil
}

// context watches the client's side of the connection until the wire ends.
func (x *wire) context(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	x.over = ctx
	context.AfterFunc(ctx, func() { x.conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // closed is closed
	x.conn.SetReadDeadline(time.Time{})                                    //nolint:errcheck // as above
	go func() {
		_, err := io.Copy(io.Discard, x.conn)                  // what a client sends behind its request is not for us
		if err == nil || errors.Is(err, io.ErrUnexpectedEOF) { // TLS without a last word; settled knows better
			err = io.EOF
		}
		x.closed <- err
		cancel(errClientGone)
	}()
	return ctx
}

// whole tells whether a message of known length is written to its last byte. The
// client may close then, though the producer's end is still to come.
func (x *wire) whole() bool { return x.left == 0 }

func (x *wire) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if x.left >= 0 {
		if int64(len(p)) > x.left {
			return errors.New("the message is longer than it said")
		}
		x.left -= int64(len(p))
	}
	if !x.chunked {
		return x.send(p)
	}
	size := make([]byte, 0, 20)
	size = strconv.AppendUint(size, uint64(len(p)), 16)
	size = append(size, "\r\n"...)
	return x.send(size, p, []byte("\r\n"))
}

// send writes parts at once, the head before the first. A deadline that passes
// after some bytes went out is progress, not an end.
func (x *wire) send(parts ...[]byte) error {
	bufs := net.Buffers(parts)
	if x.head != nil {
		bufs = append(net.Buffers{x.head}, parts...)
		x.head = nil
	}
	for {
		if x.timeout > 0 {
			x.conn.SetWriteDeadline(time.Now().Add(x.timeout)) //nolint:errcheck // the write says it
		}
		if x.over.Err() != nil && !x.whole() { // looked at after the deadline was set, which may have undone the other one
			return context.Cause(x.over)
		}
		n, err := bufs.WriteTo(x.conn)
		x.w.bytes += n
		if err == nil || n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

func (x *wire) finish() error {
	defer x.conn.Close()
	if x.left > 0 {
		return errors.New("the message is shorter than it said")
	}
	var err error
	switch {
	case x.chunked:
		err = x.send([]byte("0\r\n\r\n"))
	case x.head != nil:
		err = x.send()
	}
	if err != nil {
		return err
	}
	half, ok := x.conn.(interface{ CloseWrite() error })
	if !ok {
		return nil
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	if tls, ok := x.conn.(interface{ NetConn() net.Conn }); ok {
		if tcp, ok := tls.NetConn().(*net.TCPConn); ok {
			tcp.CloseWrite() //nolint:errcheck // the client's close, or the lack of it, tells
		}
	}
	timer := time.NewTimer(lastWord)
	defer timer.Stop()
	select {
	case err := <-x.closed:
		if errors.Is(err, io.EOF) {
			return settled(x.conn, lastAck)
		}
		return err
	case <-timer.C:
		if unsent(x.conn) > 0 {
			return errors.New("the client does not read")
		}
		return nil
	}
}

func (x *wire) abort() {
	if tcp, ok := x.conn.(*net.TCPConn); ok && x.bare {
		tcp.SetLinger(0) //nolint:errcheck // the close that follows is what counts
	}
	x.conn.Close()
}

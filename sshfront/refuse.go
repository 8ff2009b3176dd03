package sshfront

import (
	"fmt"
	"io"
	"time"
)

// How long, and how many at a time, refused clients may take to read why.
const (
	refuseTime = 500 * time.Millisecond
	maxRefused = 200
)

// turnAway tells a client that was not admitted why, and closes its connection.
// Lines before its version are a server's right (RFC 4253, section 4.2); ssh -v
// shows them. A connection that is closed with bytes unread is reset, and the line
// may be lost on its way: so what the client says is read, for a moment. In a
// flood there is no time for that.
func (s *Server) turnAway(c *conn, reason error) {
	_ = c.SetDeadline(time.Now().Add(refuseTime))
	fmt.Fprintf(c.Conn, "%v\r\n", reason) // fits any socket's buffer: it does not block
	select {
	case s.refused <- struct{}{}:
	default:
		c.Close()
		return
	}
	s.jobs.Go(func() {
		defer func() { <-s.refused }()
		defer c.Close()
		if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(c.Conn, 64<<10))
	})
}

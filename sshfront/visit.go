package sshfront

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/tunnel"
)

// visits opens connections to what a client publishes: channels of type
// forwarded-tcpip, which it connects to its own target (RFC 4254, section 7.2). It
// is the prefix's [tunnel.Opener].
type visits struct {
	srv  *Server
	conn *conn
	sc   *gossh.ServerConn
	open []byte
}

// openWait is how long a client may take to connect to its own target.
const openWait = 10 * time.Second

func (s *Server) visitsOf(c *conn, sc *gossh.ServerConn, address string) *visits {
	// Connections are kept for other visitors, so they come from nobody but the
	// relay. Go's client wants a real address there.
	host, port, _ := net.SplitHostPort(sc.LocalAddr().String())
	from, _ := strconv.ParseUint(port, 10, 16)
	return &visits{srv: s, conn: c, sc: sc, open: gossh.Marshal(struct {
		Address    string // exactly as the client asked for it: so it finds its target
		Port       uint32
		Origin     string
		OriginPort uint32
	}{address, publishedPort, host, uint32(from)})}
}

// DialContext opens a connection to the client's target. Network and address mean
// nothing.
func (v *visits) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if v.conn.visitors.Add(1) > int32(v.srv.cfg.MaxSessions) {
		v.conn.visitors.Add(-1)
		return nil, tunnel.ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	opened, failed := make(chan *visit), make(chan error, 1)
	v.srv.visiting.add()
	go v.run(ctx, opened, failed)
	select {
	case visit := <-opened:
		return visit, nil
	case err := <-failed:
		return nil, err
	case <-v.conn.closed:
		return nil, tunnel.ErrLost
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// run opens one channel, hands it over and lasts as long as it does.
//
// In the moment in which a connection ends the library can take a new channel that
// nobody will ever answer. Such a goroutine never ends; nothing may wait for it
// without a limit.
func (v *visits) run(ctx context.Context, opened chan<- *visit, failed chan<- error) {
	defer v.srv.visiting.done()
	defer v.conn.visitors.Add(-1)
	defer v.srv.contain("ssh tunnel", v.conn)
	ch, requests, err := v.sc.OpenChannel("forwarded-tcpip", v.open)
	if err != nil {
		failed <- err
		return
	}
	select {
	case opened <- &visit{Channel: ch, visits: v}:
	case <-ctx.Done(): // nobody waits for it any more
		ch.Close()
	}
	refuseAll(requests)
}

// A visit is a channel as a net.Conn. It has no deadlines.
type visit struct {
	gossh.Channel
	visits *visits
}

func (v *visit) Read(p []byte) (int, error) {
	n, err := v.Channel.Read(p)
	switch {
	case n > 0:
		return n, nil // an error with data is about the window; the next read tells
	case errors.Is(err, io.EOF) && !v.confirmed():
		return 0, tunnel.ErrLost
	}
	return n, err
}

// confirmed tells whether the client is still there after the end of what it sent.
// Of a client that was killed the end looks the same, and an answer that was cut
// would count as whole.
func (v *visit) confirmed() bool {
	c := v.visits.conn
	select {
	case <-c.closed:
		return false
	default:
	}
	answer := make(chan error, 1)
	v.visits.srv.visiting.add()
	go func() {
		defer v.visits.srv.visiting.done()
		defer v.visits.srv.contain("ssh tunnel", c)
		_, _, err := v.visits.sc.SendRequest("keepalive@openssh.com", true, nil)
		answer <- err
	}()
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err == nil
	case <-c.closed:
	case <-timer.C:
	}
	return false
}

func (v *visit) Write(p []byte) (int, error) {
	n, err := v.Channel.Write(p)
	if errors.Is(err, io.EOF) { // so the library says that the channel is closed
		err = tunnel.ErrLost
	}
	return n, err
}

func (v *visit) LocalAddr() net.Addr  { return v.visits.sc.LocalAddr() }
func (v *visit) RemoteAddr() net.Addr { return v.visits.sc.RemoteAddr() }

func (v *visit) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (v *visit) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (v *visit) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }

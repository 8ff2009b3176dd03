package sshfront

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"charm.land/ssh"
	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
	"patchwork/tunnel"
)

// A forwardRequest is what a client asks for with a channel of type direct-tcpip,
// which is what ssh -W, -L and -J open (RFC 4254, section 7.2).
type forwardRequest struct {
	Host       string
	Port       uint32
	Origin     string // whoever connected to the client, so the client says
	OriginPort uint32
}

// A rejection is an error that refuses a channel for a certain reason. Others are
// failures to connect.
type rejection struct {
	reason gossh.RejectionReason
	line   string
}

func (r *rejection) Error() string { return r.line }

func prohibited(format string, args ...any) error {
	return &rejection{gossh.Prohibited, fmt.Sprintf(format, args...)}
}

// serveForward serves one channel of type "direct-tcpip", from its opening to its
// end, and returns when all of its goroutines have.
func (s *Server) serveForward(_ *ssh.Server, sc *gossh.ServerConn, nc gossh.NewChannel, cctx ssh.Context) {
	s.forwards.add()
	defer s.forwards.done()
	c := cctx.Value(connKey).(*conn)
	if !c.enter(s.cfg.MaxSessions) {
		_ = nc.Reject(gossh.ResourceShortage, "too many sessions and forwards on this connection")
		return
	}
	defer c.leave()
	begun := time.Now()
	log := s.log.With("client", c.address)

	address, target, err := s.reach(cctx, sc, nc.ExtraData())
	if err != nil {
		log.Info("ssh forward refused", "target", address, "error", err)
		_ = nc.Reject(reasonOf(err), err.Error())
		return
	}
	ch, requests, err := nc.Accept()
	if err != nil {
		target.Close()
		return
	}
	s.join(c, ch, requests, target)
	log.Info("ssh forward", "target", address, "duration", time.Since(begun).Round(time.Millisecond))
}

// reach connects to the target if the client may. This comes before the channel is
// accepted: only then the client learns why it cannot be.
func (s *Server) reach(cctx context.Context, sc *gossh.ServerConn, request []byte) (address string, target net.Conn, err error) {
	ctx, cancel := context.WithCancelCause(cctx)
	defer cancel(nil)
	defer context.AfterFunc(s.cut, func() { cancel(context.Cause(s.cut)) })()

	var want forwardRequest
	if err := gossh.Unmarshal(request, &want); err != nil {
		return "", nil, errors.New("the request is malformed")
	}
	port := strconv.FormatUint(uint64(want.Port), 10)
	if err := tunnel.CheckTarget(want.Host, port); err != nil {
		return "", nil, err
	}
	address = net.JoinHostPort(want.Host, port)
	caller, err := s.forwarder(ctx, sc)
	if err != nil {
		return address, nil, err
	}
	if s.cfg.MayForward == nil || s.cfg.Dial == nil {
		return address, nil, prohibited("this relay does not forward connections")
	}
	if err := s.cfg.MayForward(ctx, caller, address); err != nil {
		return address, nil, prohibited("%v", err)
	}
	target, err = s.cfg.Dial(ctx, "tcp", address)
	return address, target, err
}

// forwarder finds out who wants to forward something, by now.
func (s *Server) forwarder(ctx context.Context, sc *gossh.ServerConn) (Caller, error) {
	if s.isDown() {
		return nil, errGoingDown
	}
	id, err := provenIdentity(sc.Permissions)
	if err != nil {
		return nil, prohibited("%v", err)
	}
	if !id.forwards() {
		return nil, prohibited("your certificate does not allow port forwarding; get one that has permit-port-forwarding")
	}
	caller, err := s.recognise(ctx, id, sc.User())
	if err != nil {
		return nil, prohibited("%v", err)
	}
	return caller, nil
}

var errGoingDown = errors.New("the relay is going down, try again")

func reasonOf(err error) gossh.RejectionReason {
	var r *rejection
	switch {
	case errors.As(err, &r):
		return r.reason
	case errors.Is(err, tunnel.ErrEgress):
		return gossh.Prohibited
	}
	return gossh.ConnectionFailed
}

// join copies between a channel and a target until both directions have ended. It
// returns when the channel is closed on both sides and nothing of it is left.
//
// It does not end with the client's connection: what the client sent before is
// still on its way to the target, and gets the time it takes to close a channel.
func (s *Server) join(c *conn, ch gossh.Channel, requests <-chan *gossh.Request, target net.Conn) {
	ctx, hangUp := context.WithCancelCause(context.Background())
	defer context.AfterFunc(s.cut, func() { hangUp(context.Cause(s.cut)) })()
	client := &lane{Channel: ch, drained: make(chan struct{})}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		defer s.contain("ssh forward", c)
		refuseAll(requests)
		// The client has closed the channel, or is gone: nobody hears the target.
		late := time.NewTimer(closeWait)
		defer late.Stop()
		select {
		case <-client.drained:
		case <-late.C:
		case <-ctx.Done():
		}
		hangUp(errClientGone)
	}()
	err := tunnel.Join(ctx, client, target)
	hangUp(nil)
	<-closed
	if err != nil && !errors.Is(err, errClientGone) && !errors.Is(err, broker.ErrClosed) {
		s.log.Debug("ssh forward broke off", "error", err)
	}
}

// A lane is a channel that tells when nothing more is to be read from it. It has
// one reader.
type lane struct {
	gossh.Channel
	ended   bool
	drained chan struct{}
}

func (l *lane) Read(p []byte) (int, error) {
	n, err := l.Channel.Read(p)
	if n > 0 {
		return n, nil // an error with data is about the window; the next read tells
	}
	if err != nil && !l.ended {
		l.ended = true
		close(l.drained)
	}
	return n, err
}

// refuseAll answers the requests of a channel until it is closed. Somebody has to
// read them, or the whole connection stands still.
func refuseAll(requests <-chan *gossh.Request) {
	for r := range requests {
		_ = r.Reply(false, nil)
	}
}

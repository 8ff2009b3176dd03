package sshfront

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"charm.land/ssh"
	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

var (
	errClientGone  = errors.New("the client is gone")
	errInterrupted = errors.New("interrupted")
)

// A session is one command of one client, on a channel of its own within the
// client's connection.
type session struct {
	srv  *Server
	conn *conn
	ch   gossh.Channel
	id   Identity
	user string // what stands before the @; proof of something only with a certificate

	// ctx ends with this session, not only with the connection, which may carry
	// others.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// Set while requests are read, before the command runs.
	local   string // address the client connected to
	pty     *ssh.Pty
	command string
	started bool

	caller Caller
	as     broker.Identity // the caller, as access lists know it
	guest  bool            // may be where it is only because an access list says so
	clean  bool            // no talk

	verb     string // name of the command, from the table
	code     int
	finished chan struct{} // closed when the command has ended and said so
	over     chan struct{} // closed when nobody reads requests any more
	jobs     sync.WaitGroup

	outMu, errMu sync.Mutex // one writer each on stdout and stderr
	progress     progress   // of pub

	mu   sync.Mutex  // guards doom until finished
	doom *time.Timer // closes the connection
}

// serveSession serves one channel of type "session", from its opening to its end,
// and returns when all of its goroutines have.
func (s *Server) serveSession(srv *ssh.Server, sc *gossh.ServerConn, nc gossh.NewChannel, cctx ssh.Context) {
	c := cctx.Value(connKey).(*conn)
	if !c.enter(s.cfg.MaxSessions) {
		_ = nc.Reject(gossh.ResourceShortage, "too many sessions on this connection")
		return
	}
	defer c.leave()
	s.sessions.add()
	defer s.sessions.done()
	id, err := provenIdentity(sc.Permissions)
	if err != nil {
		_ = nc.Reject(gossh.Prohibited, err.Error())
		return
	}
	ses := &session{
		srv:      s,
		conn:     c,
		id:       id,
		user:     sc.User(),
		local:    sc.LocalAddr().String(),
		finished: make(chan struct{}),
		over:     make(chan struct{}),
	}
	ses.ctx, ses.cancel = context.WithCancelCause(cctx)
	defer ses.cancel(errClientGone)
	defer context.AfterFunc(s.cut, func() { ses.cancel(context.Cause(s.cut)) })()
	ctx := &sessionContext{Context: cctx, inner: ses.ctx, values: map[any]any{sessionKey: ses}}

	ssh.DefaultSessionHandler(srv, sc, acceptor{nc, ses}, ctx)
	close(ses.over)
	if ses.started {
		<-ses.finished
		ses.doom.Stop()
	}
	ses.jobs.Wait()
}

// An acceptor lets a session stand between the channel's requests and the library.
type acceptor struct {
	gossh.NewChannel
	ses *session
}

func (a acceptor) Accept() (gossh.Channel, <-chan *gossh.Request, error) {
	ch, in, err := a.NewChannel.Accept()
	if err != nil {
		return nil, nil, err
	}
	a.ses.ch = ch
	out := make(chan *gossh.Request)
	a.ses.goJob(func() { a.ses.filter(in, out) })
	return ch, out, nil
}

// filter passes on the few requests that mean something here, and ends the
// session when its channel closes. Changes of the window's size and signals must
// not reach the library: it queues them for readers that there are not, and then
// the whole connection stands still.
func (s *session) filter(in <-chan *gossh.Request, out chan<- *gossh.Request) {
	defer close(out)
	defer s.cancel(errClientGone)
	for r := range in {
		switch r.Type {
		case "pty-req", "exec", "shell":
			select {
			case out <- r:
			case <-s.over:
				_ = r.Reply(false, nil)
			}
		case "signal":
			if interrupts(r.Payload) {
				s.cancel(errInterrupted)
			}
			_ = r.Reply(true, nil)
		case publishedCheck:
			s.progress.ask(r)
		default: // environment, agent, X11, subsystems, and what is not known
			_ = r.Reply(false, nil)
		}
	}
}

func interrupts(payload []byte) bool {
	var signal struct{ Name string }
	if gossh.Unmarshal(payload, &signal) != nil {
		return false
	}
	switch signal.Name {
	case "INT", "TERM", "HUP", "QUIT", "KILL", "PIPE":
		return true
	}
	return false
}

// The library calls these three while it reads requests, so before the command
// starts in its goroutine.

func acceptPty(ctx ssh.Context, pty ssh.Pty) bool {
	sessionOf(ctx).pty = &pty
	return true
}

func noEmulation(ssh.Context, ssh.Session, ssh.Pty) (func() error, error) {
	return func() error { return nil }, nil // we write for terminals ourselves
}

func acceptCommand(s ssh.Session, _ string) bool {
	ses := sessionOf(s.Context())
	ses.command, ses.started = s.RawCommand(), true
	if forced, ok := ses.id.forced(); ok {
		ses.command = forced
	}
	return true
}

func sessionOf(ctx ssh.Context) *session { return ctx.Value(sessionKey).(*session) }

// goJob runs f in a goroutine that the session joins and whose panic ends only
// the session.
func (s *session) goJob(f func()) {
	s.jobs.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.srv.logPanic("ssh session", p)
				s.cancel(errInternal)
			}
		}()
		f()
	})
}

func (s *Server) logPanic(what string, p any) {
	s.log.Error("panic", "in", what, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// hangUpIn closes the connection after d unless the session has ended by then: a
// write that blocks because the client does not read ends in no other way.
func (s *session) hangUpIn(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.doom == nil {
		s.doom = time.AfterFunc(d, func() { s.conn.Close() })
	}
}

// A sessionContext is the connection's context as the library wants it, with the
// end of one session and values of its own.
type sessionContext struct {
	ssh.Context
	inner context.Context

	mu     sync.Mutex // guards values
	values map[any]any
}

func (c *sessionContext) Deadline() (time.Time, bool) { return c.inner.Deadline() }
func (c *sessionContext) Done() <-chan struct{}       { return c.inner.Done() }
func (c *sessionContext) Err() error                  { return c.inner.Err() }

func (c *sessionContext) Value(key any) any {
	c.mu.Lock()
	v, ok := c.values[key]
	c.mu.Unlock()
	if ok {
		return v
	}
	return c.inner.Value(key)
}

func (c *sessionContext) SetValue(key, value any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.values[key] = value
}

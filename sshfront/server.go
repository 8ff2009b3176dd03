package sshfront

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"charm.land/ssh"
	"charm.land/wish/v2"
	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

// How long the farewells of Shutdown and of a session may take.
const (
	lastWords = 2 * time.Second  // for sessions to be told why they end
	hangUp    = 1 * time.Second  // for clients to close their connections themselves
	closeWait = 10 * time.Second // for a client to answer the close of one channel
)

// A Server is the SSH door. Its methods may be called concurrently.
type Server struct {
	cfg    Config
	log    *slog.Logger
	ssh    *ssh.Server
	limits limits
	held   register

	fingerprint string // of the host key

	refused chan struct{} // holds one for each client that is being turned away

	jobs     sync.WaitGroup // accept loops, connections, keepalives
	sessions tally
	forwards tally           // direct-tcpip channels, and requests to publish
	visiting tally           // forwarded-tcpip channels
	cut      context.Context // ends when sessions under way have to end
	cutOff   context.CancelCauseFunc
	closing  chan struct{}

	mu        sync.Mutex // guards all below
	listeners map[net.Listener]struct{}
	down      bool
}

// New makes a server and, the first time, its host key. A host key that cannot
// be read or made is an error of one line that names the file.
func New(cfg Config) (*Server, error) {
	if cfg.Broker == nil || cfg.DataDir == "" {
		return nil, errors.New("sshfront: Config needs a Broker and a DataDir")
	}
	cfg.setDefaults()
	key, err := hostKey(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	signer, err := gossh.ParsePrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("host key %s: %w", hostKeyPath(cfg.DataDir), err)
	}
	s := &Server{
		fingerprint: gossh.FingerprintSHA256(signer.PublicKey()),

		cfg:       cfg,
		log:       cfg.Logger,
		refused:   make(chan struct{}, maxRefused),
		closing:   make(chan struct{}),
		listeners: map[net.Listener]struct{}{},
	}
	s.limits.init(cfg)
	s.cut, s.cutOff = context.WithCancelCause(context.Background())
	s.ssh, err = wish.NewServer(
		wish.WithHostKeyPEM(key),
		wish.WithVersion("Patchwork"),
		wish.WithPublicKeyAuth(s.acceptKey),
		// The last one runs first.
		wish.WithMiddleware(s.dispatching, s.recovering, s.finishing),
		s.configure,
	)
	if err != nil {
		return nil, fmt.Errorf("host key %s: %w", hostKeyPath(cfg.DataDir), err)
	}
	return s, nil
}

// Fingerprint is the host key's, as ssh prints it when it asks whether to go on.
func (s *Server) Fingerprint() string { return s.fingerprint }

// configure sets what the library has no option for.
func (s *Server) configure(srv *ssh.Server) error {
	srv.HandshakeTimeout = s.cfg.HandshakeTimeout
	srv.ConnCallback = s.connected
	srv.ConnectionFailedCallback = s.handshakeFailed
	srv.ServerConfigCallback = s.handshake
	srv.PtyCallback = acceptPty
	srv.PtyHandler = noEmulation
	srv.SessionRequestCallback = acceptCommand
	// Every channel type and request that is not listed is refused: no shell, no
	// sftp, no agent, no X11, no sockets.
	srv.ChannelHandlers = map[string]ssh.ChannelHandler{
		"session":      s.serveSession,
		"direct-tcpip": s.serveForward,
	}
	srv.RequestHandlers = map[string]ssh.RequestHandler{
		"tcpip-forward":        s.publish,
		"cancel-tcpip-forward": s.unpublish,
	}
	srv.SubsystemHandlers = map[string]ssh.SubsystemHandler{}
	return nil
}

// Serve accepts connections until [Server.Shutdown], and then returns nil; it may
// be called for several listeners. It closes l. Errors of l that do not pass are
// returned.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	if !s.listen(l) {
		return nil
	}
	defer s.jobs.Done()
	failures := 0
	for {
		nc, err := l.Accept()
		switch {
		case err == nil:
			failures = 0
			s.accept(nc)
		case s.isDown():
			return nil
		case errors.Is(err, net.ErrClosed) || failures == 10:
			return err
		default: // out of file descriptors, most likely
			failures++
			s.log.Warn("ssh accept failed", "error", err)
			select {
			case <-time.After(min(time.Second, 5*time.Millisecond<<failures)):
			case <-s.closing:
			}
		}
	}
}

// listen registers an accept loop; false when the server is down already.
func (s *Server) listen(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return false
	}
	s.listeners[l] = struct{}{}
	s.jobs.Add(1)
	return true
}

// accept serves one connection in a goroutine of its own, or turns it away.
func (s *Server) accept(nc net.Conn) {
	c := newConn(nc, &s.limits, s.cfg.WriteTimeout)
	if err := s.limits.admit(c); err != nil {
		s.turnAway(c, err)
		return
	}
	s.jobs.Go(func() {
		s.ssh.HandleConn(c)
		c.published.close()
		if c.tried.Load() && !c.proven.Load() {
			s.limits.failed(c)
		}
		c.Close() // the library leaves it open when it could not even begin
	})
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Stats is what an operator wants to see of the door; all are gauges.
type Stats struct {
	Connections int // TCP connections, also those that have not authenticated yet
	Sessions    int
	Forwards    int // connections forwarded now, out to targets and in to what clients publish
}

// Stats returns a snapshot.
func (s *Server) Stats() Stats {
	return Stats{
		Connections: s.limits.conns(),
		Sessions:    s.sessions.count(),
		Forwards:    s.forwards.count() + s.visiting.count(),
	}
}

// Shutdown stops accepting, takes back what clients publish and waits for sessions
// and forwarded connections to end. Sessions that wait end at once with exit status
// 75 when the broker was closed before; this is for the caller to do, as the other
// door shares it. Sessions that are still there when ctx ends are told so on stderr
// and end with 75 too. Then all connections are closed and all goroutines joined. It
// returns the error of ctx if anything had to be cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopListening()
	for _, c := range s.limits.each() {
		c.published.close()
	}
	var err error
	for _, t := range s.work() {
		select {
		case <-t.zero():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.cutOff(broker.ErrClosed)
	said := time.Now().Add(lastWords)
	for _, t := range s.work() {
		await(t.zero(), time.Until(said))
	}
	// A connection closed from here with bytes unread on it is reset, and its
	// client may lose its exit status: let clients that were told go themselves.
	await(s.limits.zero(), hangUp)
	s.limits.closeAll()
	s.jobs.Wait()
	<-s.sessions.zero()
	<-s.forwards.zero()
	await(s.visiting.zero(), lastWords) // see visits.run
	return err
}

// work is what a shutdown waits for.
func (s *Server) work() []*tally { return []*tally{&s.sessions, &s.forwards, &s.visiting} }

func (s *Server) stopListening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		s.down = true
		close(s.closing)
	}
	for l := range s.listeners {
		l.Close()
		delete(s.listeners, l)
	}
}

// await waits for done, but no longer than d.
func await(done <-chan struct{}, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
	case <-t.C:
	}
}

package sshfront

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"charm.land/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// A conn is one client's connection, below the SSH protocol.
type conn struct {
	net.Conn
	limits       *limits
	address      string // what it counts as in the limits
	writeTimeout time.Duration

	reads    atomic.Uint64 // grows with every read that brought something
	tried    atomic.Bool   // offered a key
	proven   atomic.Bool   // authenticated
	sessions atomic.Int32  // and forwards
	visitors atomic.Int32  // channels to what the client publishes

	published publications

	pending bool // guarded by limits.mu

	once   sync.Once
	closed chan struct{}
}

func newConn(nc net.Conn, l *limits, writeTimeout time.Duration) *conn {
	return &conn{
		Conn:         nc,
		limits:       l,
		address:      addressOf(nc.RemoteAddr()),
		writeTimeout: writeTimeout,
		closed:       make(chan struct{}),
	}
}

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// Write closes the connection when it fails or makes no progress: half an SSH
// packet cannot be taken back.
func (c *conn) Write(p []byte) (int, error) {
	if c.proven.Load() { // before that the deadline of the handshake holds
		_ = c.Conn.SetWriteDeadline(time.Now().Add(c.writeTimeout))
	}
	n, err := c.Conn.Write(p)
	if err != nil {
		c.Close()
	}
	return n, err
}

// Close ends everything that happens on the connection. It may be called by
// anybody, and more than once.
func (c *conn) Close() error {
	var err error
	c.once.Do(func() {
		close(c.closed)
		err = c.Conn.Close()
		c.limits.left(c)
	})
	return err
}

// enter counts a new session or forward in; false when there are max already.
func (c *conn) enter(max int) bool {
	if c.sessions.Add(1) > int32(max) {
		c.sessions.Add(-1)
		return false
	}
	return true
}

func (c *conn) leave() { c.sessions.Add(-1) }

type contextKey string

const (
	connKey    contextKey = "conn"
	sessionKey contextKey = "session"
)

// connected is called by the library before the handshake.
func (s *Server) connected(ctx ssh.Context, nc net.Conn) net.Conn {
	c := nc.(*conn)
	ctx.SetValue(connKey, c)
	s.jobs.Go(func() {
		defer s.contain("ssh keepalive", c)
		s.keepAlive(ctx, c)
	})
	return c
}

// handshake makes the configuration of one connection's handshake.
func (s *Server) handshake(ctx ssh.Context) *gossh.ServerConfig {
	cfg := &gossh.ServerConfig{PublicKeyAuthAlgorithms: keyAlgorithms()}
	cfg.KeyExchanges, cfg.MACs = keyExchanges(), macs()
	if !s.cfg.AnyCipher {
		cfg.Ciphers = fastCiphers()
	}
	c := ctx.Value(connKey).(*conn)
	cfg.AuthLogCallback = func(_ gossh.ConnMetadata, _ string, err error) {
		if err == nil {
			c.proven.Store(true)
			s.limits.authenticated(c)
		}
	}
	return cfg
}

func (s *Server) handshakeFailed(nc net.Conn, err error) {
	s.log.Debug("ssh handshake failed", "client", nc.RemoteAddr().String(), "error", err)
}

// contain keeps a panic in one of our goroutines from ending the process: it ends
// the connection. To be deferred in each of them.
func (s *Server) contain(what string, c *conn) {
	if p := recover(); p != nil {
		s.logPanic(what, p)
		c.Close()
	}
}

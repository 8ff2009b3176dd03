package httpfront

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/notify"
)

// Config is what a Server needs. Zero durations and limits are off, as the
// flags of the same names say.
type Config struct {
	Broker *broker.Broker
	Logger *slog.Logger // nil: nothing is logged

	Heartbeat      time.Duration // between interim responses, SSE comments and pings while a client waits
	WriteTimeout   time.Duration // how long a write may make no progress before its connection ends
	RequestTimeout time.Duration // longest wait for the other side
	RateLimit      float64       // requests a second and client address, on what needs no credential
	MaxWaiting     int           // requests one client address may have waiting
	TrustedProxies []netip.Prefix

	Tunnels Tunnels

	PublicURL string         // of this door as clients see it, for pages; "": as each client has asked for it
	SSH       func() SSHDoor // the other door, for pages; nil: there is none

	Users  *acl.Store                               // rules of /u; nil: there are no users
	Signer *acl.Signer                              // reads signed tokens; nil: there are none
	Feed   func(token string) (rss []byte, ok bool) // what is at /rss/TOKEN; nil: nothing
	Notify *notify.Sender                           // sends users' notifications; nil: to nowhere

	SecretKey    []byte               // makes the secrets of hooks; nil: a random one
	Registry     *prometheus.Registry // what /metrics shows, besides the server's own; nil: nothing else
	MetricsToken string               // opens /metrics to others than this machine; "": closed to them
}

// A Server serves all doors of HTTP. Make it with New.
type Server struct {
	cfg     Config
	broker  *broker.Broker
	log     *slog.Logger
	limits  *limits
	hooks   *hooks
	metric  *metrics
	http    *http.Server
	base    context.Context // of all requests; cancelled when draining ends
	cut     context.CancelFunc
	serving sync.WaitGroup // handlers, those of hijacked connections too
	dropped counter        // headers that were no headers
}

// New returns a server that is not listening yet.
func New(cfg Config) (s *Server, err error) {
	if cfg.Broker == nil {
		return nil, errors.New("httpfront: a server needs a broker")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s = &Server{cfg: cfg, broker: cfg.Broker, log: cfg.Logger}
	s.limits = newLimits(cfg)
	if cfg.SecretKey == nil {
		cfg.SecretKey = make([]byte, 32)
		rand.Read(cfg.SecretKey) //nolint:errcheck // it never fails (crypto/rand)
	}
	s.hooks = newHooks(cfg.SecretKey)
	if s.metric, err = newMetrics(s, cfg.Registry); err != nil {
		return nil, err
	}
	s.base, s.cut = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return s.base },
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
		// Upgrades and the exact end of a response need the connection itself.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return s, nil
}

// Serve answers requests that come to l until Shutdown; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown takes no new connections and waits for the requests under way, whose
// waiting ones the broker's Close has told already. When ctx ends first, their
// connections are cut, and its error is returned. All handlers have returned
// when Shutdown returns.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.cut()
	s.http.Close()
	<-done
	return err
}

// ServeHTTP answers one request and logs it in one line.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serving.Add(1)
	defer s.serving.Done()
	rw := &response{ResponseWriter: w, r: r, begun: time.Now()}
	s.metric.active.Inc()
	defer s.metric.active.Dec()
	defer s.answered(rw)
	if err := s.route(rw, r); err != nil {
		s.fail(rw, r, err)
	}
}

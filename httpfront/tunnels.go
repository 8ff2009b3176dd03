package httpfront

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/tunnel"
)

// Tunnels are the parts that carry other protocols through this door. A nil part
// is off.
type Tunnels struct {
	// Dial connects to a huproxy target, under the egress policy.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// SendIt takes the sessions of exposed web servers, Proxy passes requests to
	// them.
	SendIt *tunnel.SendIt
	Proxy  *tunnel.Proxy
	// Host is the name under which prefixes are hosts of their own, PREFIX.Host;
	// "" is none.
	Host string
}

// reserved are first path segments that belong to the relay, besides those that
// route finds.
var reserved = map[string]bool{".well-known": true, "static": true}

// Reserved tells whether a tunnel's prefix would shadow a path of the relay.
func Reserved(prefix string) bool {
	_, door := doors[prefix]
	_, path := fixed["/"+prefix]
	_, under := below[prefix]
	return door || path || under || reserved[prefix]
}

// ownHost tells whether a request came for a prefix's host of its own.
func (s *Server) ownHost(r *http.Request) bool {
	t := s.cfg.Tunnels
	if t.Proxy == nil || t.Host == "" {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.HasSuffix(strings.ToLower(host), "."+strings.ToLower(t.Host))
}

// exposed passes a request to the web server behind a prefix; ok is false when
// there is none.
func (s *Server) exposed(w *response, r *http.Request) (ok bool, err error) {
	p := s.cfg.Tunnels.Proxy
	if p == nil || !p.Match(r) {
		return false, nil
	}
	leave, err := s.limits.enter(r, false)
	if err != nil {
		return true, err
	}
	defer leave()
	p.ServeHTTP(w, r)
	return true, nil
}

// sendIt serves the protocol of exposed web servers.
func (s *Server) sendIt(w *response, r *http.Request) error {
	if s.cfg.Tunnels.SendIt == nil {
		return errorf(http.StatusNotFound, "there are no tunnels on this relay")
	}
	leave, err := s.limits.enter(r, true)
	if err != nil {
		return err
	}
	defer leave()
	s.cfg.Tunnels.SendIt.ServeHTTP(w, r)
	return nil
}

// huproxy joins a WebSocket and a TCP connection to HOST:PORT, for tokens whose
// huproxy patterns allow it. Whatever speaks against it is said before the
// upgrade.
func (s *Server) huproxy(w *response, r *http.Request, rest string) error {
	parts := strings.Split(rest, "/")
	if len(parts) != 3 {
		return errorf(http.StatusNotFound, "a tunnel is /huproxy/USER/HOST/PORT")
	}
	for i := range parts {
		p, err := url.PathUnescape(parts[i])
		if err != nil {
			return errorf(http.StatusBadRequest, "bad path: %v", err)
		}
		parts[i] = p
	}
	user, host, port := parts[0], parts[1], parts[2]
	if err := broker.CheckUser(user); err != nil {
		return err
	}
	leave, err := s.limits.enter(r, false)
	if err != nil {
		return err
	}
	defer leave()
	p, err := s.principal(r, user)
	if err != nil {
		return err
	}
	if err := tunnel.CheckTarget(host, port); err != nil {
		return errorf(http.StatusBadRequest, "%v", err)
	}
	target := net.JoinHostPort(host, port)
	err = p.Check(r.Context(), acl.Forward, "", target)
	s.metric.allowed(err)
	if err != nil {
		return err
	}
	if !websocket.IsWebSocketUpgrade(r) {
		return &httpError{http.StatusUpgradeRequired, "this is a WebSocket tunnel; use: patchwork huproxy URL, as an ssh ProxyCommand",
			http.Header{"Upgrade": {"websocket"}}}
	}
	if s.cfg.Tunnels.Dial == nil {
		return errorf(http.StatusNotFound, "there are no tunnels on this relay")
	}
	conn, err := s.cfg.Tunnels.Dial(r.Context(), "tcp", target)
	if err != nil {
		return errorf(tunnel.Status(err), "%v", err)
	}
	ws, err := tunnel.Upgrade(w, r)
	if err != nil {
		conn.Close()
		var bad websocket.HandshakeError
		if errors.As(err, &bad) {
			return errorf(http.StatusBadRequest, "bad WebSocket handshake: %v", bad)
		}
		return err
	}
	w.status = http.StatusSwitchingProtocols
	w.failure = tunnel.ServeWebSocket(r.Context(), ws, conn)
	return nil
}

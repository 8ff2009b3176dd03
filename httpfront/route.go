package httpfront

import (
	"net/http"
	"net/url"
	"strings"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/httpfront/web"
	"patchwork/tunnel"
)

// A door is one way to write a channel's URL: its first path segment.
type door struct {
	space string // the namespace its channels live in
	style style
	open  bool // needs no credential, so its use is rate limited
	user  bool // channels of users, by their rules
	hook  bool // sending or receiving needs the channel's secret
}

// style says what a door does where the channel leaves it open.
type style uint8

const (
	styleQueue  style = iota // GET takes one message, POST offers one
	styleTopic               // GET follows, POST is broadcast and waits for somebody
	stylePubsub              // GET follows, POST is broadcast and does not wait
	stylePipe                // WebSocket
)

// doors are the first path segments under which channels are found.
var doors = map[string]door{
	"public": {space: "public", open: true},
	"p":      {space: "public", open: true},
	"topic":  {space: "public", style: styleTopic, open: true},
	"pubsub": {space: "public", style: stylePubsub, open: true},
	"pipe":   {space: "public", style: stylePipe, open: true},

	"u": {user: true},

	"h": {space: "h", open: true, hook: true},
	"r": {space: "r", open: true, hook: true},

	"channels": {space: "channels", open: true},
}

// fixed are the paths that are no channels.
var fixed = map[string]func(*Server, *response, *http.Request) error{
	"/healthz":      (*Server).healthz,
	"/status":       (*Server).healthz,
	"/metrics":      (*Server).metrics,
	"/patchwork.sh": (*Server).shellClient,

	"/":         (*Server).home,
	"/terminal": page(web.Terminal),
	"/drop":     page(web.Drop),

	"/favicon.ico": asset("icon.svg"),
	"/robots.txt":  asset("robots.txt"),
}

// below are the first path segments whose rest is no channel either.
var below = map[string]func(s *Server, w *response, r *http.Request, rest string) error{
	"_":       (*Server).serverControl,
	"rss":     (*Server).feed,
	"huproxy": (*Server).huproxy,
	"inspect": (*Server).inspect,
	"docs":    (*Server).manual,
	"assets":  (*Server).assets,
}

// A channel is where a request goes.
type channel struct {
	door
	name broker.Name
	as   broker.Identity // who asks, as access lists name them
	p    *acl.Principal  // who asks, in a user's namespace; nil elsewhere
}

// route finds the handler of a request and calls it. Channel paths are read from
// the escaped path, so that %2F and // mean what the client wrote; nothing is
// ever redirected.
func (s *Server) route(w *response, r *http.Request) error {
	if s.ownHost(r) { // before any path of the relay: it is another site
		if ok, err := s.exposed(w, r); ok || err != nil {
			return err
		}
		return errorf(http.StatusNotFound, "nothing is published under this name")
	}
	path := r.URL.EscapedPath()
	if h := fixed[path]; h != nil {
		return h(s, w, r)
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if h := below[first]; h != nil {
		return h(s, w, r, rest)
	}
	d, ok := doors[first]
	if strings.HasPrefix(path, tunnel.SendItPath) {
		return s.sendIt(w, r)
	}
	if !ok {
		if ok, err := s.exposed(w, r); ok || err != nil {
			return err
		}
		return pageError{errorf(http.StatusNotFound, "there is nothing at this path; channels are at /p/NAME")}
	}
	if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
		return s.preflight(w)
	}
	rest, err := url.PathUnescape(rest)
	if err != nil {
		return errorf(http.StatusBadRequest, "bad path: %v", err)
	}
	leave, err := s.limits.enter(r, d.open)
	if err != nil {
		return err
	}
	defer leave()
	switch {
	case d.user:
		return s.user(w, r, d, rest)
	case d.hook && rest == "":
		return s.newHook(w, r, d.space)
	case d.space == "channels":
		if done, err := s.httpipe(w, r, rest); done || err != nil {
			return err
		}
	}
	name, err := broker.ParseName(d.space + "/" + rest)
	if err != nil {
		return err
	}
	return s.serveChannel(w, r, channel{door: d, name: name})
}

func (s *Server) healthz(w *response, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed("GET, HEAD")
	}
	s.plain(w, http.StatusOK, "OK!")
	return nil
}

// feed serves a user's feed of monitors. Its address is its credential.
func (s *Server) feed(w *response, r *http.Request, token string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed("GET, HEAD")
	}
	leave, err := s.limits.enter(r, true)
	if err != nil {
		return err
	}
	defer leave()
	if s.cfg.Feed == nil {
		return errorf(http.StatusNotFound, "there are no feeds on this relay")
	}
	text, ok := s.cfg.Feed(token)
	if !ok {
		return errorf(http.StatusNotFound, "there is no such feed; ask for its address with: ssh HOST rss")
	}
	h := w.Header()
	open(h)
	h.Set("Content-Type", "application/rss+xml; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	w.extend(s.cfg.WriteTimeout)
	_, err = w.Write(text)
	return err
}

func notAllowed(allow string) error {
	return &httpError{
		status: http.StatusMethodNotAllowed,
		line:   "this method does nothing here; allowed are " + allow,
		header: http.Header{"Allow": {allow}},
	}
}

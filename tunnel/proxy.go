package tunnel

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
)

// ProxyOptions are the parts of a Proxy.
type ProxyOptions struct {
	Registry *Registry
	// Trusted says whether the peer of a request is a proxy whose X-Forwarded
	// headers are to be believed; nil is nobody.
	Trusted func(*http.Request) bool
	// Host serves PREFIX.Host as well, with the whole path; "" does not.
	Host string
}

// A Proxy passes requests for /PREFIX/… to whoever holds the prefix, with their
// path and query unchanged, and with WebSockets and streams. It is an
// http.Handler.
//
// Behind a prefix is somebody's web site on the relay's own origin. What it
// answers cannot set cookies for other paths, claim the whole origin for a service
// worker, or speak for the origin in other ways; its scripts still share that
// origin with all other prefixes, which only a host of its own prevents.
type Proxy struct {
	o       ProxyOptions
	reverse *httputil.ReverseProxy
}

// NewProxy returns a Proxy.
func NewProxy(o ProxyOptions) *Proxy {
	o.Host = strings.ToLower(strings.Trim(o.Host, "."))
	p := &Proxy{o: o}
	p.reverse = &httputil.ReverseProxy{
		Transport:      viaClaim{},
		Rewrite:        p.rewrite,
		ModifyResponse: confine,
		FlushInterval:  -1, // a line of a slow answer is seen at once
		BufferPool:     proxyBuffers{},
		ErrorHandler:   unreachable,
		ErrorLog:       log.New(io.Discard, "", 0), // the visitor hears of it
	}
	return p
}

// place is where a request goes.
type place struct {
	prefix string
	byHost bool
	claim  *Claim
}

// find says for which prefix a request is, if for any. A first segment that is
// written in another way than as it is, with % and digits, is none.
func (p *Proxy) find(r *http.Request) (place, bool) {
	if prefix, ok := p.label(r.Host); ok {
		return place{prefix: prefix, byHost: true, claim: p.o.Registry.Lookup(prefix)}, true
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	claim := p.o.Registry.Lookup(first)
	return place{prefix: first, claim: claim}, claim != nil
}

// label returns the PREFIX of PREFIX.Host.
func (p *Proxy) label(host string) (string, bool) {
	if p.o.Host == "" {
		return "", false
	}
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	label, ok := strings.CutSuffix(strings.TrimSuffix(strings.ToLower(host), "."), "."+p.o.Host)
	return label, ok && CheckPrefix(label) == nil
}

// MatchHost says whether a request's host is PREFIX.Host: then its whole path is
// the site's, fixed paths of the relay included.
func (p *Proxy) MatchHost(r *http.Request) bool {
	_, ok := p.label(r.Host)
	return ok
}

// Match says whether a request is the Proxy's: its host is PREFIX.Host, or its
// path begins with a prefix that is held now.
func (p *Proxy) Match(r *http.Request) bool {
	_, ok := p.find(r)
	return ok
}

type placeKey struct{}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, _ := p.find(r)
	if to.claim == nil {
		http.Error(w, "nothing is published here now", http.StatusNotFound)
		return
	}
	if p.o.Host != "" && !to.byHost && isDocument(r) {
		host := to.prefix + "." + p.o.Host
		if _, port, err := net.SplitHostPort(r.Host); err == nil {
			host = net.JoinHostPort(host, port)
		}
		// Without a scheme it is the one that the client uses, whatever is in between.
		w.Header().Set("Location", "//"+host+r.URL.RequestURI())
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusTemporaryRedirect)
		return
	}
	fullDuplex(w)
	p.reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), placeKey{}, to)))
}

// isDocument says whether a browser would show the answer to r as a page, whose
// scripts then belong to the host that r asks. Browsers say so (Fetch Metadata), but
// over plain HTTP only by wanting HTML.
func isDocument(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "document", "iframe", "frame", "embed", "object":
		return true
	case "":
		return strings.Contains(strings.ToLower(r.Header.Get("Accept")), "text/html")
	}
	return false
}

// fullDuplex lets an answer begin before the request has been read, as it may
// without us.
func fullDuplex(w http.ResponseWriter) {
	_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 is so anyway
}

func placeOf(r *http.Request) place {
	to, _ := r.Context().Value(placeKey{}).(place)
	return to
}

func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.Scheme = "http"
	r.Out.URL.Host = placeOf(r.In).prefix
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as it came, parsable or not
	trusted := p.o.Trusted != nil && p.o.Trusted(r.In)
	for name := range r.Out.Header {
		// Whatever else says who the visitor is, or came by, is no more to be
		// believed than the three that are set below.
		if !trusted && (strings.HasPrefix(name, "X-Forwarded-") || name == "X-Real-Ip") {
			r.Out.Header.Del(name)
		}
	}
	if trusted {
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"] // SetXForwarded adds the peer
	}
	r.SetXForwarded()
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v := r.In.Header.Get(name); trusted && v != "" {
			r.Out.Header.Set(name, v)
		}
	}
}

// viaClaim sends a request to the claim that it was matched with.
type viaClaim struct{}

func (viaClaim) RoundTrip(r *http.Request) (*http.Response, error) {
	return placeOf(r).claim.transport.RoundTrip(r)
}

// unreachable answers for a site that does not.
func unreachable(w http.ResponseWriter, r *http.Request, err error) {
	line, status := "whoever publishes this does not answer", http.StatusBadGateway
	if errors.Is(err, ErrBusy) {
		line, status = ErrBusy.Error(), http.StatusServiceUnavailable
	}
	http.Error(w, line, status)
}

type proxyBuffers struct{}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

func (proxyBuffers) Get() []byte  { return copyBuffers.Get().(*[32 << 10]byte)[:] }
func (proxyBuffers) Put(b []byte) { copyBuffers.Put((*[32 << 10]byte)(b)) }

package tunnel

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// site is the local web server, as the requests that come through a tunnel meet
// it: as they were, with what the relay says of the visitor.
type site struct {
	*httputil.ReverseProxy
	transport *http.Transport
}

func newSite(local *url.URL) *site {
	t := &http.Transport{
		DisableCompression: true, // bodies pass as they are
		MaxIdleConns:       idleConns, MaxIdleConnsPerHost: idleConns, IdleConnTimeout: 30 * time.Second,
	}
	return &site{transport: t, ReverseProxy: &httputil.ReverseProxy{
		Transport: t,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(local)
			r.Out.Host = r.In.Host // a site that builds links builds public ones
			r.Out.URL.RawQuery = r.In.URL.RawQuery
			for name, values := range r.In.Header {
				if strings.HasPrefix(name, "X-Forwarded-") { // the relay's, and nobody else talks to us
					r.Out.Header[name] = values
				}
			}
		},
		FlushInterval: -1,
		BufferPool:    proxyBuffers{},
		ErrorLog:      log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			http.Error(w, "the published web server does not answer", http.StatusBadGateway)
		},
	}}
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fullDuplex(w)
	s.ReverseProxy.ServeHTTP(w, r)
}

func (s *site) close() { s.transport.CloseIdleConnections() }

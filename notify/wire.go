package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxAnswer      = 64 << 10         // of an answer's body, and of its header
	attemptTimeout = 10 * time.Second // for one request and its answer
)

// wire is how couriers reach the outside: one HTTP transport and one dialer, both
// under the egress policy. It is safe for concurrent use.
type wire struct {
	transport http.RoundTripper
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	tls       *tls.Config
	rooms     *rooms
	retried   func() // is told of every attempt after the first
}

var errNoDialer = errors.New("the relay was built without a dialer")

// dialError is a connection that was not made: nothing has been sent, and what
// the egress policy forbade once it forbids again.
type dialError struct{ err error }

func (e *dialError) Error() string { return "cannot connect: " + e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }

func newWire(o Options) *wire {
	w := &wire{tls: o.TLS, rooms: &rooms{}, retried: func() {}}
	w.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if o.DialContext == nil {
			return nil, &dialError{errNoDialer}
		}
		conn, err := o.DialContext(ctx, network, address)
		if err != nil {
			return nil, &dialError{err}
		}
		return conn, nil
	}
	w.transport = o.Transport
	if w.transport == nil {
		w.transport = &http.Transport{
			DialContext: w.dial,
			Proxy:       nil, // a proxy would resolve names out of the policy's sight
			// Notifications are rare: a connection kept would be stale when the next
			// one comes, and a POST on a stale connection cannot be repeated.
			DisableKeepAlives:      true,
			TLSHandshakeTimeout:    attemptTimeout,
			MaxResponseHeaderBytes: maxAnswer,
			TLSClientConfig:        o.TLS,
		}
	}
	return w
}

// call is one HTTP request that can be made several times.
type call struct {
	method string
	url    string
	header http.Header
	body   []byte
	// repeatable says that making it twice does what making it once does, so that
	// it is tried again after an attempt that may or may not have arrived.
	repeatable bool
}

// answer is what came back, with as much of the body as is ever read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) ok() bool { return a.status >= 200 && a.status < 300 }

// once makes the call one time. Errors say nothing of the URL but its host: paths
// and queries hold tokens.
func (w *wire) once(ctx context.Context, c call) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptTimeout, errNoAnswer)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(c.body))
	if err != nil {
		return answer{}, errors.New("the address is not one that can be asked")
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "patchwork")
	}
	if user := req.URL.User; user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	// The transport itself is asked, not a Client: it follows no redirects.
	resp, err := w.transport.RoundTrip(req)
	if err != nil {
		return answer{}, plainError(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return answer{}, &refusal{status: resp.StatusCode, words: redirectWords(req.URL, resp.Header.Get("Location"))}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return answer{}, plainError(ctx, err)
	}
	return answer{resp.StatusCode, resp.Header, body}, nil
}

var errNoAnswer = fmt.Errorf("no answer within %v", attemptTimeout)

// plainError is err without the URL that net/http puts before it, or what ended
// the context.
func plainError(ctx context.Context, err error) error {
	if dial := (*dialError)(nil); errors.As(err, &dial) && ctx.Err() == nil {
		return dial
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if about := (*url.Error)(nil); errors.As(err, &about) {
		return about.Err
	}
	return err
}

// redirectWords tells where the service moved to, for whoever keeps the
// configuration. Following would take the token to a host nobody chose.
func redirectWords(from *url.URL, location string) string {
	to, err := from.Parse(location)
	if location == "" || err != nil {
		return "answers with a redirect to nowhere"
	}
	return fmt.Sprintf("redirects to %s://%s and is not followed; put the final address into the configuration", to.Scheme, to.Host)
}

// refusal is a service's No, in its own words.
type refusal struct {
	status int
	words  string
}

func (e *refusal) Error() string {
	if e.words == "" {
		return fmt.Sprintf("answered %d %s", e.status, strings.ToLower(http.StatusText(e.status)))
	}
	return fmt.Sprintf("answered %d: %s", e.status, e.words)
}

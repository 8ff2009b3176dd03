package tunnel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// defaultTTL is after how long SendIt replaces a pair of requests.
const defaultTTL = 15 * time.Second

// ExposeOptions say what to publish where.
type ExposeOptions struct {
	// Server is the relay's URL, like https://relay.example; a path in it stands
	// before the prefix.
	Server string
	// Local is the URL of the web server to publish; a path in it stands before
	// the path of each request.
	Local  string
	Prefix string
	Token  string
	// MaxTTL is how long one request to the relay may last, for proxies between
	// that end longer ones; 0 means 15 s. The pair is replaced before that.
	MaxTTL time.Duration
	// Ready is called with the public URL each time the prefix is published.
	Ready func(publicURL string)
	// Log hears of lost sessions and attempts; nil is silence.
	Log *slog.Logger
	// Transport reaches the relay; nil is HTTP/1.1 through the proxies of the
	// environment.
	Transport http.RoundTripper
}

// A RefusedError is what the relay answered instead of opening a tunnel, in its own
// words.
type RefusedError struct {
	Status int
	Line   string
	open   bool // it was the prefix that was refused, not a stream of a session
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the relay answers %d %s: %s", e.Status, http.StatusText(e.Status), e.Line)
}

// final says that asking again would bring the same answer. A session can always
// be over, after a restart even unknown.
func (e *RefusedError) final() bool {
	return e.open && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusRequestTimeout && e.Status != http.StatusTooManyRequests
}

const (
	firstPause = 500 * time.Millisecond
	longPause  = 30 * time.Second
)

// Expose publishes a local web server under a prefix of a relay (SendIt v1, with
// this relay or the public server) until ctx ends; then it lets the answers under
// way go out, for a moment, and returns nil. A session that is lost, or a relay
// that is not there, is tried again under the same prefix, with longer and longer
// pauses. Expose returns an error when trying again is of no use: options that
// cannot work, a refusal ([*RefusedError]), or [ErrTakenOver].
func Expose(ctx context.Context, o ExposeOptions) error {
	e, err := newExposure(o)
	if err != nil {
		return err
	}
	defer e.close()
	for pause := firstPause; ; {
		published, err := e.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var refused *RefusedError
		if errors.Is(err, ErrTakenOver) || errors.As(err, &refused) && refused.final() {
			return err
		}
		if published {
			pause = firstPause
		}
		wait := pause/2 + rand.N(pause/2) // so that clients do not all come back at once
		e.o.Log.Warn("tunnel lost", "prefix", o.Prefix, "error", err, "retry_in", wait.Round(time.Millisecond).String())
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil
		}
		pause = min(pause*2, longPause)
	}
}

// exposure is a checked ExposeOptions.
type exposure struct {
	o         ExposeOptions
	server    *url.URL
	local     *url.URL
	handler   http.Handler
	transport http.RoundTripper
	close     func()
}

func newExposure(o ExposeOptions) (*exposure, error) {
	server, err := webURL(o.Server)
	if err != nil {
		return nil, err
	}
	local, err := webURL(o.Local)
	if err != nil {
		return nil, err
	}
	if err := CheckPrefix(o.Prefix); err != nil {
		return nil, err
	}
	if o.MaxTTL == 0 {
		o.MaxTTL = defaultTTL
	}
	if o.MaxTTL < 100*time.Millisecond {
		return nil, fmt.Errorf("max-ttl %v is too short: a hand-over takes a few round trips", o.MaxTTL)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	e := &exposure{o: o, server: server, local: local, transport: o.Transport}
	site := newSite(local)
	e.handler, e.close = site, site.close
	if e.transport == nil {
		own := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: handOverLimit, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
		own.Protocols = new(http.Protocols)
		own.Protocols.SetHTTP1(true) // each half on a connection of its own
		e.transport = own
		e.close = func() { site.close(); own.CloseIdleConnections() }
	}
	return e, nil
}

func webURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%s is not the URL of a web server: write http://HOST:PORT", quoted(s))
	}
	u.RawQuery, u.Fragment = "", ""
	return u, nil
}

// publicURL is where visitors go.
func (e *exposure) publicURL() string {
	u := *e.server
	u.Path = strings.TrimSuffix(u.Path, "/") + "/" + e.o.Prefix + "/"
	return u.String()
}

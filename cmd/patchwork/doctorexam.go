package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
	"github.com/urfave/cli/v2"
	pacing "golang.org/x/time/rate"
)

const (
	// soon is how long the doctor waits for what comes at once where all is well.
	soon = 5 * time.Second
	// longestCheck bounds every check but those of silence.
	longestCheck = 45 * time.Second
)

// An exam is one relay being looked at.
type exam struct {
	cl      *client
	base    *url.URL
	channel string // the beginning of the path of every channel that is used
	http    *http.Client
	pace    *pacing.Limiter // stays below what a relay allows one address
	tls     *tls.Config     // of every connection; shared, never changed once checks run

	idle    time.Duration // 0: silence is not looked at
	body    int           // bytes of the longest message
	sshPort int           // -1: there is none to look at
	sshSaid bool          // the user named it

	server  string // what calls itself the server, by its header
	direct  bool   // nothing stands between here and the relay
	proxied bool   // something does that shows itself
	resets  bool   // it ends its connections to the relay so that nothing is confirmed
}

func newExam(c *cli.Context, cl *client) (*exam, error) {
	e := &exam{
		cl: cl, base: cl.base, channel: "/p/doctor-" + strings.ToLower(rand.Text()),
		pace: pacing.NewLimiter(8, 12), tls: &tls.Config{MinVersion: tls.VersionTLS12},
		sshPort: 2222, sshSaid: c.IsSet("ssh-port"),
	}
	var err error
	if e.idle, err = positive(c.String("idle")); err != nil {
		return nil, usagef("--idle %q %v", c.String("idle"), err)
	}
	if c.Bool("quick") {
		e.idle = 0
	}
	if e.body, err = size(c.String("body")); err != nil {
		return nil, usagef("--body %q %v", c.String("body"), err)
	}
	if e.sshSaid {
		n, err := port(c.String("ssh-port"))
		if err != nil || n == 0 {
			return nil, usagef("--ssh-port %q is no port, and not -1", c.String("ssh-port"))
		}
		e.sshPort = n
	}
	e.connect()
	return e, nil
}

// connect makes the client anew, after the TLS configuration or the relay's
// address changed.
func (e *exam) connect() {
	e.close()
	e.http = &http.Client{Transport: e.transport(false), CheckRedirect: e.cl.http.CheckRedirect}
}

func (e *exam) close() {
	if e.http != nil {
		e.http.CloseIdleConnections()
	}
}

// transport speaks HTTP/1.1, which scripts do most, or with h2 also HTTP/2.
func (e *exam) transport(h2 bool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DisableCompression = true
	t.TLSClientConfig = e.tls.Clone()
	t.ExpectContinueTimeout = longestCheck // who expects 100 Continue waits for it
	t.ForceAttemptHTTP2 = h2
	if !h2 {
		t.TLSClientConfig.NextProtos = []string{"http/1.1"}
		t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	return t
}

// examine makes all checks and tells of each as soon as it is known, in a fixed
// order. It ends early when ctx does, or when there is no relay.
func (e *exam) examine(ctx context.Context, tell func(finding)) {
	if !e.reach(ctx, tell) {
		return
	}
	var silent []finding
	var silence sync.WaitGroup
	if e.idle > 0 {
		silence.Go(func() { silent = e.silence(ctx) })
	}
	for _, check := range []func(*exam, context.Context) []finding{
		(*exam).redirect, (*exam).arrival, (*exam).http2, (*exam).paths, (*exam).headers, (*exam).expect,
		(*exam).buffering, (*exam).websocket, (*exam).bodies, (*exam).confirmation, (*exam).ssh,
	} {
		within, cancel := context.WithTimeout(ctx, longestCheck)
		for _, f := range check(e, within) {
			if ctx.Err() == nil { // what is found while everything is being ended is no finding
				tell(f)
			}
		}
		cancel()
	}
	silence.Wait()
	if ctx.Err() == nil {
		for _, f := range silent {
			tell(f)
		}
	}
}

// A question is one request of the doctor's.
type question struct {
	method string
	path   string           // escaped, with the query
	body   func() io.Reader // makes it, for every try anew; nil is none
	size   int64            // of body; -1 is not known
	header http.Header
	via    *http.Client // nil is the exam's
}

// posting sends a short message.
func posting(path, text string) question {
	return question{
		method: http.MethodPost, path: path, size: int64(len(text)),
		body: func() io.Reader { return strings.NewReader(text) },
	}
}

// getting receives one.
func getting(path string) question { return question{method: http.MethodGet, path: path} }

// ask puts a question and returns the response, whose body is the caller's to
// close. It keeps to the pace, and tries again where the relay says "too many".
func (e *exam) ask(ctx context.Context, q question) (*http.Response, error) {
	for {
		if err := e.pace.Wait(ctx); err != nil {
			return nil, err
		}
		var body io.Reader
		if q.body != nil {
			body = q.body()
		}
		req, err := http.NewRequestWithContext(ctx, q.method, strings.TrimRight(e.base.String(), "/")+q.path, body)
		if err != nil {
			return nil, err
		}
		if q.header != nil {
			req.Header = q.header.Clone()
		}
		if body != nil {
			req.ContentLength = q.size
		}
		req.Header.Set("User-Agent", "patchwork-doctor/"+version())
		via := e.http
		if q.via != nil {
			via = q.via
		}
		resp, err := via.Do(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests {
			return resp, err
		}
		resp.Body.Close()
		if err := pause(ctx, retryAfter(resp.Header)); err != nil {
			return nil, err
		}
	}
}

// A reply is a whole response, or why there is none.
type reply struct {
	status int
	text   string
	header http.Header
	err    error
}

// ok tells whether the answer is a message, or word of one.
func (r reply) ok() bool { return r.err == nil && r.status/100 == 2 }

// String says in a few words what the answer was.
func (r reply) String() string {
	var timeout net.Error
	var closed *websocket.CloseError
	switch {
	case errors.Is(r.err, context.DeadlineExceeded), errors.As(r.err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(r.err, io.EOF), errors.Is(r.err, io.ErrUnexpectedEOF), errors.Is(r.err, syscall.ECONNRESET),
		errors.As(r.err, &closed) && closed.Code == websocket.CloseAbnormalClosure:
		return "the connection was cut"
	case r.err != nil:
		var outer *url.Error
		if errors.As(r.err, &outer) {
			return outer.Err.Error()
		}
		return r.err.Error()
	}
	line := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if text := strings.TrimSpace(r.text); text != "" && len(text) < 200 && !strings.Contains(text, "<") {
		line += " (" + text + ")"
	}
	return line
}

// get puts a question and reads the answer, of which a MiB is kept at most.
func (e *exam) get(ctx context.Context, q question) reply {
	resp, err := e.ask(ctx, q)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return reply{resp.StatusCode, string(text), resp.Header, err}
}

// exchange sends a message and receives it, both at once. When one side fails
// the other is not waited for.
func (e *exam) exchange(ctx context.Context, send, take question) (sent, got reply) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() {
		if sent = e.get(ctx, send); !sent.ok() {
			cancel()
		}
	})
	both.Go(func() {
		if got = e.get(ctx, take); !got.ok() {
			cancel()
		}
	})
	both.Wait()
	return sent, got
}

// trouble is the side of an exchange that failed first, as far as can be told: the
// other one was only called off.
func trouble(sent, got reply) (who string, what reply) {
	if !sent.ok() && !errors.Is(sent.err, context.Canceled) {
		return "the sender", sent
	}
	return "the receiver", got
}

// seenProxy names the proxy that calls itself by a known name, or is known by what
// it does; "" is none.
func (e *exam) seenProxy() string {
	if e.resets && e.server == "" {
		return "haproxy"
	}
	called := strings.ToLower(e.server)
	for _, name := range proxyNames() {
		if strings.HasPrefix(called, name) {
			return name
		}
	}
	return ""
}

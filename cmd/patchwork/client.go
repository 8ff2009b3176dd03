package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"
)

// exitInterrupted is the exit code of a client that was told to stop, as shells
// have it for SIGINT.
const exitInterrupted = 130

// errInterrupted is the error of a client command whose user stopped it. There
// is nothing to say about it.
var errInterrupted = errors.New("interrupted")

// A client is what the commands that talk to a relay have in common.
type client struct {
	base   *url.URL
	space  string // p, h, r or u: where channels are looked for
	secret string // of a hook
	token  string // of a user
	http   *http.Client
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
}

// clientAction makes the action of a client command. An error after the user has
// stopped it is nothing but that.
func clientAction(do func(*cli.Context, *client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		cl, err := newClient(c)
		if err != nil {
			return err
		}
		defer cl.http.CloseIdleConnections()
		err = do(c, cl)
		if err != nil && c.Context.Err() != nil {
			return errInterrupted
		}
		return err
	}
}

// serverFlags are those of every client command.
func serverFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "server", Usage: "`URL` of the relay", DefaultText: "$PATCHWORK_SERVER, else http://localhost:8080"},
		&cli.StringFlag{Name: "token", Aliases: []string{"t"}, Usage: "`TOKEN` of a user; better in the environment, for flags are seen by all", DefaultText: "$PATCHWORK_TOKEN"},
	}
}

// channelFlags are those of the commands that use a channel.
func channelFlags(more ...cli.Flag) []cli.Flag {
	return append(append(more,
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Value: "p", Usage: "`NAMESPACE` of the channel: p (public), h or r (hooks), u (users: USER/CHANNEL)"},
		&cli.StringFlag{Name: "secret", Aliases: []string{"s"}, Usage: "`SECRET` of the hook", DefaultText: "$PATCHWORK_SECRET"},
	), serverFlags()...)
}

func newClient(c *cli.Context) (*client, error) {
	cl := &client{
		space:  "p",
		secret: firstOf(c.String("secret"), os.Getenv("PATCHWORK_SECRET")),
		token:  firstOf(c.String("token"), os.Getenv("PATCHWORK_TOKEN")),
		stdin:  c.App.Reader, stdout: c.App.Writer, stderr: c.App.ErrWriter,
	}
	if c.IsSet("namespace") {
		cl.space = c.String("namespace")
	}
	switch cl.space {
	case "p", "h", "r", "u":
	default:
		return nil, usagef("-n %q is no namespace; there are p, h, r and u", cl.space)
	}
	told := firstOf(c.String("server"), os.Getenv("PATCHWORK_SERVER"), "http://localhost:8080")
	address := told
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	base, err := url.Parse(strings.TrimRight(address, "/"))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, usagef("the relay's address %q is no http:// or https:// URL; set PATCHWORK_SERVER or --server", told)
	}
	base.RawQuery, base.Fragment = "", ""
	cl.base = base
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // bytes are passed on as they come
	transport.ExpectContinueTimeout = time.Second
	cl.http = &http.Client{
		Transport: transport,
		// The relay never redirects; whoever does is not the relay, and is not to
		// have the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return cl, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// say tells the user something about what is going on.
func (c *client) say(format string, args ...any) {
	fmt.Fprintln(c.stderr, "patchwork: "+strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
}

// path is that of a channel in the client's namespace.
func (c *client) path(channel string) string {
	return "/" + c.space + "/" + escaped(channel)
}

// escaped writes a channel's name as part of a URL. Its slashes stay.
func escaped(name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

// A call is one request to the relay.
type call struct {
	method string
	path   string // escaped
	query  url.Values
	asked  string // more of the query, as the user wrote it
	header http.Header
	body   io.Reader
	size   int64  // of body, -1 is not known
	secret string // instead of the client's own
	any    bool   // an answer of any status is an answer
}

// do makes the request and returns the answer, whose body is the caller's to
// close. A status other than 2xx is an *answerError, but with call.any. A 429 is
// tried again for half a minute, as long as the body is all there still.
func (c *client) do(ctx context.Context, r call) (*http.Response, error) {
	until := time.Now().Add(30 * time.Second)
	said := false
	for {
		resp, untouched, err := c.try(ctx, r)
		var answer *answerError
		if !errors.As(err, &answer) || answer.status != http.StatusTooManyRequests || !untouched || time.Now().After(until) {
			return resp, err
		}
		if again, ok := r.body.(io.Seeker); ok {
			if _, err := again.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
		}
		if !said {
			c.say("the relay says: too many requests; trying again in %s", answer.after)
			said = true
		}
		if err := pause(ctx, answer.after+rand.N(answer.after/2+1)); err != nil {
			return nil, err
		}
	}
}

func (c *client) try(ctx context.Context, r call) (_ *http.Response, untouched bool, err error) {
	target := *c.base
	address := target.Scheme + "://" + target.Host + target.EscapedPath() + r.path
	if q := strings.Trim(r.asked+"&"+r.query.Encode(), "&"); q != "" {
		address += "?" + q
	}
	body := &watched{Reader: r.body}
	var sent io.Reader
	if r.body != nil {
		sent = body
	}
	req, err := http.NewRequestWithContext(ctx, r.method, address, sent)
	if err != nil {
		return nil, false, usagef("%q cannot be asked for: %v", r.path, err)
	}
	if r.header != nil {
		req.Header = r.header.Clone()
	}
	if r.body != nil {
		req.ContentLength = r.size
		if r.size < 0 || r.size > 1<<10 {
			req.Header.Set("Expect", "100-continue") // nothing is read in vain
		}
		if r.size == 0 {
			req.Body = http.NoBody
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "patchwork/"+version())
	}
	hook := strings.HasPrefix(r.path, "/h/") || strings.HasPrefix(r.path, "/r/")
	switch secret := firstOf(r.secret, c.secret); {
	case hook && secret != "":
		req.Header.Set("X-Patch-Secret", secret) // never in the URL, which proxies log
	case !hook && c.token != "":
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, false, c.explain(err)
	}
	if !r.any && resp.StatusCode/100 != 2 || resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" && r.method == http.MethodHead {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2<<10)) // an answer that breaks off says what it said
		_, again := r.body.(io.Seeker)
		return nil, again || !body.touched.Load(), &answerError{
			status: resp.StatusCode, line: strings.Join(strings.Fields(string(text)), " "), base: c.base,
			after: retryAfter(resp.Header), to: resp.Header.Get("Location"), hook: hook, peek: r.method == http.MethodHead,
		}
	}
	return resp, false, nil
}

// watched tells whether a body was begun, and so cannot be sent again.
type watched struct {
	io.Reader
	touched atomic.Bool
}

// Close closes what there is to close; net/http calls it when it is done.
func (w *watched) Close() error {
	if c, ok := w.Reader.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (w *watched) Read(p []byte) (int, error) {
	w.touched.Store(true)
	return w.Reader.Read(p)
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 10 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}

// An answerError is an answer of the relay that is not what was asked for. Its
// text is the relay's line and what can be done about it.
type answerError struct {
	status int
	line   string
	base   *url.URL
	after  time.Duration
	to     string // where a redirect leads
	hook   bool
	peek   bool // answers to HEAD have no text
}

func (e *answerError) Error() string {
	line := e.line
	if line == "" || strings.Contains(line, "<html") || strings.Contains(line, "<HTML") {
		line = fmt.Sprintf("%d %s", e.status, http.StatusText(e.status))
	}
	advice := ""
	switch {
	case strings.Contains(line, "HTTP request to an HTTPS server"):
		return fmt.Sprintf("%s speaks https; set PATCHWORK_SERVER to https://%s", e.base, e.base.Host)
	case e.to != "":
		to := e.to
		if u, err := url.Parse(to); err == nil && u.Host != "" {
			to = u.Scheme + "://" + u.Host
		}
		return fmt.Sprintf("%s answers with a redirect; set PATCHWORK_SERVER to %s", e.base, to)
	case e.status == http.StatusUnauthorized && e.hook:
		return "the hook's secret is missing or wrong; give the one it was made with by -s or PATCHWORK_SECRET"
	case e.status == http.StatusRequestTimeout:
		return "timed out: nobody came to the other side; try again, or wait longer with -T"
	case e.status == http.StatusUnauthorized:
		advice = "give a token that is good there with PATCHWORK_TOKEN or -t"
	case e.status == http.StatusForbidden:
		advice = "use a token that may do this, or another channel"
	case e.status == http.StatusNotFound:
		advice = fmt.Sprintf("see whether %s is a Patchwork relay", e.base)
	case e.status == http.StatusTooManyRequests:
		advice = fmt.Sprintf("wait %s and try again", e.after)
	case e.status == http.StatusBadGateway && e.line == "":
		advice = "the proxy before the relay does not reach it"
	}
	if advice == "" || strings.Contains(line, advice) {
		return line
	}
	return line + "; " + advice
}

// explain makes one line of what net/http says when there is no answer.
func (c *client) explain(err error) error {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var timeout net.Error
	say := func(format string, args ...any) error {
		return &linkError{fmt.Sprintf(format, args...), err}
	}
	var source *sourceError
	switch {
	case errors.As(err, &source):
		return source
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("no relay answers at %s; start one with 'patchwork start', or set PATCHWORK_SERVER", c.base)
	case errors.As(err, &dns):
		return say("there is no host %q; look at PATCHWORK_SERVER", c.base.Hostname())
	case errors.As(err, &record), strings.Contains(err.Error(), "gave HTTP response to HTTPS client"):
		return say("%s does not speak https; set PATCHWORK_SERVER to http://%s", c.base, c.base.Host)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return say("the certificate of %s is not good: %v; SSL_CERT_FILE can name another authority", c.base.Host, errors.Unwrap(err))
	case strings.Contains(err.Error(), "malformed HTTP"):
		return say("what answers at %s speaks no HTTP; look at host and port in PATCHWORK_SERVER", c.base)
	case errors.As(err, &timeout) && timeout.Timeout():
		return say("%s does not answer in time; look at the network and at PATCHWORK_SERVER", c.base)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return say("%s cannot be reached from here; look at the network and at PATCHWORK_SERVER", c.base)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		return say("the connection to %s broke: %v; try again", c.base, outer.Err)
	}
	return say("the connection to %s broke: %v; try again", c.base, err)
}

// A linkError is trouble between here and the relay.
type linkError struct {
	text  string
	cause error
}

func (e *linkError) Error() string { return e.text }
func (e *linkError) Unwrap() error { return e.cause }

// A sourceError is trouble with what is being sent, of which the relay is
// innocent.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// source is a reader whose errors are told from those of the connection.
type source struct{ io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = &sourceError{err}
	}
	return n, err
}

// passing tells whether an error can be over a moment later.
func passing(err error) bool {
	var answer *answerError
	if errors.As(err, &answer) {
		switch answer.status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var link *linkError
	return errors.As(err, &link) || errors.Is(err, io.ErrUnexpectedEOF)
}

// errBroken is a body that ended before its end.
func (c *client) errBroken(err error) error {
	return &linkError{"the message was cut off before it was whole; ask its sender to send it again", err}
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// A backoff waits longer from try to try, never exactly as long as others do.
type backoff struct{ first, most, next time.Duration }

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) error { return pause(ctx, b.step()) }

// step returns how long to wait this time.
func (b *backoff) step() time.Duration {
	b.next = min(max(b.next*2, b.first), b.most)
	return b.next/2 + rand.N(b.next/2+1)
}

// A link is a connection that is made anew whenever it breaks. Several
// goroutines may share one; the user hears of each outage once.
type link struct {
	c      *client
	secret string // of what it looks at after an outage; "" is the client's

	mu sync.Mutex // guards up
	up bool
}

// lost says that the connection broke, and back that it is there again.
func (l *link) lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		l.up = false
		what, _, _ := strings.Cut(err.Error(), "; ") // what the user could do is being done
		l.c.say("the connection is lost, trying again: %s", what)
	}
}

func (l *link) back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up {
		l.up = true
		l.c.say("connected again")
	}
}

// check asks for nothing but whether the channel can be received from: before
// the first wait, so that mistakes show at once.
func (c *client) check(ctx context.Context, path, secret string) error {
	resp, err := c.do(ctx, call{method: http.MethodHead, path: path, secret: secret})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// hold calls once again and again, until ctx ends or an error is final. After an
// outage it looks whether the relay is there before it calls once.
func (l *link) hold(ctx context.Context, path string, once func() error) error {
	wait := backoff{first: 250 * time.Millisecond, most: 15 * time.Second}
	for {
		begun := time.Now()
		err := once()
		if err == nil || time.Since(begun) > 5*time.Second {
			wait.reset()
		}
		var answer *answerError
		if errors.As(err, &answer) && answer.status == http.StatusRequestTimeout {
			continue // the relay lets nobody wait longer
		}
		for err != nil {
			if ctx.Err() != nil || !passing(err) {
				return err
			}
			l.lost(err)
			if err := wait.wait(ctx); err != nil {
				return err
			}
			if err = l.c.check(ctx, path, l.secret); err == nil {
				l.back()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// fileError says in one line what a user can do about a file.
func fileError(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &path):
		return fmt.Errorf("there is no file %s; look at its name", path.Path)
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		return fmt.Errorf("%s may not be used: permission denied; look at its owner and mode", path.Path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("no room for it: %w; make room and try again", err)
	}
	return err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/http/httpguts"
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
	basic  *url.Userinfo // of the address, for a proxy that asks for it; sent where no token is
	space  string        // p, h, r or u: where channels are looked for
	secret string        // of a hook
	token  string        // of a user
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
		log.SetOutput(io.Discard) // net/http writes there what the user gets as an error
		done := make(chan error, 1)
		go func() { done <- do(c, cl) }()
		select {
		case err = <-done:
		case <-c.Context.Done():
			// The process ends with this function, so whoever does not look up from
			// a file or a pipe that takes long is left behind.
			select {
			case err = <-done:
			case <-time.After(stopPatience):
				return errInterrupted
			}
		}
		if err != nil && c.Context.Err() != nil {
			return errInterrupted
		}
		return err
	}
}

// stopPatience is how long a command that was told to stop has for its last words.
const stopPatience = 8 * time.Second

// serverFlags are those of every client command.
func serverFlags() []cli.Flag {
	return []cli.Flag{
		serverFlag(),
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
	base.User, cl.basic = nil, base.User // the address is printed, and part of links
	cl.base = base
	for name, value := range map[string]string{"the token": cl.token, "the secret": cl.secret} {
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, usagef("%s has characters that no header can carry, such as a line end; copy it again", name)
		}
	}
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
	fmt.Fprintln(c.stderr, "patchwork: "+printable(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")))
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
	if c.basic != nil && req.Header.Get("Authorization") == "" {
		password, _ := c.basic.Password() // that there is none is said by an empty one
		req.SetBasicAuth(c.basic.Username(), password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, false, c.explain(ctx, err)
	}
	if !r.any && resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2<<10)) // an answer that breaks off says what it said
		_, again := r.body.(io.Seeker)
		return nil, again || !body.touched.Load(), &answerError{
			status: resp.StatusCode, line: strings.Join(strings.Fields(string(text)), " "), base: c.base,
			after: retryAfter(resp.Header), to: resp.Header.Get("Location"), hook: hook, token: c.token != "",
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

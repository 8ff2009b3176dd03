// Package client is what the commands that talk to a relay have in common: its address
// and what opens it, requests whose errors say what to do next, and a connection that
// is made anew when it breaks. It knows the relay by its URLs alone.
package client

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

	"patchwork/cmd/patchwork/cmdline"
)

// ErrInterrupted is the error of a client command whose user stopped it. There
// is nothing to say about it.
var ErrInterrupted = errors.New("interrupted")

// A Client is what the commands that talk to a relay have in common.
type Client struct {
	Base   *url.URL
	From   Origin        // of Base
	Basic  *url.Userinfo // of the address, for a proxy that asks for it; sent where no token is
	Space  string        // p, h, r or u: where channels are looked for
	Secret string        // of a hook
	Token  string        // of a user
	HTTP   *http.Client
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// Action makes the action of a client command. An error after the user has
// stopped it is nothing but that.
func Action(do func(*cli.Context, *Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		cl, err := newClient(c)
		if err != nil {
			return err
		}
		defer cl.HTTP.CloseIdleConnections()
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
				return ErrInterrupted
			}
		}
		if err != nil && c.Context.Err() != nil {
			return ErrInterrupted
		}
		return err
	}
}

// stopPatience is how long a command that was told to stop has for its last words.
const stopPatience = 8 * time.Second

func newClient(c *cli.Context) (*Client, error) {
	cl := &Client{
		Space:  "p",
		Secret: cmdline.FirstOf(c.String("secret"), os.Getenv("PATCHWORK_SECRET")),
		Token:  cmdline.FirstOf(c.String("token"), os.Getenv("PATCHWORK_TOKEN")),
		Stdin:  c.App.Reader, Stdout: c.App.Writer, Stderr: c.App.ErrWriter,
	}
	if c.IsSet("namespace") {
		cl.Space = c.String("namespace")
	}
	switch cl.Space {
	case "p", "h", "r", "u":
	default:
		return nil, cmdline.Usagef("-n %q is no namespace; there are p, h, r and u", cl.Space)
	}
	var err error
	if cl.Base, cl.Basic, cl.From, err = address(c); err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"the token": cl.Token, "the secret": cl.Secret} {
		if !httpguts.ValidHeaderFieldValue(value) {
			return nil, cmdline.Usagef("%s has characters that no header can carry, such as a line end; copy it again", name)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // bytes are passed on as they come
	transport.ExpectContinueTimeout = time.Second
	cl.HTTP = &http.Client{
		Transport: transport,
		// The relay never redirects; whoever does is not the relay, and is not to
		// have the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return cl, nil
}

// Say tells the user something about what is going on.
func (c *Client) Say(format string, args ...any) {
	fmt.Fprintln(c.Stderr, "patchwork: "+cmdline.Printable(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")))
}

// Path is that of a channel in the client's namespace.
func (c *Client) Path(channel string) string {
	return "/" + c.Space + "/" + Escaped(channel)
}

// Under puts a channel below one of the words that fix how it behaves: req/X, or
// USER/req/X in the users' namespace.
func (c *Client) Under(word, channel string) (path string, err error) {
	if c.Space != "u" {
		return "/" + c.Space + "/" + word + "/" + Escaped(channel), nil
	}
	user, rest, ok := strings.Cut(channel, "/")
	if !ok || user == "" || rest == "" {
		return "", cmdline.Usagef("with -n u a channel is USER/CHANNEL, not %q", channel)
	}
	return "/u/" + Escaped(user) + "/" + word + "/" + Escaped(rest), nil
}

// Escaped writes a channel's name as part of a URL. Its slashes stay.
func Escaped(name string) string {
	segments := strings.Split(name, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return strings.Join(segments, "/")
}

// A Call is one request to the relay.
type Call struct {
	Method string
	Path   string // escaped
	Query  url.Values
	Asked  string // more of the query, as the user wrote it
	Header http.Header
	Body   io.Reader
	Size   int64  // of body, -1 is not known
	Secret string // instead of the client's own
	Any    bool   // an answer of any status is an answer, if a responder made it
}

// Do makes the request and returns the answer, whose body is the caller's to
// close. A status other than 2xx is an *AnswerError, but with Call.Any. A 429 is
// tried again for half a minute, as long as the body is all there still.
func (c *Client) Do(ctx context.Context, r Call) (*http.Response, error) {
	until := time.Now().Add(30 * time.Second)
	said := false
	for {
		resp, untouched, err := c.try(ctx, r)
		var answer *AnswerError
		if !errors.As(err, &answer) || answer.Status != http.StatusTooManyRequests || !untouched || time.Now().After(until) {
			return resp, err
		}
		if again, ok := r.Body.(io.Seeker); ok {
			if _, err := again.Seek(0, io.SeekStart); err != nil {
				return nil, err
			}
		}
		if !said {
			c.Say("the relay says: too many requests; trying again in %s", answer.after)
			said = true
		}
		if err := Pause(ctx, answer.after+rand.N(answer.after/2+1)); err != nil {
			return nil, err
		}
	}
}

func (c *Client) try(ctx context.Context, r Call) (_ *http.Response, untouched bool, err error) {
	target := *c.Base
	address := target.Scheme + "://" + target.Host + target.EscapedPath() + r.Path
	if q := strings.Trim(r.Asked+"&"+r.Query.Encode(), "&"); q != "" {
		address += "?" + q
	}
	body := &watched{Reader: r.Body}
	var sent io.Reader
	if r.Body != nil {
		sent = body
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, address, sent)
	if err != nil {
		return nil, false, cmdline.Usagef("%q cannot be asked for: %v", r.Path, err)
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	if r.Body != nil {
		req.ContentLength = r.Size
		if r.Size < 0 || r.Size > 1<<10 {
			req.Header.Set("Expect", "100-continue") // nothing is read in vain
		}
		if r.Size == 0 {
			req.Body = http.NoBody
		}
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", "patchwork/"+cmdline.Version())
	}
	hook := strings.HasPrefix(r.Path, "/h/") || strings.HasPrefix(r.Path, "/r/")
	switch secret := cmdline.FirstOf(r.Secret, c.Secret); {
	case hook && secret != "":
		req.Header.Set("X-Patch-Secret", secret) // never in the URL, which proxies log
	case !hook && c.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	if c.Basic != nil && req.Header.Get("Authorization") == "" {
		password, _ := c.Basic.Password() // that there is none is said by an empty one
		req.SetBasicAuth(c.Basic.Username(), password)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, false, c.Explain(ctx, err)
	}
	if resp.StatusCode/100 != 2 && !(r.Any && passedOn(resp)) {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 2<<10)) // an answer that breaks off says what it said
		_, again := r.Body.(io.Seeker)
		return nil, again || !body.touched.Load(), &AnswerError{
			Status: resp.StatusCode, line: strings.Join(strings.Fields(string(text)), " "),
			base: c.Base, from: c.From,
			after: RetryAfter(resp.Header), to: resp.Header.Get("Location"), hook: hook, token: c.Token != "",
			user: strings.HasPrefix(r.Path, "/u/"), head: r.Method == http.MethodHead,
		}
	}
	return resp, false, nil
}

// passedOn tells whether an answer is to be taken for a responder's. The relay's own
// refusals lack the header that keeps what others send from acting as its site.
func passedOn(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "sandbox")
	}
	return true
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

// RetryAfter is how long an answer asks to wait; a second if it does not say, or more
// than ten.
func RetryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 1 || seconds > 10 {
		seconds = 1
	}
	return time.Duration(seconds) * time.Second
}

// Pause waits, but not longer than ctx.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

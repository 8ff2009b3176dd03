package bench

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"patchwork/cmd/patchwork/cmdline"
)

// A target is a relay, and how it is sent to and received from.
type target struct {
	send, receive string // templates of URLs
	mode          string // queue or pubsub
	ears          int    // receivers of each message
	method        string
	header        http.Header
	token         string // for those of the URLs that begin with base
	base          string
	http          *http.Client
}

// each tells whether every message has a channel of its own.
func (t *target) each() bool { return strings.Contains(t.receive, "{n}") }

// fill puts a message's number, its pair's channel and the run's name into a
// template.
func fill(template, run string, pair, n int) string {
	return strings.NewReplacer(
		"{run}", run, "{n}", strconv.Itoa(n), "{pair}", strconv.Itoa(pair), "{channel}", "bench-"+run+"-"+strconv.Itoa(pair),
	).Replace(template)
}

// checkTemplate makes a whole URL of a template, a path being one of the relay.
func checkTemplate(flag, template, base string) (string, error) {
	if strings.HasPrefix(template, "/") {
		template = strings.TrimRight(base, "/") + template
	}
	u, err := url.Parse(fill(template, "run", 0, 0))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", cmdline.Usagef("%s %q is no http:// or https:// URL, and no path of the relay that begins with /", flag, template)
	}
	if left := fill(template, "", 0, 0); strings.ContainsAny(left, "{}") {
		return "", cmdline.Usagef("%s %q: there are {n}, {channel}, {pair} and {run}", flag, template)
	}
	return template, nil
}

// request makes one. The token goes to the relay it is for and to nobody else.
func (t *target) request(ctx context.Context, method, address string, body io.Reader, size int64) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.ContentLength = size
	}
	req.Header = t.header.Clone()
	req.Header.Set("User-Agent", "patchwork-bench/"+cmdline.Version())
	if t.token != "" && (address == t.base || strings.HasPrefix(address, t.base+"/")) && req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	return req, nil
}

// sendOne sends a message and returns what went wrong, in a word or two of few; ""
// is nothing.
func (t *target) sendOne(ctx context.Context, address, run string, n, size int) string {
	req, err := t.request(ctx, t.method, address, numbered(run, n, size), int64(size))
	if err != nil {
		return troubleOf(err)
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return troubleOf(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return troubleOf(err)
	}
	if resp.StatusCode/100 != 2 {
		return strconv.Itoa(resp.StatusCode)
	}
	return ""
}

// listen asks and tells of each message that arrives, until the answer ends or ctx
// does; asked is called when the request has left. What went wrong it returns as
// sendOne does, and how long to wait before asking again.
func (t *target) listen(ctx context.Context, address, run string, asked func(), tell func(n int, err error)) (trouble string, wait time.Duration) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { asked() }})
	req, err := t.request(ctx, http.MethodGet, address, nil, 0)
	if err != nil {
		return troubleOf(err), listenAgainAfter
	}
	resp, err := t.http.Do(req)
	if err != nil {
		return troubleOf(err), listenAgainAfter
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return strconv.Itoa(resp.StatusCode), listenAgainAfter
	}
	for s := scan(resp.Body, run); ; {
		n, err := s.next()
		switch {
		case err == nil, errors.Is(err, errDamaged):
			tell(n, err)
		case errors.Is(err, io.EOF):
			return "", 0
		default:
			return troubleOf(err), listenAgainAfter
		}
	}
}

// listenAgainAfter is before a receiver that failed asks again.
const listenAgainAfter = 50 * time.Millisecond

// tooMany is the trouble of a relay that wants fewer requests: its status.
const tooMany = "429"

// troubleOf sorts errors into few kinds, so that they can be counted.
func troubleOf(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "called off"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE):
		return "cut off"
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EMFILE):
		return "this machine has no more connections"
	}
	return "connection failed"
}

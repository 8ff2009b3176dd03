package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"patchwork/cmd/patchwork/cmdline"
)

// An AnswerError is an answer of the relay that is not what was asked for. Its
// text is the relay's line and what can be done about it.
type AnswerError struct {
	Status int
	line   string
	base   *url.URL
	from   Origin // of base
	after  time.Duration
	to     string // where a redirect leads
	hook   bool
	token  bool // one was sent
	user   bool // it is about a user's channel
	head   bool // there can be no line
}

// badName tells whether the relay takes the channel's name for none. To a HEAD of a
// channel it has no other reason to answer 400.
func (e *AnswerError) badName() bool {
	return e.Status == http.StatusBadRequest && (e.head || strings.HasPrefix(e.line, "bad channel name"))
}

// Unwrap makes a bad name what it is: a mistake on the command line.
func (e *AnswerError) Unwrap() error {
	if e.badName() {
		return cmdline.Usagef("%s", e.line)
	}
	return nil
}

func (e *AnswerError) Error() string {
	line := e.line
	if line == "" || strings.Contains(line, "<html") || strings.Contains(line, "<HTML") {
		line = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
	}
	advice := ""
	switch {
	case strings.Contains(line, "HTTP request to an HTTPS server"):
		return fmt.Sprintf("%s speaks https; %s", e.base, e.from.use("https://"+e.base.Host))
	case e.to != "":
		to := e.to
		if u, err := url.Parse(to); err == nil && u.Host != "" {
			to = u.Scheme + "://" + u.Host
		}
		return fmt.Sprintf("%s answers with a redirect; %s", e.base, e.from.use(to))
	case e.badName() && strings.Contains(line, "is not a user"): // which says what one is
	case e.badName() && e.user:
		advice = "with -n u a channel is USER/CHANNEL, in words with single slashes between"
	case e.badName():
		advice = "a channel's name is words with single slashes between, none of them . or .."
	case e.Status == http.StatusUnauthorized && e.hook:
		return "the hook's secret is missing or wrong; give the one it was made with by -s or PATCHWORK_SECRET"
	case e.Status == http.StatusRequestTimeout:
		return "timed out: nobody came to the other side; try again, or wait longer with -T"
	case e.Status == http.StatusUnauthorized && !e.token:
		return "that needs a token of the user; set PATCHWORK_TOKEN, or give -t"
	case e.Status == http.StatusUnauthorized:
		advice = "give a token that is good there with PATCHWORK_TOKEN or -t"
	case e.Status == http.StatusForbidden:
		advice = "use a token that may do this, or another channel"
	case e.Status == http.StatusNotFound:
		advice = fmt.Sprintf("see whether %s is a Patchwork relay", e.base)
	case e.Status == http.StatusTooManyRequests:
		advice = fmt.Sprintf("wait %s and try again", e.after)
	case e.Status == http.StatusBadGateway && e.line == "":
		advice = "the proxy before the relay does not reach it"
	}
	if advice == "" || strings.Contains(line, advice) {
		return line
	}
	return line + "; " + advice
}

// Explain makes one line of what net/http says when there is no answer. "context
// canceled" can be said of another request that was called off: net/http gives a
// connection to the next request just before it looks whether the one before was
// called off, and then closes it.
func (c *Client) Explain(ctx context.Context, err error) error {
	var dns *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var timeout net.Error
	say := func(format string, args ...any) error {
		return &LinkError{fmt.Sprintf(format, args...), err}
	}
	var source *SourceError
	switch {
	case errors.As(err, &source):
		return source
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.Canceled):
		return say("the connection to %s was closed; try again", c.Base)
	case errors.Is(err, syscall.ECONNREFUSED):
		return say("no relay answers at %s; start one with 'patchwork start', or %s", c.Base, c.From.look())
	case errors.As(err, &dns):
		return say("there is no host %q; %s", c.Base.Hostname(), c.From.look())
	case errors.As(err, &record), strings.Contains(err.Error(), "gave HTTP response to HTTPS client"):
		return say("%s does not speak https; %s", c.Base, c.From.use("http://"+c.Base.Host))
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return say("the certificate of %s is not good: %v; SSL_CERT_FILE can name another authority", c.Base.Host, errors.Unwrap(err))
	case strings.Contains(err.Error(), "malformed HTTP"),
		strings.Contains(err.Error(), "readLoopPeekFailLocked: %!w(<nil>)"): // net/http, when the other side speaks first, as SSH does
		return say("what answers at %s speaks no HTTP, as if host or port were those of something else; %s", c.Base, c.From.look())
	case errors.As(err, &timeout) && timeout.Timeout():
		return say("%s does not answer in time; look at the network, or %s", c.Base, c.From.look())
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return say("%s cannot be reached from here; look at the network, or %s", c.Base, c.From.look())
	}
	return say("the connection to %s %s; try again", c.Base, broke(err))
}

// broke words how a connection ended. The cause is part of it where it tells anything:
// addresses of sockets and names of system calls do not.
func broke(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.ECONNABORTED):
		return "was reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "server closed idle connection"): // net/http has no name for it
		return "broke off"
	}
	var call *os.SyscallError
	var op *net.OpError
	var outer *url.Error
	switch {
	case errors.As(err, &call):
		err = call.Err
	case errors.As(err, &op):
		err = op.Err
	case errors.As(err, &outer):
		err = outer.Err
	}
	return "broke: " + err.Error()
}

// A LinkError is trouble between here and the relay.
type LinkError struct {
	Text  string // one line, which says what to do
	Cause error
}

func (e *LinkError) Error() string { return e.Text }
func (e *LinkError) Unwrap() error { return e.Cause }

// Passing tells whether an error can be over a moment later.
func Passing(err error) bool {
	var answer *AnswerError
	if errors.As(err, &answer) {
		switch answer.Status {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var link *LinkError
	return errors.As(err, &link) || errors.Is(err, io.ErrUnexpectedEOF)
}

// NoRelay is the error of an answer that no relay gives.
func (c *Client) NoRelay() error {
	return fmt.Errorf("%s does not answer as a relay does; %s", c.Base, c.From.look())
}

// Broken is a body that ended before its end.
func Broken(err error) error {
	return &LinkError{"the message was cut off before it was whole; ask its sender to send it again", err}
}

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
	"strings"
	"syscall"
	"time"
)

// An AnswerError is an answer of the relay that is not what was asked for. Its
// text is the relay's line and what can be done about it.
type AnswerError struct {
	Status int
	line   string
	base   *url.URL
	after  time.Duration
	to     string // where a redirect leads
	hook   bool
	token  bool // one was sent
}

func (e *AnswerError) Error() string {
	line := e.line
	if line == "" || strings.Contains(line, "<html") || strings.Contains(line, "<HTML") {
		line = fmt.Sprintf("%d %s", e.Status, http.StatusText(e.Status))
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
		return say("no relay answers at %s; start one with 'patchwork start', or set PATCHWORK_SERVER", c.Base)
	case errors.As(err, &dns):
		return say("there is no host %q; look at PATCHWORK_SERVER", c.Base.Hostname())
	case errors.As(err, &record), strings.Contains(err.Error(), "gave HTTP response to HTTPS client"):
		return say("%s does not speak https; set PATCHWORK_SERVER to http://%s", c.Base, c.Base.Host)
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid):
		return say("the certificate of %s is not good: %v; SSL_CERT_FILE can name another authority", c.Base.Host, errors.Unwrap(err))
	case strings.Contains(err.Error(), "malformed HTTP"):
		return say("what answers at %s speaks no HTTP; look at host and port in PATCHWORK_SERVER", c.Base)
	case errors.As(err, &timeout) && timeout.Timeout():
		return say("%s does not answer in time; look at the network and at PATCHWORK_SERVER", c.Base)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return say("%s cannot be reached from here; look at the network and at PATCHWORK_SERVER", c.Base)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		return say("the connection to %s broke: %v; try again", c.Base, outer.Err)
	}
	return say("the connection to %s broke: %v; try again", c.Base, err)
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

// Broken is a body that ended before its end.
func Broken(err error) error {
	return &LinkError{"the message was cut off before it was whole; ask its sender to send it again", err}
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// An answerError is an answer of the relay that is not what was asked for. Its
// text is the relay's line and what can be done about it.
type answerError struct {
	status int
	line   string
	base   *url.URL
	after  time.Duration
	to     string // where a redirect leads
	hook   bool
	token  bool // one was sent
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
	case e.status == http.StatusUnauthorized && !e.token:
		return "that needs a token of the user; set PATCHWORK_TOKEN, or give -t"
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

// explain makes one line of what net/http says when there is no answer. "context
// canceled" can be said of another request that was called off: net/http gives a
// connection to the next request just before it looks whether the one before was
// called off, and then closes it.
func (c *client) explain(ctx context.Context, err error) error {
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
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.Canceled):
		return say("the connection to %s was closed; try again", c.base)
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

// fileError says in one line what a user can do about a file.
func fileError(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &path) && strings.HasSuffix(path.Path, ".part"):
		return fmt.Errorf("there is no folder %s; make it first", filepath.Dir(path.Path))
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &path):
		return fmt.Errorf("there is no file %s; look at its name", path.Path)
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		return fmt.Errorf("%s may not be used: permission denied; look at its owner and mode", path.Path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("no room for it: %w; make room and try again", err)
	}
	return err
}

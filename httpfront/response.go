package httpfront

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// response is the http.ResponseWriter of one request: it remembers what was
// answered, for the log line and for the choice between an error page and a cut.
type response struct {
	http.ResponseWriter
	r     *http.Request
	begun time.Time

	status   int
	bytes    int64
	received int64 // of the message that came in
	sends    bool  // a message came in
	hijacked bool
	failure  error // what ended the request, for the log

	// beaten says that an interim response went out. nginx takes it for the last one
	// and passes on what follows until the connection ends, so the answer ends it:
	// what a client would ask next on a kept one, nobody would read.
	beaten atomic.Bool

	stopping sync.Mutex // guards failed, and the read deadline until then
	failed   bool       // the request has failed: who read its body has stopped, or will

	interim sync.Mutex // guards all below, and interim responses against each other
	asked   bool       // net/http may be sending the 100 Continue that the client expects
	drawn   bool       // the body was read from: the client does not wait for a 100 Continue any more
	ended   bool       // the body was read to its end
}

func (w *response) WriteHeader(status int) {
	if status >= 200 && w.status == 0 {
		w.begin(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.begin(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// begin notes how the request is answered.
func (w *response) begin(status int) {
	w.status = status
	if w.beaten.Load() {
		w.Header().Set("Connection", "close")
	}
}

// stopReading has whoever reads the request's body stop, at once. It does nothing when
// the request has failed already: the answer needs the connection then.
func (w *response) stopReading() {
	w.stopping.Lock()
	defer w.stopping.Unlock()
	if !w.failed {
		http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // it only makes a 502 come sooner
	}
}

// fails notes that the request has failed.
func (w *response) fails(err error) {
	w.failure = err
	w.stopping.Lock()
	w.failed = true
	w.stopping.Unlock()
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Hijack takes the connection over; the status must be set by whoever does.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(w.ResponseWriter).Hijack()
	w.hijacked = err == nil
	return conn, buf, err
}

// started tells whether the client has got the beginning of an answer.
func (w *response) started() bool { return w.status != 0 || w.hijacked }

// answered books a request that is over and writes its one line. The query,
// which may hold secrets, is no part of it.
func (s *Server) answered(w *response) {
	s.metric.request(w)
	if !s.log.Enabled(context.Background(), slog.LevelInfo) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", w.r.Method),
		slog.String("path", shownPath(w.r.URL)),
		slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes),
		slog.Duration("took", time.Since(w.begun).Round(time.Microsecond)),
		slog.String("client", s.limits.client(w.r).String()),
	}
	if w.failure != nil {
		reason := w.failure.Error()
		var own *httpError
		if errors.As(w.failure, &own) && own.status == http.StatusBadRequest {
			reason = "bad request" // the line that the client got repeats its own words, of the query too
		}
		attrs = append(attrs, slog.String("reason", reason))
	}
	s.log.LogAttrs(context.Background(), slog.LevelInfo, "http request", attrs...)
}

// shownPath is a path for the log. The address of a feed is its credential.
func shownPath(u *url.URL) string {
	path := u.EscapedPath()
	if strings.HasPrefix(path, "/rss/") {
		return "/rss/***"
	}
	return path
}

// counter counts events for the metrics.
type counter struct{ atomic.Uint64 }

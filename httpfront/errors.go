package httpfront

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"patchwork/broker"
)

// An httpError is an answer that is not a message: a status and one plain line
// that says what is wrong and what to do.
type httpError struct {
	status int
	line   string
	header http.Header // more of it, or nil
}

func (e *httpError) Error() string { return e.line }

func errorf(status int, format string, args ...any) error {
	return &httpError{status: status, line: fmt.Sprintf(format, args...)}
}

// A pageError is an error on a path where people look for pages.
type pageError struct{ error }

func (e pageError) Unwrap() error { return e.error }

// errClientGone is the cause of a wait that ended because its client did.
var errClientGone = errors.New("the client is gone")

// status maps an error to its status code and the line the client gets. 0 means
// that nobody is there to be answered.
func status(err error) (int, string) {
	var own *httpError
	var partial *broker.PartialError
	switch {
	case errors.As(err, &own):
		return own.status, own.line
	case isACL(err):
		return aclStatus(err)
	case errors.Is(err, broker.ErrName):
		return http.StatusBadRequest, err.Error()
	case errors.Is(err, broker.ErrDenied):
		return http.StatusForbidden, "access denied: the topic has an access list"
	case errors.Is(err, broker.ErrTaken):
		return http.StatusForbidden, err.Error() + "; take another topic"
	case errors.Is(err, broker.ErrTimeout):
		return http.StatusRequestTimeout, "timed out: nobody came to the other side; try again, or wait longer with ?timeout="
	case errors.Is(err, broker.ErrClosed):
		return http.StatusServiceUnavailable, "the relay is going down; try again"
	case errors.As(err, &partial):
		return http.StatusBadGateway, partial.Error() + "; send the message again"
	case errors.Is(err, broker.ErrDestroyed):
		return http.StatusGone, "the channel was deleted"
	case errors.Is(err, broker.ErrGone):
		return http.StatusGone, "nobody waits for this answer (any more)"
	case errors.Is(err, broker.ErrVanished):
		return http.StatusBadGateway, "the responder took the request and did not answer in time; if it needs long, ask with ?timeout=5m"
	case errors.Is(err, broker.ErrNoAnswer):
		return http.StatusGatewayTimeout, "nobody posted the answer to the channel the responder switched to"
	case errors.Is(err, broker.ErrCut), errors.Is(err, broker.ErrSlow):
		return http.StatusBadGateway, "the message was cut off before it was whole"
	case errors.Is(err, errClientGone), errors.Is(err, context.Canceled), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, net.ErrClosed), isNetError(err):
		return 0, ""
	}
	return http.StatusInternalServerError, "internal error"
}

func isNetError(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) || errors.Is(err, http.ErrBodyReadAfterClose)
}

// fail answers a request that ended with an error: with one line while nothing
// was answered yet, else by cutting the connection.
func (s *Server) fail(w *response, r *http.Request, err error) {
	w.fails(err)
	if w.hijacked {
		return // whoever hijacked it has closed it
	}
	if w.started() {
		if tcp, ok := connOf(r).(*net.TCPConn); ok && !r.ProtoAtLeast(1, 1) {
			tcp.SetLinger(0) //nolint:errcheck // to HTTP/1.0 only a reset says that this was not the end
		}
		panic(http.ErrAbortHandler)
	}
	code, line := status(err)
	if code == 0 {
		w.status = 499 // for the log: nobody reads it
		panic(http.ErrAbortHandler)
	}
	if code == http.StatusInternalServerError {
		s.log.Error("request failed", "error", err)
	}
	h := w.Header()
	var own *httpError
	if errors.As(err, &own) {
		for k, v := range own.header {
			h[k] = v
		}
	}
	if code == http.StatusServiceUnavailable {
		h.Set("Retry-After", "5")
	}
	w.interim.Lock()
	unread := r.ContentLength != 0 && !w.ended && r.ProtoMajor == 1
	w.interim.Unlock()
	if !unread {
		s.tell(w, r, code, line, err)
		return
	}
	// net/http would read more of the body first, for as long as that takes.
	rc := http.NewResponseController(w.ResponseWriter)
	rc.EnableFullDuplex() //nolint:errcheck // HTTP/1 can
	h.Set("Connection", "close")
	s.tell(w, r, code, line, err)
	rc.Flush() //nolint:errcheck // the client may be gone; there is nobody to tell
	drain(connOf(r), r)
}

// tell answers with the line of an error: in the frame of the pages when it is a
// pageError and the client asks for HTML, as browsers do where people go, and else as
// plain text.
func (s *Server) tell(w *response, r *http.Request, code int, line string, err error) {
	var page pageError
	if errors.As(err, &page) {
		w.Header().Set("Vary", "Accept")
		if accepts(r, "text/html") && s.framed(w, r, code, line) {
			return
		}
	}
	s.plain(w, code, line)
}

// linger is how long a client that still sends when it is answered has to hear
// the answer: closing at once would reset the connection, answer and all.
const linger = 2 * time.Second

// drain reads what a client still sends, until it has sent its request, stops, or
// linger is over.
func drain(conn net.Conn, r *http.Request) {
	if conn == nil {
		return
	}
	conn.SetReadDeadline(time.Now().Add(linger)) //nolint:errcheck // the read says it
	whole := false
	if r.Header.Get("Expect") == "" { // to such a client reading the body would say: go on
		_, err := io.Copy(io.Discard, r.Body)
		whole = err == nil // a chunked body whose reading was interrupted stays so
	}
	if !whole {
		io.Copy(io.Discard, conn) //nolint:errcheck // the connection ends either way
	}
	conn.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // nobody reads any more
}

// plain answers with one line of text.
func (s *Server) plain(w *response, code int, line string) {
	h := w.Header()
	open(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if line != "" && code != http.StatusTooManyRequests { // that body is compared by scripts as it is
		line += "\n"
	}
	h.Set("Content-Length", strconv.Itoa(len(line)))
	w.extend(s.cfg.WriteTimeout)
	w.WriteHeader(code)
	io.WriteString(w, line) //nolint:errcheck // the client may be gone; there is nobody to tell
}

package httpfront

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

type connKey struct{}

// connOf returns the connection a request came on; nil in a test without one.
func connOf(r *http.Request) net.Conn {
	c, _ := r.Context().Value(connKey{}).(net.Conn)
	return c
}

// extend gives the next write its time.
func (w *response) extend(d time.Duration) {
	if d > 0 {
		//nolint:errcheck // without deadlines there is none to set
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(d))
	}
}

// A heart beats for a client that waits: an interim 100 Continue at every beat
// (RFC 9110, section 15.2: a client must accept any number of them) keeps the
// timeouts of proxies from running out, and a look at the socket finds clients
// that are gone, those with unread bytes in flight too.
type heart struct {
	cancel context.CancelCauseFunc
	mu     sync.Mutex // guards stopped, and the response while a beat writes to it
	stop   bool
	timer  *time.Timer
}

// wait returns the context of a wait for the other side: it ends with the
// client, at the second heartbeat at the latest, and with the timeout. rest ends
// the beating and returns when nothing more will be written; afterwards the
// response belongs to the handler alone.
func (s *Server) wait(w *response, r *http.Request) (ctx context.Context, rest func(), err error) {
	limit, err := s.timeout(r)
	if err != nil {
		return nil, nil, err
	}
	ctx, rest = s.beatFor(r.Context(), w, r)
	if limit > 0 {
		bounded, stop := withTimeout(ctx, limit)
		return bounded, func() { rest(); stop() }, nil
	}
	return ctx, rest, nil
}

// beatFor is wait without the timeout, under a context of the caller's.
func (s *Server) beatFor(ctx context.Context, w *response, r *http.Request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	h := &heart{cancel: cancel}
	every := s.cfg.Heartbeat
	if every > 0 && r.ProtoMajor == 1 {
		h.mu.Lock()
		h.timer = time.AfterFunc(every, func() { s.beat(h, w, r, every) })
		h.mu.Unlock()
	}
	return ctx, func() {
		h.mu.Lock()
		h.stop = true
		if h.timer != nil {
			h.timer.Stop()
		}
		h.mu.Unlock()
		cancel(nil)
	}
}

func (s *Server) beat(h *heart, w *response, r *http.Request, every time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stop {
		return
	}
	conn := connOf(r)
	if conn != nil && hungUp(conn) {
		h.cancel(errClientGone)
		return
	}
	// A producer that waits for its own 100 Continue must not get one that it did
	// not earn: that would start its body. Once bytes came it waits no more.
	asks := r.Header.Get("Expect") != "" && (conn == nil || unread(conn) == 0)
	if r.ProtoAtLeast(1, 1) && !asks {
		w.extend(s.cfg.WriteTimeout)
		w.ResponseWriter.WriteHeader(http.StatusContinue)
	}
	h.timer.Reset(every)
}

// A liveBody is a request's body whose connection is looked at once more when
// its first byte is asked for: a producer that is gone by then was never there.
type liveBody struct {
	io.Reader
	conn   net.Conn
	looked bool
	count  *int64 // bytes read
}

func (b *liveBody) Read(p []byte) (int, error) {
	if !b.looked {
		b.looked = true
		if b.conn != nil && hungUp(b.conn) {
			return 0, errClientGone
		}
	}
	n, err := b.Reader.Read(p)
	*b.count += int64(n)
	return n, err
}

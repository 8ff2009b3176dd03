package httpfront

import (
	"context"
	"errors"
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
	ctx, calm := s.beatFor(r.Context(), w, r)
	if limit > 0 {
		bounded, stop := withTimeout(ctx, limit)
		return bounded, func() { calm(); stop() }, nil
	}
	return ctx, calm, nil
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
	w.interim.Lock()
	asks := r.Header.Get("Expect") != "" && !w.drawn && (conn == nil || unread(conn) == 0)
	if r.ProtoAtLeast(1, 1) && !asks && !w.asked && !startled(r) {
		w.extend(s.cfg.WriteTimeout)
		w.beaten.Store(true)
		w.ResponseWriter.WriteHeader(http.StatusContinue)
	}
	w.interim.Unlock()
	h.timer.Reset(every)
}

// startled tells whether the client takes a 100 Continue that it did not ask for
// as an error: fetch of Node (undici) does, its http module and browsers do not.
// It is known by its name, or by sending one of the two Sec-Fetch headers that
// browsers always send together. Behind a proxy it does not see them. But nginx hands
// an interim response to a client that came by HTTP/2 as if it were the last one; it
// can be told to say so, with Patch-Protocol.
func startled(r *http.Request) bool {
	switch r.Header.Get("Patch-Protocol") {
	case "", "http/1.1":
	default:
		return true
	}
	for _, h := range [...]string{"X-Forwarded-For", "X-Real-Ip", "Forwarded", "Via"} {
		if r.Header.Get(h) != "" {
			return false
		}
	}
	agent := r.Header.Get("User-Agent")
	return agent == "node" || agent == "undici" ||
		r.Header.Get("Sec-Fetch-Mode") != "" && r.Header.Get("Sec-Fetch-Site") == ""
}

// A liveBody is a request's body whose connection is looked at once more when
// its first byte is asked for: a producer that is gone by then was never there.
type liveBody struct {
	io.Reader
	conn   net.Conn
	looked bool
	w      *response // of the request: what was read is booked there
}

func (b *liveBody) Read(p []byte) (int, error) {
	if !b.looked {
		b.looked = true
		if b.conn != nil && hungUp(b.conn) {
			return 0, errClientGone
		}
		b.w.interim.Lock()
		b.w.asked = true
		b.w.interim.Unlock()
	}
	n, err := b.Reader.Read(p)
	b.w.received += int64(n)
	b.w.interim.Lock()
	b.w.asked, b.w.drawn = false, true
	b.w.ended = b.w.ended || errors.Is(err, io.EOF)
	b.w.interim.Unlock()
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, net.ErrClosed) && !isNetError(err) {
		err = errorf(http.StatusBadRequest, "bad request body: %v", err)
	}
	return n, err
}

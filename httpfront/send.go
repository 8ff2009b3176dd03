package httpfront

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"patchwork/broker"
)

// wholeLimit is the size up to which a message is one event for followers that
// frame, and may be read before it is sent.
const wholeLimit = 64 << 10

// patience is how long a full receiver that takes nothing may hold back a broadcast
// message that waits for nobody: enough for those that keep reading to get a long
// one whole, too little to be felt.
const patience = time.Second

func withTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, broker.ErrTimeout)
}

// message returns what a producer's request says: its body, or for GET the text
// of ?body=.
func (s *Server) message(w *response, r *http.Request, c channel) broker.Message {
	m := broker.Message{Header: s.passed(r, c), Size: r.ContentLength}
	if r.Method == http.MethodGet && r.ContentLength == 0 {
		text := r.URL.Query().Get("body")
		m.Size, m.Body = int64(len(text)), &liveBody{Reader: strings.NewReader(text), conn: connOf(r), w: w}
		delete(m.Header, "Content-Type")
		return m
	}
	m.Body = &liveBody{Reader: r.Body, conn: connOf(r), w: w}
	m.Stop = sync.OnceFunc(w.stopReading)
	return m
}

// send offers the request's body to the queue and answers when one consumer has
// it whole.
func (s *Server) send(w *response, r *http.Request, c channel) error {
	ctx, rest, err := s.wait(w, r)
	if err != nil {
		return err
	}
	m := s.message(w, r, c)
	s.metric.message(w, c, "queue")
	err = s.broker.Send(ctx, c.name, m)
	rest()
	if err != nil {
		return err
	}
	return s.sent(w, 1)
}

// sent answers a producer whose message was handed over n times.
func (s *Server) sent(w *response, n int) error {
	w.Header().Set("Patch-Delivered", strconv.Itoa(n))
	s.plain(w, http.StatusOK, "")
	return nil
}

// publish broadcasts the request's body. waits says that there must be a
// receiver, and that none may miss a part.
func (s *Server) publish(w *response, r *http.Request, c channel, waits bool) error {
	limit, err := s.timeout(r)
	if err != nil {
		return err
	}
	ctx, rest := s.beatFor(r.Context(), w, r)
	defer rest()
	o := broker.PublishOptions{Wait: waits}
	if !waits {
		o.Patience = patience
	}
	if o.As, o.Access, err = accessList(r, c); err != nil {
		return err
	}
	p, err := s.broker.Publish(c.name, o)
	if err != nil {
		return err
	}
	defer p.Close()
	ready, stop := ctx, context.CancelFunc(func() {})
	if limit > 0 { // for somebody to come, not for the message
		ready, stop = withTimeout(ctx, limit)
	}
	err = p.Ready(ready)
	stop()
	if err != nil {
		return err
	}
	s.metric.message(w, c, "broadcast")
	n, err := s.publishBody(ctx, p, s.message(w, r, c))
	if err != nil {
		return err
	}
	if err := p.Drain(ctx); err != nil {
		return err
	}
	rest()
	return s.sent(w, n)
}

// publishBody sends one message through p: whole when it is short and its length
// is known, else as it comes.
func (s *Server) publishBody(ctx context.Context, p *broker.Publisher, m broker.Message) (int, error) {
	if m.Size >= 0 && m.Size <= wholeLimit {
		data := make([]byte, m.Size)
		if _, err := io.ReadFull(m.Body, data); err != nil && (m.Size > 0 || !errors.Is(err, io.EOF)) {
			return 0, err
		}
		return p.Message(ctx, m.Header, data)
	}
	p.Begin(m.Header, m.Size)
	buf := make([]byte, wholeLimit)
	for {
		n, err := m.Body.Read(buf)
		if n > 0 {
			if err := p.Write(ctx, buf[:n]); err != nil {
				return 0, err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return p.End(ctx)
		case err != nil:
			p.Abort()
			return 0, err
		}
	}
}

// peek answers HEAD: who is on the channel.
func (s *Server) peek(w *response, c channel) error {
	n := s.broker.Peek(c.name)
	h := w.Header()
	h.Set("Patch-Producers", strconv.Itoa(n.Producers))
	h.Set("Patch-Consumers", strconv.Itoa(n.Consumers))
	h.Set("Patch-Subscribers", strconv.Itoa(n.Subscribers))
	s.plain(w, http.StatusOK, "")
	return nil
}

package httpfront

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"patchwork/broker"
)

// next waits for one message of the channel, as long as the client wants and is
// there.
func (s *Server) next(w *response, r *http.Request, c channel) (*broker.Delivery, error) {
	ctx, rest, err := s.wait(w, r)
	if err != nil {
		return nil, err
	}
	defer rest()
	return s.broker.Receive(ctx, c.name)
}

// receive takes one message from the channel and streams it.
func (s *Server) receive(w *response, r *http.Request, c channel) error {
	d, err := s.next(w, r, c)
	if err != nil {
		return err
	}
	header := http.Header{}
	messageHeader(header, d.Info.Header, false)
	if mime := r.URL.Query().Get("mime"); mime != "" && validValue(mime) {
		header.Set("Content-Type", mime)
	}
	return s.deliver(w, r, d, http.StatusOK, header, true)
}

// deliver streams a delivery as the response. A queue message goes out on a
// connection of its own, which tells whether the client took it all; anything
// else as an ordinary response, and so does all while the request's own body is
// still being read (own is false then).
func (s *Server) deliver(w *response, r *http.Request, d *broker.Delivery, code int, header http.Header, own bool) error {
	if d.Info.Size >= 0 {
		header.Set("Content-Length", strconv.FormatInt(d.Info.Size, 10))
	}
	var out sink = &plainSink{s: s, w: w, code: code, header: header}
	if own && d.Info.Queue && r.ProtoMajor == 1 {
		wire, err := s.takeOver(w, r, code, header)
		switch {
		case err == nil:
			out = wire
		case !errors.Is(err, http.ErrNotSupported):
			d.Done(err)
			return err
		}
	}
	err := stream(out, r.Context(), d)
	d.Done(err)
	w.failure = err
	return err
}

// A sink is where a message goes: a response that is under way.
type sink interface {
	// context is cancelled when the client is gone.
	context(context.Context) context.Context
	// whole is true when every byte of a message of known length is written, so
	// that a client which goes away has done so with all of it.
	whole() bool
	// write sends p at once, and blocks until it is with the system.
	write(p []byte) error
	// finish ends the response and returns nil when the client has all of it, as
	// far as can be known; abort ends it so that the client sees that it is not
	// whole.
	finish() error
	abort()
}

// stream moves a message to its sink and returns nil when the client has it.
func stream(out sink, ctx context.Context, d *broker.Delivery) error {
	outer := ctx
	ctx = out.context(ctx)
	for {
		data, err := d.Next(ctx)
		if errors.Is(err, errClientGone) && out.whole() {
			data, err = d.Next(outer) // the end, which is all that is missing
		}
		if err == nil {
			err = out.write(data)
		}
		switch {
		case errors.Is(err, io.EOF):
			return out.finish()
		case err != nil:
			out.abort()
			return err
		}
	}
}

// plainSink is a response through net/http. Its abort is the panic that net/http
// takes as the order to cut the connection; it is raised by fail, once the
// delivery is done.
type plainSink struct {
	s      *Server
	w      *response
	code   int
	header http.Header
}

func (p *plainSink) context(ctx context.Context) context.Context { return ctx }

func (p *plainSink) whole() bool { return false }

func (p *plainSink) begin() {
	if p.header != nil {
		h := p.w.Header()
		for k, v := range p.header {
			h[k] = v
		}
		p.header = nil
		p.w.WriteHeader(p.code)
	}
}

func (p *plainSink) write(data []byte) error { return p.w.send(p, data) }

// send writes in pieces small enough that each is progress, and flushes.
func (w *response) send(p *plainSink, data []byte) error {
	p.w.extend(p.s.cfg.WriteTimeout)
	p.begin()
	const piece = 32 << 10
	for len(data) > 0 {
		n := min(piece, len(data))
		p.w.extend(p.s.cfg.WriteTimeout)
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (p *plainSink) finish() error {
	if p.header != nil && p.header.Get("Content-Length") == "" {
		p.header.Set("Content-Length", "0")
	}
	return p.write(nil)
}

func (p *plainSink) abort() { p.begin() }

package httpfront

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"patchwork/broker"
)

var upgrader = websocket.Upgrader{
	HandshakeTimeout: 20 * time.Second,
	ReadBufferSize:   4 << 10,
	WriteBufferPool:  &sync.Pool{},
	WriteBufferSize:  32 << 10,
	CheckOrigin:      func(*http.Request) bool { return true }, // no credentials that a browser adds by itself
	Error:            func(http.ResponseWriter, *http.Request, int, error) {},
}

// A socket is one WebSocket client: both halves of a pipe.
type socket struct {
	s      *Server
	conn   *websocket.Conn
	binary bool // everything goes out in binary messages
	sub    *broker.Subscription
}

// pipe upgrades to a WebSocket. What the client sends is broadcast, what others
// send arrives; ?replay=true lets it hear itself, ?binary=true makes every
// message that arrives a binary one.
func (s *Server) pipe(w *response, r *http.Request, c channel) error {
	replay, err := flag(r, "replay", false)
	if err != nil {
		return err
	}
	binary, err := flag(r, "binary", false)
	if err != nil {
		return err
	}
	tells, err := flag(r, "status", false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	x := &socket{s: s, binary: binary}
	as, access, err := accessList(r, c)
	if err != nil {
		return err
	}
	sub, err := s.broker.Subscribe(c.name, broker.SubscribeOptions{
		Stay: true, Pipe: true, OnCut: func(err error) { cancel(err) }, As: as, Access: access,
	})
	if err != nil {
		return err
	}
	defer sub.Close()
	x.sub = sub
	pub, err := s.broker.Publish(c.name, broker.PublishOptions{As: as, Pipe: sub, Echo: replay, Patience: patience})
	if err != nil {
		return err
	}
	defer pub.Close()
	x.conn, err = upgrader.Upgrade(w, r, nil)
	if err != nil {
		var bad websocket.HandshakeError
		if errors.As(err, &bad) {
			return errorf(http.StatusBadRequest, "bad WebSocket handshake: %v", bad)
		}
		return err
	}
	w.status = http.StatusSwitchingProtocols
	defer x.conn.Close()
	context.AfterFunc(ctx, func() { x.goodbye(context.Cause(ctx)) })
	if tells {
		if err := x.greet(c); err != nil {
			return err
		}
	}
	header := s.passed(r, c)
	delete(header, "Content-Type")

	var both sync.WaitGroup
	both.Go(func() { cancel(x.read(ctx, c, pub, header)) })
	both.Go(func() { cancel(x.write(ctx, r, sub)) })
	if s.cfg.Heartbeat > 0 {
		both.Go(func() { cancel(x.ping(ctx)) })
	}
	both.Wait()
	w.failure = context.Cause(ctx)
	return nil
}

// greet tells the client what it is connected to.
func (x *socket) greet(c channel) error {
	n := x.s.broker.Peek(c.name)
	return x.conn.WriteJSON(map[string]any{
		"status": "connected", "channel": c.name.String(), "publishers": n.Producers, "subscribers": n.Subscribers, "pipes": n.Pipes,
	})
}

// goodbye tells the client why it ends, and ends the connection a moment later
// if the client does not.
func (x *socket) goodbye(why error) {
	code, text := websocket.CloseNormalClosure, ""
	var partial *broker.PartialError
	switch {
	case errors.Is(why, broker.ErrSlow):
		code, text = websocket.ClosePolicyViolation, "cut off: too slow"
	case errors.Is(why, broker.ErrClosed):
		code, text = websocket.CloseServiceRestart, "the relay is going down; try again"
	case errors.Is(why, broker.ErrDestroyed):
		code, text = websocket.CloseGoingAway, "the channel was deleted"
	case errors.As(why, &partial):
		code, text = websocket.CloseTryAgainLater, partial.Error()
	}
	soon := time.Now().Add(time.Second)
	x.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, text), soon) //nolint:errcheck // best effort
	x.conn.NetConn().SetDeadline(soon)                                                          //nolint:errcheck // as above
}

// alive gives the client the time of three heartbeats to be heard from.
func (x *socket) alive() {
	if beat := x.s.cfg.Heartbeat; beat > 0 {
		x.conn.SetReadDeadline(time.Now().Add(3 * beat)) //nolint:errcheck // the read says it
	}
}

// read sends what the client says. A message of up to 64 KiB goes out whole; of
// a longer one each part as it comes.
func (x *socket) read(ctx context.Context, c channel, pub *broker.Publisher, header broker.Header) error {
	x.conn.SetPongHandler(func(string) error { x.alive(); return nil })
	buf := make([]byte, wholeLimit)
	for {
		x.alive()
		_, message, err := x.conn.NextReader()
		if err != nil {
			return errClientGone
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r := &incoming{x: x, r: message}
		if c.name.Kind() == broker.Queue {
			err = x.s.broker.Send(ctx, c.name, broker.Message{Header: header, Size: -1, Body: r, Pipe: x.sub})
		} else {
			err = x.publish(ctx, pub, header, r, buf)
		}
		if err != nil {
			return err
		}
	}
}

// An incoming message is read by whoever passes it on: what comes is a sign of
// life, and one whose client is gone by then was never there.
type incoming struct {
	x      *socket
	r      io.Reader
	looked bool
}

func (m *incoming) Read(p []byte) (int, error) {
	if !m.looked {
		m.looked = true
		if hungUp(m.x.conn.NetConn()) {
			return 0, errClientGone
		}
	}
	m.x.alive()
	return m.r.Read(p)
}

func (x *socket) publish(ctx context.Context, pub *broker.Publisher, header broker.Header, r io.Reader, buf []byte) error {
	n, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		_, err = pub.Message(ctx, header, buf[:n])
		return err
	}
	pub.Begin(header, -1)
	for err == nil {
		if err := pub.Write(ctx, buf[:n]); err != nil {
			return err
		}
		n, err = r.Read(buf)
	}
	if !errors.Is(err, io.EOF) {
		pub.Abort()
		return err
	}
	if n > 0 {
		if err := pub.Write(ctx, buf[:n]); err != nil {
			return err
		}
	}
	_, err = pub.End(ctx)
	return err
}

// write passes on what others say.
func (x *socket) write(ctx context.Context, r *http.Request, sub *broker.Subscription) error {
	var asm assembler
	for {
		next, stop := ctx, context.CancelFunc(func() {})
		if wait := asm.wait(time.Now(), 0); wait > 0 {
			next, stop = context.WithTimeoutCause(ctx, wait, errBeat)
		}
		events, err := sub.Next(next)
		stop()
		now := time.Now()
		switch {
		case errors.Is(err, errBeat):
			for f := range asm.due(now) {
				if err := x.send(f); err != nil {
					return err
				}
			}
		case err != nil:
			return err
		}
		for _, e := range events {
			for f := range asm.add(e, now) {
				if err := x.send(f); err != nil {
					return err
				}
			}
		}
		if err := x.s.took(r, events); err != nil {
			return err
		}
	}
}

func (x *socket) send(f frame) error {
	if len(f.data) == 0 && f.part > 0 {
		return nil // the end of a message whose parts all went out
	}
	kind := websocket.BinaryMessage
	if !x.binary && utf8.Valid(f.data) {
		kind = websocket.TextMessage
	}
	if t := x.s.cfg.WriteTimeout; t > 0 {
		x.conn.SetWriteDeadline(time.Now().Add(t)) //nolint:errcheck // the write says it
	}
	return x.conn.WriteMessage(kind, f.data)
}

// ping keeps the connection open through proxies, and lets a dead client be
// noticed by the missing pong.
func (x *socket) ping(ctx context.Context) error {
	beat := time.NewTicker(x.s.cfg.Heartbeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if hungUp(x.conn.NetConn()) { // nobody reads while a message waits for its consumer
				return errClientGone
			}
			x.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(x.s.cfg.Heartbeat)) //nolint:errcheck // the read notices
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

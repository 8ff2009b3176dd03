package httpfront_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"patchwork/broker"
	"patchwork/httpfront"
)

// followings are the ways to follow a channel with a plain request.
var followings = map[string]string{
	"raw":    "?follow=true HTTP/1.1\r\nHost: x\r\n\r\n",
	"SSE":    " HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
	"NDJSON": " HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n",
}

// net/http watches a connection by reading one byte from it. What a client sends
// behind its request hides its end from that.
const hidden = "X"

func TestAFollowerWhoseClientIsGoneIsNoticedThoughNothingIsSentToIt(t *testing.T) {
	r := start(t) // with a heartbeat every 100 ms
	for what, request := range followings {
		for _, behind := range []string{"", hidden} {
			w := r.dial("GET /p/gone" + request)
			r.followers("gone", 1)
			w.say(behind)
			w.answer()
			w.Close()
			until(t, what+" is noticed", func() bool { return r.broker.Stats().Subscribers == 0 })
		}
	}
	r.empty()
}

// Nothing but its end makes room here: not the stall limit, not the write timeout.
func TestAFollowerThatDiesDoesNotHoldItsPublisher(t *testing.T) {
	r := startWith(t, broker.Options{Stall: time.Hour}, func(c *httpfront.Config) { c.WriteTimeout = time.Hour })
	for what, request := range followings {
		w := r.dial("GET /p/held" + request)
		got := later(func() answer { return r.get("/topic/held") })
		r.followers("held", 2)
		held := r.broker.Stats().Held
		sent := later(func() answer { return r.do("POST", "/topic/held", body(20<<20, false)) })
		until(t, what+" holds its publisher", func() bool { return r.broker.Stats().Held > held })
		w.SetLinger(0) //nolint:errcheck // killed
		w.Close()
		want(t, soon(t, sent), 200, "")
		if a := soon(t, got); a.err != nil || len(a.body) != 20<<20 {
			t.Errorf("%s: the other got %d bytes, %v", what, len(a.body), a.err)
		}
	}
	r.empty()
}

// narrow connects a client whose system takes a few thousand bytes, and no more
// until they are read.
func (r *relay) narrow() net.Conn {
	r.t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if ctlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}); ctlErr != nil {
			return ctlErr
		}
		return err
	}}
	c, err := d.DialContext(r.t.Context(), "tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(longest)) //nolint:errcheck // a fresh connection
	return c
}

// kept is a message that is kept for the next consumer if this one does not take it.
var kept = strings.Repeat("0123456789abcde\n", 60<<10/16)

// handedOn kills a follower that has begun to receive, and wants its message to
// reach the next consumer before the producer hears of success.
func (r *relay) handedOn(what string, sent <-chan answer, c net.Conn) {
	r.t.Helper()
	select {
	case a := <-sent:
		r.t.Fatalf("%s: the producer heard %d while most of the message was on its way", what, a.code)
	default:
	}
	c.(*net.TCPConn).SetLinger(0) //nolint:errcheck // killed
	c.Close()
	want(r.t, r.get("/p/receipt?timeout=10s"), 200, kept)
	want(r.t, soon(r.t, sent), 200, "")
	r.empty()
}

func TestAQueueMessageIsNotReceivedBeforeItsFollowersSystemHasIt(t *testing.T) {
	r := start(t)
	for what, request := range followings {
		c := r.narrow()
		if _, err := io.WriteString(c, "GET /p/receipt"+request); err != nil {
			t.Fatal(err)
		}
		r.followers("receipt", 1)
		sent := later(func() answer { return r.post("/p/receipt", kept) })
		res, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, res.Body, 200); err != nil {
			t.Fatal(err)
		}
		r.handedOn(what, sent, c)
	}
	narrow := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return r.narrow(), nil }, ReadBufferSize: 16}
	ws, _, err := narrow.Dial("ws"+strings.TrimPrefix(r.url, "http")+"/p/receipt", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.followers("receipt", 1)
	sent := later(func() answer { return r.post("/p/receipt", kept) })
	_, m, err := ws.NextReader()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, m, 200); err != nil {
		t.Fatal(err)
	}
	r.handedOn("WebSocket", sent, ws.NetConn())
}

// The system of a client that has ended takes bytes, for nobody: as many as come at
// once, before its answer to them comes back.
func TestAQueueMessageForAFollowerThatIsGoneGoesToTheNext(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 0 }) // so that nobody has noticed
	for what, request := range followings {
		w := r.dial("GET /p/receipt" + request)
		r.followers("receipt", 1)
		w.say(hidden)
		if res, _ := w.answer(); what == "SSE" { // begins with a sign of life, and unread bytes would make a reset
			if _, err := io.CopyN(io.Discard, res.Body, int64(len(":\n\n"))); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		sent := later(func() answer { return r.post("/p/receipt", "short") })
		until(t, what+" is noticed", func() bool { return r.broker.Stats().Subscribers == 0 })
		want(t, r.get("/p/receipt?timeout=10s"), 200, "short")
		want(t, soon(t, sent), 200, "")
		r.empty()
	}
}

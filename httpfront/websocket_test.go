package httpfront_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"patchwork/broker"
	"patchwork/httpfront"
)

func (r *relay) socket(path string) *websocket.Conn {
	r.t.Helper()
	d := websocket.Dialer{EnableCompression: true, WriteBufferSize: 1 << 10}
	c, res, err := d.Dial(strings.Replace(r.url, "http", "ws", 1)+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	if ext := res.Header.Get("Sec-Websocket-Extensions"); ext != "" {
		r.t.Errorf("extensions %q", ext)
	}
	c.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // a fresh connection
	r.t.Cleanup(func() { c.Close() })
	return c
}

func hears(t *testing.T, c *websocket.Conn, kind int, text string) {
	t.Helper()
	k, got, err := c.ReadMessage()
	if err != nil || k != kind || string(got) != text {
		t.Fatalf("heard %d %.80q (%v), want %d %.80q", k, got, err, kind, text)
	}
}

func TestTwoSocketsTalk(t *testing.T) {
	r := start(t)
	for _, path := range []string{"/pipe/talk", "/p/talk", "/topic/talk"} {
		a, b := r.socket(path), r.socket(path)
		r.followers("talk", 2)
		a.WriteMessage(websocket.TextMessage, []byte("hi b")) //nolint:errcheck // the other tells
		hears(t, b, websocket.TextMessage, "hi b")
		b.WriteMessage(websocket.BinaryMessage, []byte{0xff, 0}) //nolint:errcheck // as above
		hears(t, a, websocket.BinaryMessage, "\xff\x00")         // and not its own "hi b"
		b.WriteMessage(websocket.TextMessage, nil)               //nolint:errcheck // as above
		hears(t, a, websocket.TextMessage, "")
		want(t, r.post("/pubsub/talk", "from outside"), 200, "")
		hears(t, a, websocket.TextMessage, "from outside")
		hears(t, b, websocket.TextMessage, "from outside")
		a.Close()
		b.NetConn().Close() // without a word
		r.followers("talk", 0)
	}
	r.empty()
}

func TestASocketHearsItselfWithReplay(t *testing.T) {
	r := start(t)
	c := r.socket("/pipe/echo?replay=true")
	c.WriteMessage(websocket.TextMessage, []byte("echo")) //nolint:errcheck // the echo tells
	hears(t, c, websocket.TextMessage, "echo")
}

func TestAHugeSocketMessageArrivesInParts(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 15 * time.Second }) // a pong stands in line behind the parts
	a, b := r.socket("/pipe/huge"), r.socket("/pipe/huge")
	r.followers("huge", 2)
	whole := noise()[:3<<20]
	go a.WriteMessage(websocket.BinaryMessage, whole) //nolint:errcheck // the other tells
	var got []byte
	for len(got) < len(whole) {
		_, part, err := b.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, whole) {
		t.Error("the parts are not the whole")
	}
}

func TestAQueueMessageOfASocketWaitsForItsConsumer(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 40 * time.Millisecond })
	c := r.socket("/p/queue/ws")
	go func() { // answers pings
		for {
			if _, _, err := c.ReadMessage(); err != nil {
				return
			}
		}
	}()
	r.followers("queue/ws", 1)
	long := strings.Repeat("0123456789", 5000)
	got := later(func() answer { return r.get("/p/queue/ws2") })
	r.consumers("queue/ws2", 1)
	d := r.socket("/p/queue/ws2")
	d.WriteMessage(websocket.TextMessage, []byte(long)) //nolint:errcheck // the consumer tells
	want(t, soon(t, got), 200, long)
}

func TestAQueueMessageOfADeadSocketIsWithdrawn(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 100 * time.Millisecond })
	for i := range 2 {
		c := r.socket("/p/queue/dead")
		r.followers("queue/dead", 1)
		r.broker.Peek(name(t, "public/queue/dead"))
		c.WriteMessage(websocket.TextMessage, bytes.Repeat([]byte("x"), 1+i*20_000)) //nolint:errcheck // it dies
		c.NetConn().Close()
		r.followers("queue/dead", 0)
		r.empty()
	}
}

func TestABadHandshakeIsOneLine(t *testing.T) {
	r := start(t)
	a := r.get("/p/x", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "8")
	wantLine(t, a, 400, "WebSocket")
	wantLine(t, r.get("/pipe/x"), http.StatusUpgradeRequired, "WebSocket")
	r.empty()
}

func TestAShutdownTellsSockets(t *testing.T) {
	r := start(t)
	c := r.socket("/pipe/down")
	r.followers("down", 1)
	down := make(chan struct{})
	go func() { r.stop(patience); close(down) }()
	_, _, err := c.ReadMessage()
	if !websocket.IsCloseError(err, websocket.CloseServiceRestart) {
		t.Errorf("%v", err)
	}
	c.Close()
	soon(t, down)
}

func TestASocketThatDoesNotReadIsCutOffThoughItSends(t *testing.T) {
	r := startWith(t, broker.Options{Stall: 200 * time.Millisecond})
	c := r.socket("/pipe/mute")
	r.followers("mute", 1)
	talks := make(chan struct{})
	go func() {
		defer close(talks)
		for c.WriteMessage(websocket.TextMessage, []byte("still here")) == nil {
		}
	}()
	p := r.dial("POST /topic/mute HTTP/1.1\r\nHost: x\r\nContent-Length: 20971520\r\n\r\n")
	go p.ReadFrom(body(20<<20, false)) //nolint:errcheck // it ends with the connection
	soon(t, talks)
	p.Close()
	r.empty()
}

func TestTooManyRequestsIsSaidInTheseWords(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.RateLimit = 0.001 })
	for range 20 {
		r.do("HEAD", "/p/x", nil)
	}
	a := r.get("/p/x")
	want(t, a, 429, "Too Many Requests")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

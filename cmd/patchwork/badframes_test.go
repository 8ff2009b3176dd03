package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// frame is a WebSocket frame of a client (RFC 6455, section 5.2), masked with
// zeros, that claims to be as long as it says.
func frame(head byte, length uint64, payload string) string {
	b := []byte{head, 0x80 | 127}
	b = binary.BigEndian.AppendUint64(b, length)
	return string(append(b, 0, 0, 0, 0)) + payload
}

// TestBadFramesCostNobodyElseAnything sends what no honest WebSocket client
// sends. The sender is cut off; the one who listens on the same channel hears
// nothing of it that is not a whole message, and everything honest that follows.
func TestBadFramesCostNobodyElseAnything(t *testing.T) {
	needTools(t)
	program, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	r, err := startRelay(program, t.TempDir(), os.Environ())
	if r != nil {
		defer func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		t.Fatal(err)
	}
	const text, final = 0x1, 0x80
	cases := []struct {
		name, sent string
		closed     bool // by the relay; else the client goes away itself
	}{
		{"longer than anything", frame(final|text, 1<<63, "x"), true},
		{"compressed, which was not agreed on", frame(final|text|0x40, 3, "abc"), true},
		{"a reserved bit", frame(final|text|0x10, 3, "abc"), true},
		{"an opcode that is none", frame(final|0x3, 3, "abc"), true},
		{"a continuation of nothing", frame(final, 3, "abc"), true},
		{"a message within a message", frame(text, 3, "abc") + frame(final|text, 3, "def"), true},
		{"a ping that is too long", frame(final|0x9, 126, strings.Repeat("p", 126)), true},
		{"a ping in fragments", frame(0x9, 1, "p"), true},
		{"not masked", "\x81\x03abc", true},
		{"cut in its head", "\x81", false},
		{"cut in its payload", frame(final|text, 100, "only this"), false},
		{"huge, and cut", frame(final|0x2, 1<<40, strings.Repeat("h", 1000)), false},
		{"in fragments, and cut", frame(text, 3, "abc") + frame(0, 3, "def"), false},
	}
	for i, c := range cases {
		topic := fmt.Sprintf("frames-%d", i)
		honest, _, err := websocket.DefaultDialer.Dial("ws://"+r.http+"/pipe/"+topic, nil)
		if err != nil {
			t.Fatal(err)
		}
		honest.SetReadDeadline(time.Now().Add(patience)) //nolint:errcheck // the reads tell

		conn, err := net.Dial("tcp", r.http) //nolint:noctx // at once
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(patience)) //nolint:errcheck // the reads tell
		fmt.Fprintf(conn, "GET /pipe/%s HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", topic)
		answer := bufio.NewReader(conn)
		resp, err := http.ReadResponse(answer, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %v, %+v", c.name, err, resp)
		}
		if e := resp.Header.Get("Sec-Websocket-Extensions"); e != "" {
			t.Fatalf("the relay agreed on %s", e)
		}
		fmt.Fprint(conn, c.sent)
		if c.closed { // it must be the relay that ends it
			if _, err := answer.WriteTo(discard{}); err != nil && os.IsTimeout(err) {
				t.Errorf("%s: the relay keeps the connection", c.name)
			}
		}
		conn.Close()

		// The same connection as ever hears what is said now. A part of a message
		// that was long is no surprise; one of a short message would be.
		resp, err = http.Post("http://"+r.http+"/pubsub/"+topic, "text/plain", strings.NewReader("honest")) //nolint:noctx // short
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		for {
			_, data, err := honest.ReadMessage()
			if err != nil {
				t.Errorf("%s: the honest client: %v", c.name, err)
				break
			}
			if string(data) == "honest" {
				break
			}
			t.Errorf("%s: the honest client heard %.40q", c.name, data)
		}
		honest.Close()
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

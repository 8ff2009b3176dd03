package main

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"testing"
)

// proxied is a proxy before a relay that knows no upgrades. change sees each
// response.
func proxied(t *testing.T, r *relay, change func(*http.Response) error) string {
	t.Helper()
	to, err := url.Parse("http://" + r.http)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.FlushInterval = -1
	proxy.ModifyResponse = change
	proxy.ErrorLog = log.New(io.Discard, "", 0) // clients go away, which is no news
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Upgrade") != "" {
			http.Error(w, "no upgrades here", http.StatusBadRequest)
			return
		}
		proxy.ServeHTTP(w, q)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL
}

// between is such a proxy; with holds it holds every response back until it has
// all of it.
func between(t *testing.T, r *relay, holds bool) string {
	t.Helper()
	return proxied(t, r, func(res *http.Response) error {
		if !holds {
			return nil
		}
		whole, err := io.ReadAll(res.Body)
		res.Body.Close()
		res.Body = io.NopCloser(bytes.NewReader(whole))
		return err
	})
}

// blockedWebSocketsAreDoneWithout chats through a proxy without WebSockets.
func blockedWebSocketsAreDoneWithout(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, between(t, r, false)+"/terminal?topic=fall&autoConnect")
	other := b.open(t, "http://"+r.http+"/terminal?topic=fall&autoConnect")
	other.shows("state", "Connected.")
	p.shows("state", "Connected by server-sent events: something in between does not let WebSockets through.")
	p.notes("WebSocket connection to .* failed")
	other.says("to whoever has none")
	p.reads("to whoever has none")
	p.says("from one who has none")
	other.reads("from one who has none")
	p.says("and again")
	other.reads("and again")
	if n := js[int](p, "("+screen+").split('from one who has none').length - 1"); n != 1 {
		t.Errorf("the sender sees its own line %d times, want once", n)
	}
}

// heldBackStreamsArePolled chats through a proxy that passes nothing before it has
// all of it. No message is lost between polls, and none comes twice.
func heldBackStreamsArePolled(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	front := between(t, r, true)
	p := b.open(t, front+"/terminal?topic=held&autoConnect")
	look := b.open(t, front+"/inspect/p/held")
	look.click("#go")
	other := b.open(t, "http://"+r.http+"/terminal?topic=held&autoConnect")
	other.shows("state", "Connected.")
	p.shows("state", "Connected by polling: something in between holds streams back.")
	look.shows("state", "Connected by polling")
	p.notes("WebSocket connection to .* failed")
	p.says("from behind the proxy")
	other.reads("from behind the proxy")
	for _, line := range []string{"one", "two", "three", "four", "five", "six"} {
		other.says("line " + line)
		if line == "three" {
			p.reads("line three")
		}
	}
	p.reads("line six")
	look.shows("count", "7 messages")
	look.shows("messages", "line six")
	if got := js[string](p, "("+screen+").split('\\n').filter((l) => l.startsWith('line')).join()"); got != "line one,line two,line three,line four,line five,line six" {
		t.Errorf("what arrived is %q", got)
	}
}

// aRelayThatRestartsIsFoundAgain ends the relay under two pages and starts it anew.
func aRelayThatRestartsIsFoundAgain(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	term := b.open(t, "http://"+r.http+"/terminal?topic=again&autoConnect")
	look := b.open(t, "http://"+r.http+"/inspect/p/again")
	look.click("#go")
	term.shows("state", "Connected.")
	look.shows("state", "Watching.")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*tab{term, look} {
		p.may("net::ERR_|WebSocket connection to|status of 503")
		p.until("document.getElementById('state').dataset.state === 'waiting'")
	}
	_, port, err := net.SplitHostPort(r.http)
	if err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	again, err := startRelay(program, r.cmd.Dir, os.Environ(), "--port", port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := again.stop(); err != nil {
			t.Error(err)
		}
	})
	term.shows("state", "Connected.")
	look.shows("state", "Watching.")
	term.says("found again")
	look.shows("messages", "found again")
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
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
		return holdBack(res)
	})
}

// holdBack waits for all of a response.
func holdBack(res *http.Response) error {
	all, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(all))
	return err
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

// aFailedPollLosesNothing answers one poll with 502 while another holds a message
// that nobody else has.
func aFailedPollLosesNothing(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	ended := make(chan struct{})
	var fail atomic.Bool
	front := proxied(t, r, func(res *http.Response) error {
		poll := res.Request.URL.Query().Has("for")
		if poll && fail.CompareAndSwap(true, false) {
			res.Body.Close()
			res.StatusCode, res.Status = http.StatusBadGateway, "502 Bad Gateway"
			res.Body = io.NopCloser(strings.NewReader("a page of the proxy"))
			return nil
		}
		err := holdBack(res)
		if poll {
			select {
			case ended <- struct{}{}:
			default:
			}
		}
		return err
	})
	p := b.open(t, front+"/terminal?topic=failing&autoConnect")
	p.shows("state", "Connected by polling")
	p.notes("WebSocket connection to .* failed")
	// Polls overlap. When one has ended, the next is open alone until the one after it.
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("no poll ended")
	}
	broadcast(t, r, "failing", "in one poll only\n")
	fail.Store(true)
	p.notes("status of 502")
	p.reads("in one poll only")
	broadcast(t, r, "failing", "after it\n")
	p.reads("after it")
	if got := js[string](p, "("+screen+").split('\\n').filter((l) => / poll only|after/.test(l)).map((l) => l.trim()).join()"); got != "in one poll only,after it" {
		t.Errorf("what arrived is %q", got)
	}
}

// aMessageLongerThanPollsIsCutOff sends a message that is not over when the poll that
// began it is. The page says so, and does not take what comes later for another
// message.
func aMessageLongerThanPollsIsCutOff(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	look := b.open(t, between(t, r, true)+"/inspect/p/slow")
	look.click("#go")
	look.shows("state", "Connected by polling")
	body, writing := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		res, err := http.Post("http://"+r.http+"/p/slow?pubsub=true", "text/plain", body)
		if err == nil {
			res.Body.Close()
		}
		sent <- err
	}()
	defer func() {
		writing.Close()
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}()
	fmt.Fprintln(writing, "its beginning") //nolint:errcheck // the page shows it
	look.shows("messages", "its beginning")
	look.shows("messages", "cut off: the rest never came")
	fmt.Fprintln(writing, "its rest") //nolint:errcheck // nobody reads it
	writing.Close()
	broadcast(t, r, "slow", "the next one")
	look.shows("messages", "the next one")
	look.shows("count", "2 messages")
	if js[bool](look, "document.getElementById('messages').textContent.includes('its rest')") {
		t.Error("the rest is shown, without what was between")
	}
}

// aNetworkThatComesBackIsTrustedNoMore has a page hear that the network is back: its
// WebSocket may be dead without a sign, so it makes another.
func aNetworkThatComesBackIsTrustedNoMore(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/terminal?topic=awake&autoConnect")
	p.shows("state", "Connected.")
	js[bool](p, `globalThis.made = 0, window.WebSocket = class extends WebSocket {
		constructor(url) { super(url); globalThis.made++; }
	}, true`)
	js[bool](p, "window.dispatchEvent(new Event('online'))")
	p.until("made === 1")
	p.shows("state", "Connected.")
	broadcast(t, r, "awake", "only once\n")
	p.reads("only once")
	if n := js[int](p, "("+screen+").split('only once').length - 1"); n != 1 {
		t.Errorf("the line is there %d times: the old connection is still heard", n)
	}
	// A clock that leaps says that the machine slept.
	js[bool](p, "globalThis.now = Date.now, Date.now = () => now() + 600_000, document.dispatchEvent(new Event('visibilitychange'))")
	p.until("made === 2")
	p.shows("state", "Connected.")
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

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
	"sync"
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

// aFailedPollLosesNothing answers one poll with 502 while others hold a message.
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
	// Polls overlap.
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

// writes begins a message to all on a public channel, which goes on until it is closed.
func writes(t *testing.T, r *relay, channel string) io.WriteCloser {
	t.Helper()
	body, writing := io.Pipe()
	var sending sync.WaitGroup
	sending.Go(func() {
		res, err := http.Post("http://"+r.http+"/p/"+channel+"?pubsub=true", "text/plain", body)
		if err != nil {
			t.Error(err)
			return
		}
		res.Body.Close()
	})
	t.Cleanup(func() {
		writing.Close()
		sending.Wait()
	})
	return writing
}

// polls inspects a public channel through a proxy that holds answers back. What it
// returns besides the page hears of each poll that ends.
func polls(t *testing.T, b *chromium, r *relay, channel string) (*tab, <-chan struct{}) {
	t.Helper()
	ended := make(chan struct{}, 100)
	look := b.open(t, proxied(t, r, func(res *http.Response) error {
		err := holdBack(res)
		if res.Request.URL.Query().Has("for") {
			ended <- struct{}{}
		}
		return err
	})+"/inspect/p/"+channel)
	look.click("#go")
	look.shows("state", "Connected by polling")
	return look, ended
}

// forget drops what was heard so far.
func forget(ended <-chan struct{}) {
	for len(ended) > 0 {
		<-ended
	}
}

// aMessageLongerThanPollsIsReadOn sends a message that comes for longer than polls
// last. The poll that has its beginning stays for its end; others end meanwhile.
func aMessageLongerThanPollsIsReadOn(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	look, ended := polls(t, b, r, "slow")
	forget(ended)
	message := writes(t, r, "slow")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	lines := 0
	for others := 0; others < 3; lines++ {
		fmt.Fprintf(message, "line %d\n", lines) //nolint:errcheck // the page shows it
		select {
		case <-ended:
			others++
		case <-tick.C:
		}
	}
	fmt.Fprintln(message, "the end") //nolint:errcheck // the page shows it
	message.Close()
	look.shows("messages", "the end")
	look.shows("count", "1 message")
	text := js[string](look, "document.getElementById('messages').textContent")
	for i := range lines {
		if strings.Count(text, fmt.Sprintf("line %d\n", i)) != 1 {
			t.Errorf("line %d of %d is not there once:\n%s", i, lines, text)
		}
	}
	if strings.Contains(text, "cut off") {
		t.Errorf("a message that is whole is said to be cut off:\n%s", text)
	}
}

// aSlowMessageHoldsUpNoOther sends messages while another one comes and comes: a short
// one, which is shown meanwhile, and one that takes longer than a short poll, which is
// shown whole.
func aSlowMessageHoldsUpNoOther(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	look, ended := polls(t, b, r, "mixed")
	const shown = "document.getElementById('messages').textContent"
	forget(ended)
	select { // now as few are open as ever
	case <-ended:
	case <-time.After(patience):
		t.Fatal("no poll ended")
	}
	slow := writes(t, r, "mixed")
	fmt.Fprintln(slow, "slow") //nolint:errcheck // the page shows it
	broadcast(t, r, "mixed", "a short one")
	if !inTime(func() bool {
		fmt.Fprintln(slow, "slow") //nolint:errcheck // the page shows it
		return js[bool](look, shown+".includes('a short one')")
	}) {
		t.Fatalf("the short message waits for the slow one\n%s", look.state())
	}

	second := writes(t, r, "mixed")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	forget(ended)
	lines := 0
	for others := 0; others < 4; lines++ {
		fmt.Fprintf(second, "second %d\n", lines) //nolint:errcheck // the page shows it
		fmt.Fprintln(slow, "slow")                //nolint:errcheck // the page shows it
		select {
		case <-ended:
			others++
		case <-tick.C:
		}
	}
	fmt.Fprintln(second, "second ends") //nolint:errcheck // the page shows it
	second.Close()
	look.shows("messages", "second ends")
	slow.Close()
	entries := js[[]string](look, "[...document.querySelectorAll('#messages > li')].map((li) => li.textContent).filter((text) => text.includes('second'))")
	if len(entries) != 1 || strings.Contains(entries[0], "cut off") || strings.Count(entries[0], "second") != lines+1 {
		t.Errorf("a message of %d lines that was whole is shown as %d: %q", lines+1, len(entries), entries)
	}
}

// aMessageWithoutEndIsShownInPieces sends a message that pauses for longer than polls
// wait. The page says that it was cut off, and shows what comes later as what it is.
func aMessageWithoutEndIsShownInPieces(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	look := b.open(t, between(t, r, true)+"/inspect/p/endless")
	look.click("#go")
	look.shows("state", "Connected by polling")
	message := writes(t, r, "endless")
	fmt.Fprintln(message, "its beginning") //nolint:errcheck // the page shows it
	look.shows("messages", "its beginning")
	look.shows("messages", "cut off: the rest did not get here")
	const shown = "document.getElementById('messages').textContent"
	if !inTime(func() bool {
		fmt.Fprintln(message, "its rest") //nolint:errcheck // the page shows it
		return js[bool](look, shown+".includes('its rest')")
	}) {
		t.Fatalf("the rest is never shown\n%s", look.state())
	}
	look.shows("messages", "the beginning was not kept")
	message.Close()
	broadcast(t, r, "endless", "the next one")
	look.shows("messages", "the next one")
	if n := js[int](look, shown+".split('its beginning').length - 1"); n != 1 {
		t.Errorf("its beginning is shown %d times, want once", n)
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

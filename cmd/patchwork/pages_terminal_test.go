package main

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// screen is an expression for all that the terminal of a page shows.
const screen = "[...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.replaceAll('\\u00a0', ' ')).join('\\n')"

// says has the person at a terminal page type a line.
func (p *tab) says(line string) {
	p.t.Helper()
	p.until("!document.getElementById('say').disabled")
	p.fill("text", line+"\r")
}

// reads waits until the terminal of a page shows text.
func (p *tab) reads(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("(%s).includes(%s)", screen, quote(text)))
}

// twoTabsAndAnSSHClientChat has three people on one topic, who all hear each other
// and not themselves.
func twoTabsAndAnSSHClientChat(t *testing.T, b *chromium) {
	r, clients := pageRelay(t)
	alice := b.open(t, "http://"+r.http+"/terminal?topic=parlour&autoConnect=true&status=true")
	bob := b.open(t, "http://"+r.http+"/terminal")
	alice.reads(`"channel":"public/parlour"`) // its status message
	bob.fill("topic", "parlour")
	bob.click("#go")
	bob.shows("state", "Connected.")

	ssh := exec.Command(filepath.Join(clients.bin, "ssh"), "alice", "pipe", "-p", "parlour")
	stdin, err := ssh.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := ssh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := ssh.Start(); err != nil {
		t.Fatal(err)
	}
	defer ssh.Wait() //nolint:errcheck // it ends with stdin
	defer stdin.Close()
	if _, err := io.WriteString(stdin, "hello from ssh\n"); err != nil {
		t.Fatal(err)
	}
	alice.reads("hello from ssh")
	bob.reads("hello from ssh")

	alice.says("hello from alice")
	bob.reads("hello from alice")
	bob.says("hello from bob: äöü €")
	alice.reads("hello from bob: äöü €")
	heard := bufio.NewScanner(stdout)
	for _, want := range []string{"hello from alice", "hello from bob: äöü €"} {
		if !heard.Scan() || heard.Text() != want {
			t.Fatalf("ssh heard %q, want %q", heard.Text(), want)
		}
	}
	if n := js[int](alice, "("+screen+").split('hello from alice').length - 1"); n != 1 {
		t.Errorf("alice sees her own line %d times, want once, as she typed it", n)
	}
	alice.inBothSchemes("terminal-chat")
	for _, size := range [][2]int64{{1000, 1100}, {1280, 900}} {
		bob.do(chromedp.EmulateViewport(size[0], size[1]), chromedp.Navigate("about:blank"), chromedp.Navigate("http://"+r.http+"/terminal?topic=parlour&autoConnect=true"))
		bob.shows("state", "Connected.")
		bob.until("document.activeElement.id === 'text'")
		bob.picture(fmt.Sprintf("terminal-begins-%d", size[0]))
		if cut := js[float64](bob, "Math.max(scrollY, document.getElementById('line').getBoundingClientRect().bottom - innerHeight)"); cut > 0 {
			t.Errorf("at %v, %.0f px of what is needed to chat are out of sight", size, cut)
		}
	}
	if got := js[string](bob, "location.search"); got != "?topic=parlour&autoConnect=true" {
		t.Errorf("the address to come back to is %q", got)
	}
}

// broadcast posts a message to all who are on a public channel.
func broadcast(t *testing.T, r *relay, channel, body string) {
	t.Helper()
	res, err := http.Post("http://"+r.http+"/p/"+channel+"?pubsub=true", "text/plain", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || res.Header.Get("Patch-Delivered") == "0" {
		t.Fatalf("%s, delivered %s", res.Status, res.Header.Get("Patch-Delivered"))
	}
}

// theTerminalKeepsStill shows that what others send neither has the terminal
// answer them nor does anything but be shown.
func theTerminalKeepsStill(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	const topic = `<img src=x onerror=alert(1)>`
	p := b.open(t, "http://"+r.http+"/terminal?replay=1&keys=1&autoConnect&topic="+strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20").Replace(topic))
	p.shows("state", "Connected.")
	ear := b.open(t, "http://"+r.http+"/terminal?binary=true&autoConnect&topic="+strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20").Replace(topic))
	ear.shows("state", "Connected.")
	at := "%3Cimg%20src=x%20onerror=alert(1)%3E"

	// Questions to which a terminal has answers: identity, cursor, version, modes,
	// colours, selection, size, settings.
	broadcast(t, r, at, "\x1b[c\x1b[>c\x1b[=c\x1b[5n\x1b[6n\x1b[?6n\x1b[>q\x1b[?2026$p\x1b[4$p\x1b]10;?\x07\x1b]11;?\x07\x1b]4;1;?\x07\x1b]52;c;?\x07\x1b[18t\x1b[21t\x1bP$qm\x1b\\\x1b[?u")
	// What would have it tell of the mouse and of being left.
	broadcast(t, r, at, "\x1b[?1003h\x1b[?1006h\x1b[?1004h\x1b[?25;1000h")
	broadcast(t, r, at, "\x1b]0;owned\x07\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07 broken: \xff\xfe\xc3( <b>markup</b>\n")
	p.reads("link broken: \ufffd\ufffd\ufffd( <b>markup</b>")
	ear.reads("link broken: \ufffd\ufffd\ufffd( <b>markup</b>")

	p.do(chromedp.Click(chromedp.CSS(".xterm-screen")), chromedp.KeyEvent("keys\r"))
	ear.reads("keys")
	ear.reads("link")
	all := js[string](ear, screen)
	if got := strings.TrimSpace(all); got != "link broken: \ufffd\ufffd\ufffd( <b>markup</b>\nkeys" {
		t.Errorf("others see %q", got)
	}
	if title := js[string](p, "document.title"); !strings.HasPrefix(title, "Terminal") {
		t.Errorf("the title is %q", title)
	}
	if js[bool](p, "!!document.querySelector('main img, main b')") {
		t.Error("text of others has become an element")
	}
}

// fewBytesDoNotFreezeTheTerminal sends little that would keep a terminal busy for long.
func fewBytesDoNotFreezeTheTerminal(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/terminal?topic=frozen&autoConnect")
	p.shows("state", "Connected.")
	for _, final := range "STLMIZb@PX" {
		broadcast(t, r, "frozen", "a\x1b[2147483647"+string(final))
		broadcast(t, r, "frozen", strings.Repeat("a\x1b[20"+string(final), 20_000))
	}
	broadcast(t, r, "frozen", "a"+strings.Repeat("\u0301", 500_000))
	broadcast(t, r, "frozen", strings.Repeat("\u0301", 50_000))
	broadcast(t, r, "frozen", strings.Repeat("a\u0301\u0302\x00", 100_000)+"e\u0301\n")
	broadcast(t, r, "frozen", "\x1b[2J\x1b[Hthe very last\n")
	p.reads("the very last")
	p.says("still here")
	p.reads("still here")
}

// aFloodLeavesTheTerminalUsable sends 1,000 messages a second, and one of 10 MB.
func aFloodLeavesTheTerminalUsable(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/terminal?topic=flood&autoConnect")
	p.shows("state", "Connected.")
	p.floods(r, "flood")
	p.reads("the very last")
	p.says("still here")
	p.reads("still here")
}

// floods sends 5,000 messages within five seconds and then 10 MB at once, and
// holds the page to answering in the meantime. What it may take of memory is
// bounded.
func (p *tab) floods(r *relay, channel string) {
	p.t.Helper()
	js[bool](p, `globalThis.longest = 0, globalThis.last = performance.now(), (function look() {
		const now = performance.now(); longest = Math.max(longest, now - last); last = now; requestAnimationFrame(look);
	})(), true`)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	sent := make(chan error, 1)
	go func() {
		sent <- func() error {
			for i := range 500 {
				<-tick.C
				for j := range 10 {
					res, err := http.Post("http://"+r.http+"/p/"+channel+"?pubsub=true", "text/plain", strings.NewReader(fmt.Sprintf("message %d of a flood\n", 10*i+j)))
					if err != nil {
						return err
					}
					res.Body.Close()
				}
			}
			return nil
		}()
	}()
	if err := <-sent; err != nil {
		p.t.Fatal(err)
	}
	broadcast(p.t, r, channel, strings.Repeat("0123456789abcdef", 10<<20/16)+"\n")
	broadcast(p.t, r, channel, "the very last\n")
	p.until(`document.body.textContent.includes("the very last") || (` + screen + `).includes("the very last")`)
	if longest := js[float64](p, "longest"); longest > 1500 {
		p.t.Errorf("the page did not answer for %.0f ms", longest)
	}
	js[bool](p, "globalThis.gc?.(), true")
	if heap := js[float64](p, "performance.memory.usedJSHeapSize"); heap > 150<<20 {
		p.t.Errorf("the page holds %.0f MiB", heap/(1<<20))
	}
	p.t.Logf("longest frame %.0f ms, heap %.0f MiB", js[float64](p, "longest"), js[float64](p, "performance.memory.usedJSHeapSize")/(1<<20))
}

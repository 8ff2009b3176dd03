package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// chromium is a headless Chromium, Debian's, which all tests of pages share. Each
// tab of it has its own storage.
type chromium struct{ ctx context.Context }

// farName is this machine under a name that browsers do not know as theirs: what
// comes from there without TLS is no secure context (W3C, Secure Contexts), and has
// no clipboard and no WebCrypto.
const farName = "relay.test"

// startBrowser runs Chromium until the test ends.
func startBrowser(t *testing.T) *chromium {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; 'make test' installs what the tests need", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		// As root there is no sandbox. The rest keeps it from asking the world.
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP "+farName+" 127.0.0.1"),
	)
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, _ := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Errorf("chromium did not end: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("chromium does not start: %v", err)
	}
	return &chromium{ctx}
}

// A tab shows one page. Its methods fail the test when the page does not do what
// it should in time.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu      sync.Mutex       // guards what follows
	errors  []string         // that the browser has written to the console
	allowed []*regexp.Regexp // those of them that belong to what a test does
}

// step is something to do in a tab.
type step = chromedp.Action[chromedp.Void]

// open shows a page in a new tab. Its console has to be without errors when the
// test ends, but for those that belong to what it does.
func (b *chromium) open(t *testing.T, url string, before ...step) *tab {
	t.Helper()
	ctx, _ := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p := &tab{t: t, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	said := chromedp.Console(ctx)
	var hearing sync.WaitGroup
	hearing.Go(func() {
		for m, err := range said {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == chromedp.ConsoleError || m.Type == chromedp.ConsoleWarning {
				p.mu.Lock()
				p.errors = append(p.errors, m.String())
				p.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() {
		chromedp.Cancel(ctx) //nolint:errcheck // the browser's own end is looked at
		hearing.Wait()
		for _, e := range p.errors {
			if !slices.ContainsFunc(p.allowed, func(allowed *regexp.Regexp) bool { return allowed.MatchString(e) }) {
				t.Errorf("console of %s: %s", url, e)
			}
		}
	})
	p.do(append(before, chromedp.Navigate(url))...)
	return p
}

// notes waits until the browser has written an error that matches to the console.
// This and others like it belong to what the test does.
func (p *tab) notes(pattern string) {
	p.t.Helper()
	match := p.may(pattern)
	if !inTime(func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.errors, match.MatchString)
	}) {
		p.t.Fatalf("the console never had %q\n%s", pattern, p.state())
	}
}

// may allows errors in the console that match.
func (p *tab) may(pattern string) *regexp.Regexp {
	match := regexp.MustCompile(pattern)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, match)
	return match
}

func (p *tab) do(steps ...step) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		p.t.Fatalf("%v\n%s", err, p.state())
	}
}

// js returns what an expression is, awaiting it if it is a promise.
func js[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%.300s: %v\n%s", expression, err, p.state())
	}
	return v
}

// until waits until an expression is true.
func (p *tab) until(expression string) {
	p.t.Helper()
	if !inTime(func() bool { return js[bool](p, "!!("+expression+")") }) {
		p.t.Fatalf("never: %s\n%s", expression, p.state())
	}
}

// inTime waits for a fact in another process.
func inTime(fact func() bool) bool {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(patience); !fact(); <-again.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// shows waits until the element with this id says something.
func (p *tab) shows(id, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("document.getElementById(%s).textContent.includes(%s)", quote(id), quote(text)))
}

// fill types into a field, as a person would.
func (p *tab) fill(id, text string) {
	p.t.Helper()
	js[bool](p, "document.getElementById("+quote(id)+").value = '', true")
	p.do(chromedp.SendKeys(chromedp.CSS("#"+id), text))
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// state is what the page shows, for a failure.
func (p *tab) state() string {
	ctx, cancel := context.WithTimeout(p.ctx, time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		text = "the page does not answer: " + err.Error()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return text + "\nconsole: " + strings.Join(p.errors, "\n")
}

// picture keeps a picture of the page in $PATCHWORK_PICTURES, where that is set,
// to be looked at.
func (p *tab) picture(name string) {
	dir := os.Getenv("PATCHWORK_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		p.t.Error(err)
	}
}

// view is how wide a page is shown, and in which scheme.
func view(width int64, scheme string) step {
	return chromedp.Steps(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	}))
}

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always can be marshalled
	}
	return string(text)
}

// pageRelay runs a relay until the test ends, and an ssh that leads to it.
func pageRelay(t *testing.T, flags ...string) (*relay, *clientSSH) {
	t.Helper()
	needTools(t)
	ssh, err := newSSH(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := testRelay(t, flags...)
	if err := ssh.point(r.ssh[strings.LastIndexByte(r.ssh, ':')+1:]); err != nil {
		t.Fatal(err)
	}
	return r, ssh
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// theBoxDoesWhatItSays sends, receives, broadcasts and pipes on the first page.
func theBoxDoesWhatItSays(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/")
	other := b.open(t, "http://"+r.http+"/")
	for _, tab := range []*tab{p, other} {
		tab.fill("channel", "p/box")
	}
	p.shows("same", "curl -s http://"+r.http+"/p/box --data-raw hello")

	p.click("#receive")
	p.shows("log", "waiting for a message")
	other.fill("message", "<b>bold</b> & 'quoted'")
	other.shows("same", `--data-raw '<b>bold</b> & '\''quoted'\'''`)
	other.click("#send")
	p.shows("log", "<b>bold</b> & 'quoted'")
	other.shows("log", "received by the other side")

	other.click("input[value=broadcast]")
	other.click("#send")
	other.shows("log", "nobody was there")
	p.click("#follow")
	p.shows("log", "Connected.")
	other.fill("message", "to all")
	other.click("#send")
	p.shows("log", "to all")
	other.shows("log", "to 1 receiver")

	other.click("input[value=pipe]")
	other.fill("message", "through the pipe")
	other.click("#send")
	other.until("[...document.querySelectorAll('#log .entry b')].at(-1).textContent === 'sent'")
	p.shows("log", "through the pipe")
	p.inBothSchemes("home-box")
	p.do(view(500, "light"))
	if hole := js[float64](p, "document.getElementById('channel').parentElement.getBoundingClientRect().top - document.getElementById('box').getBoundingClientRect().top"); hole > 40 {
		t.Errorf("at 500 px there is a hole of %.0f px above the first field", hole)
	}

	p.click("#receive")
	p.shows("log", "waiting for a message")
	p.click("#stop")
	p.shows("log", "stopped")
	p.fill("channel", "p/../secret")
	p.shows("channel-url", "cannot be part of a channel")
	if js[bool](p, "!!document.querySelector('#log pre b')") {
		t.Error("a message has become markup")
	}
}

// attack is a page of somebody who tries to be the site. It tells what came of it.
const attack = `<!doctype html><title>wait</title><body><script>
const report = {};
const attempt = async (name, f) => { try { report[name] = "worked: " + await f() } catch (e) { report[name] = "failed" } };
(async () => {
	await attempt("storage", () => { localStorage.setItem("x", "1"); return "kept" });
	await attempt("cookie", () => { document.cookie = "x=1"; return document.cookie });
	await attempt("worker", () => navigator.serviceWorker.register("/p/evil.js"));
	await attempt("opener", () => opener.document.title);
	await attempt("site", async () => (await (await fetch("/terminal")).text()).length);
	await attempt("window", async () => {
		const w = open("/terminal?topic=x");
		await new Promise((done) => setTimeout(done, 300));
		return w.document.title;
	});
	await attempt("frame", async () => {
		const f = document.createElement("iframe");
		f.src = "/inspect";
		document.body.append(f);
		await new Promise((done) => f.onload = done);
		return f.contentDocument.title;
	});
	report.origin = self.origin;
	globalThis.report = report;
	document.title = "done";
})();
</script>`

// aPublishedPageCannotBeTheSite opens a hostile page from a channel, and shows that
// even an element which somebody smuggled into the site's own pages would do nothing.
func aPublishedPageCannotBeTheSite(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	publish := func(channel, kind, body string) {
		go func() { // until somebody opens it
			res, err := http.Post("http://"+r.http+"/p/"+channel, kind, strings.NewReader(body))
			if err == nil {
				res.Body.Close()
			}
		}()
	}
	publish("evil.html", "text/html", attack)
	p := b.open(t, "http://"+r.http+"/p/evil.html")
	p.until("document.title === 'done'")
	p.may("") // what the browser forbade a page that is no page of ours
	report := js[map[string]string](p, "report")
	if report["origin"] != "null" {
		t.Errorf("the origin of a published page is %q", report["origin"])
	}
	for name, result := range report {
		if name != "origin" && result != "failed" {
			t.Errorf("%s: %s", name, result)
		}
	}

	for path, ready := range everyPage {
		publish("evil.js", "text/javascript", "globalThis.owned = true")
		publish("evil.css", "text/css", "body { display: none }")
		site := b.open(t, "http://"+r.http+path)
		site.until(ready)
		js[bool](site, `new Promise((done) => {
			const add = (tag, what) => new Promise((over) => {
				const e = Object.assign(document.createElement(tag), what);
				e.onload = e.onerror = over;
				document.head.append(e);
			});
			const frame = document.createElement("div");
			try { frame.innerHTML = "<img src=x onerror='owned = true'>" } catch { globalThis.refused = true }
			const inline = document.createElement("script");
			inline.append("globalThis.owned = true");
			document.head.append(inline);
			Promise.all([add("link", {rel: "stylesheet", href: "/p/evil.css"}),
				Promise.resolve().then(() => add("script", {src: "/p/evil.js"})).catch(() => {})]).then(() => done(true));
		})`)
		if js[bool](site, "globalThis.owned === true || !globalThis.refused || getComputedStyle(document.body).display === 'none'") {
			t.Errorf("%s runs what was published on a channel, or takes text for markup", path)
		}
		site.notes("Loading the stylesheet .*/p/evil.css' violates")
		site.notes("requires 'Trusted")
		site.may("violates the following Content Security Policy")
	}
}

// pagesExplainThemselvesWithoutScripts looks at every page with JavaScript off.
func pagesExplainThemselvesWithoutScripts(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	_, port, _ := strings.Cut(r.ssh, ":")
	off := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	})
	for path, wants := range map[string][]string{
		"/":          {"curl -s http://" + r.http + "/p/jobs", "ssh -p " + port, "SHA256:", "needs JavaScript"},
		"/terminal":  {"needs JavaScript", "pipe -p TOPIC"},
		"/inspect":   {"needs JavaScript", "Accept: application/x-ndjson"},
		"/drop":      {"needs JavaScript", "curl http://" + r.http + "/p/NAME -T FILE"},
		"/docs/http": {"curl -s " + r.http + "/p/queue/files", "Request and response"},
	} {
		p := b.open(t, "http://"+r.http+path, off)
		p.picture("no-script" + strings.ReplaceAll(path, "/", "-"))
		text := js[string](p, "document.body.innerText")
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s without scripts does not say %q:\n%s", path, want, text)
			}
		}
		if dead := js[int](p, "[...document.querySelectorAll('form, button')].filter((e) => e.checkVisibility()).length"); dead > 0 {
			t.Errorf("%s without scripts shows %d forms and buttons that do nothing", path, dead)
		}
	}
}

// everythingIsReachedByKeyboard goes through the pages with the tab key: what can be
// used is reached, and it is seen where one is.
func everythingIsReachedByKeyboard(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	for _, path := range []string{"/", "/terminal", "/inspect", "/drop"} {
		p := b.open(t, "http://"+r.http+path)
		p.until(everyPage[path])
		js[bool](p, `globalThis.reached = new Set(), globalThis.unseen = [], document.addEventListener("focusin", ({target}) => {
			reached.add(target);
			const seen = (e) => e && getComputedStyle(e).outlineStyle !== "none";
			if (!seen(target) && !(target.type === "file" && seen(target.parentElement))) unseen.push(target.outerHTML.slice(0, 200));
		}), true`)
		const usable = `[...document.querySelectorAll("a[href], button, input, textarea, summary")].filter((e) => e.checkVisibility() && !e.disabled && (e.type !== "radio" || e.checked))`
		for range js[int](p, usable+".length") + 30 {
			p.do(chromedp.KeyEvent("\t"))
		}
		for _, missing := range js[[]string](p, usable+".filter((e) => !reached.has(e)).map((e) => e.outerHTML.slice(0, 200))") {
			t.Errorf("%s: the tab key does not reach %s", path, missing)
		}
		for _, unseen := range js[[]string](p, "unseen") {
			t.Errorf("%s: it is not seen that the focus is on %s", path, unseen)
		}
	}
}

// nothingIsAskedOfOthers looks at what a page has loaded and kept.
func (p *tab) nothingIsAskedOfOthers(where string) {
	p.t.Helper()
	for _, url := range js[[]string](p, `performance.getEntriesByType("resource").map((e) => e.name).filter((u) => !u.startsWith(location.origin + "/"))`) {
		p.t.Errorf("%s loads %s", where, url)
	}
	if kept := js[string](p, "JSON.stringify([Object.keys(localStorage), Object.keys(sessionStorage), document.cookie])"); kept != `[[],[],""]` {
		p.t.Errorf("%s keeps %s", where, fmt.Sprint(kept))
	}
}

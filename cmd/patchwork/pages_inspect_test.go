package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// send posts a message, with headers as pairs, and fails unless it was received.
func (r *relay) send(t *testing.T, method, path, body string, headers ...string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.http+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
}

// newHook makes a reverse hook.
func (r *relay) newHook(t *testing.T) (channel, secret string) {
	t.Helper()
	res, err := http.Get("http://" + r.http + "/r")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var h struct{ Channel, Secret string }
	if err := json.NewDecoder(res.Body).Decode(&h); err != nil {
		t.Fatal(err)
	}
	return h.Channel, h.Secret
}

// aHookIsInspected types the secret of a webhook in and looks at what arrives.
func aHookIsInspected(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	channel, secret := r.newHook(t)
	p := b.open(t, "http://"+r.http+"/inspect/r/"+channel)
	if got := js[string](p, "document.getElementById('channel').value"); got != "r/"+channel {
		t.Fatalf("the channel in the address is not in the field: %q", got)
	}
	p.fill("secret", "wrong\r")
	p.shows("state", "This needs the channel’s secret. Type it into its field.")
	p.notes("status of 401")
	p.fill("secret", secret+"\r")
	p.shows("state", "Watching.")

	r.send(t, "POST", "/r/"+channel+"?delivery=1", `{"ref":"refs/heads/main","size":12345678901234567890,"nested":{"a":[1,2]}}`,
		"Content-Type", "application/json", "X-GitHub-Event", "push", "X-Html", `<img src=x onerror=alert(1)>`)
	p.shows("messages", "POST /r/"+channel+"?delivery=1")
	p.shows("messages", "X-Github-Event")
	p.shows("messages", "<img src=x onerror=alert(1)>")
	// A number that JavaScript would round is shown as it came.
	p.shows("messages", `"size":12345678901234567890`)
	r.send(t, "PUT", "/r/"+channel, `{"ref":"main","list":[1,2]}`, "Content-Type", "application/json")
	p.shows("messages", "{\n  \"ref\": \"main\",\n  \"list\": [\n    1,\n    2\n  ]\n}")
	r.send(t, "POST", "/r/"+channel, "\x00\x01\xffbinary", "Content-Type", "application/octet-stream")
	p.shows("messages", "000000  00 01 ff 62 69 6e 61 72 79                       ...binary")
	r.send(t, "POST", "/r/"+channel, "broken \xc3( utf-8", "Content-Type", "text/plain")
	p.shows("messages", "62 72 6f 6b 65 6e 20 c3 28")
	if js[bool](p, "!!document.querySelector('main img')") {
		t.Error("a header's value has become an element")
	}
	p.inBothSchemes("inspect-hook")

	// Newest first; the command that sends it again is what was sent.
	js[bool](p, `globalThis.copied = "", navigator.clipboard.writeText = (text) => (copied = text, Promise.resolve()), true`)
	p.do(chromedp.Click(chromedp.CSS("#messages li:nth-child(3) .copy")))
	p.until("copied !== ''")
	want := fmt.Sprintf(`curl -g -X PUT http://%s/r/%s -H 'Content-Type: application/json' --data-raw '{"ref":"main","list":[1,2]}'`, r.http, channel)
	if got := js[string](p, "copied"); got != want {
		t.Errorf("copied\n%s\nwant\n%s", got, want)
	}

	p.forgets(r, secret)
}

// forgets holds a page, and the relay, to keeping a secret nowhere but in its field,
// which is empty when the page is loaded anew.
func (p *tab) forgets(r *relay, secret string) {
	p.t.Helper()
	history, err := chromedp.Run(p.ctx, chromedp.NavigationEntries())
	if err != nil {
		p.t.Fatal(err)
	}
	entries, err := json.Marshal(history.Entries)
	if err != nil {
		p.t.Fatal(err)
	}
	seen := map[string]string{"history": string(entries), "relay's log": r.logged()}
	for where, text := range map[string]string{
		"address": "location.href", "markup": "document.documentElement.outerHTML", "history's state": "JSON.stringify(history.state)",
		"storage":           "JSON.stringify([localStorage, sessionStorage, document.cookie])",
		"names of requests": "JSON.stringify(performance.getEntries().map((e) => e.name))",
	} {
		seen[where] = js[string](p, text)
	}
	for where, text := range seen {
		if strings.Contains(text, secret) {
			p.t.Errorf("the secret is in the %s: %s", where, text)
		}
	}
	if kept := js[int](p, "Promise.all([indexedDB.databases(), caches.keys(), navigator.serviceWorker.getRegistrations()]).then((all) => all.flat().length)"); kept != 0 {
		p.t.Errorf("the page keeps %d databases, caches and workers", kept)
	}
	p.do(chromedp.Reload())
	p.until(everyPage["/inspect"])
	if got := js[string](p, "document.getElementById('secret').value"); got != "" {
		p.t.Errorf("after a reload the field has %q", got)
	}
}

// aUsersChannelIsInspected watches a channel that takes a token, which stays in the
// page's memory.
func aUsersChannelIsInspected(t *testing.T, b *chromium) {
	const rules = `tokens:
  token-to-send: {POST: ["/builds/*"]}
  token-to-read: {GET: ["/builds/*"]}
`
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "alice"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "alice", "config.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	r, _ := pageRelay(t, "--acl-dir", dir)
	p := b.open(t, "http://"+r.http+"/inspect")
	p.fill("channel", "u/alice/builds/web")
	for token, refusal := range map[string]string{"": "token", "nobodys": "token not found", "token-to-send": "no right to do that"} {
		p.fill("secret", token)
		p.click("#go")
		p.until("document.getElementById('state').dataset.state === 'refused'")
		p.shows("state", refusal)
		p.until("document.activeElement.id === 'secret'")
	}
	p.notes("status of 40[13]")
	p.fill("secret", "token-to-read\r")
	p.shows("state", "Watching.")
	if at := js[string](p, "location.href"); at != "http://"+r.http+"/inspect/u/alice/builds/web" {
		t.Errorf("the address is %s", at)
	}
	r.send(t, "POST", "/u/alice/builds/web", `{"build":7}`, "Authorization", "Bearer token-to-send", "Content-Type", "application/json")
	p.shows("messages", `"build": 7`)
	p.shows("messages", "POST /u/alice/builds/web")
	for _, token := range []string{"token-to-send", "token-to-read"} {
		if strings.Contains(js[string](p, "document.getElementById('messages').textContent"), token) {
			t.Errorf("%s is shown", token)
		}
	}
	p.forgets(r, "token-to-read")
}

// marksThatPileUpAreThinned sends letters with thousands of marks on them to the pages
// that show text. They are drawn over what stands above, and cost more than they look.
func marksThatPileUpAreThinned(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	const most = `Math.max(...[...document.body.textContent.matchAll(/\p{M}+/gu)].map((m) => m[0].length))`
	pile := strings.Repeat("\u0301\u0348", 5_000)
	look := b.open(t, "http://"+r.http+"/inspect/p/zalgo")
	look.click("#go")
	look.shows("state", "Watching.")
	home := b.open(t, "http://"+r.http+"/")
	home.fill("channel", "p/zalgo")
	home.click("#follow")
	home.shows("log", "Connected.")
	r.send(t, "POST", "/p/zalgo?pubsub", "Z"+pile+"algo",
		"Patch-H-Pile", "x"+pile[:4_000]+"after", "Content-Type", "text/plain; charset=utf-8")
	r.send(t, "POST", "/p/zalgo?pubsub", `{"piled":"`+strings.Repeat("a\u0301\u0302\u0303\u0304\u0305\u0306\u0307\u0308\u0309", 2_000)+`"}`, "Content-Type", "application/json")
	r.send(t, "POST", "/p/zalgo?pubsub", "ต้นฉบับที่ดี é", "Content-Type", "text/plain; charset=utf-8")
	for p, id := range map[*tab]string{look: "messages", home: "log"} {
		p.shows(id, "ต้นฉบับที่ดี é")
		if n := js[int](p, most); n != 8 {
			t.Errorf("%s shows %d marks on one letter", id, n)
		}
	}
	look.shows("messages", "algo")
	look.shows("messages", "after")
	look.shows("messages", "Marks that pile up on one letter are not all shown")
	look.picture("inspect-zalgo")
	home.picture("home-zalgo")
}

// aWebhookIsMadeAndWatched makes one in the page and uses the command it shows.
func aWebhookIsMadeAndWatched(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/inspect")
	p.click("#make")
	p.shows("state", "Watching.")
	command := js[string](p, "document.getElementById('hook-send').textContent")
	url := strings.Fields(command)[2]
	r.send(t, "POST", strings.TrimPrefix(url, "http://"+r.http), `{"hello":"world"}`)
	p.shows("messages", `"hello": "world"`)
	if gap := js[float64](p, "document.getElementById('hook').getBoundingClientRect().top - document.getElementById('watch').getBoundingClientRect().bottom"); gap < 10 {
		t.Errorf("the cards are %v px apart", gap)
	}
	p.click("#make") // another one, whose messages those of the first are not
	p.until("document.getElementById('messages').childElementCount === 0")
	p.shows("state", "Watching.")
	url = strings.Fields(js[string](p, "document.getElementById('hook-send').textContent"))[2]
	r.send(t, "POST", strings.TrimPrefix(url, "http://"+r.http), `{"hello":"again"}`)
	p.shows("messages", `"hello": "again"`)
	p.click("#go")
	p.shows("state", "Not watching any more.")
	p.click("#clear")
	p.until("document.getElementById('messages').childElementCount === 0")

	// To look at a request/response channel would take requests from it.
	p.fill("channel", "p/res/api\r")
	p.shows("state", "A request/response channel cannot be watched")
	if n, err := peek("http://"+r.http+"/p/res/api", "Consumers"); err != nil || n != 0 {
		t.Errorf("%d wait there for requests, %v", n, err)
	}
	p = b.open(t, "http://"+r.http+"/inspect/p/%3Cimg%20src=x%20onerror=alert(1)%3E")
	p.click("#go")
	p.shows("state", "Watching.")
	broadcast(t, r, "%3Cimg%20src=x%20onerror=alert(1)%3E", "named like markup")
	p.shows("messages", "named like markup")
	if js[bool](p, "!!document.querySelector('main img')") {
		t.Error("a channel's name has become an element")
	}
}

// aFloodLeavesInspectUsable is the terminal's flood, for the page that keeps what
// it shows.
func aFloodLeavesInspectUsable(t *testing.T, b *chromium) {
	r, _ := pageRelay(t)
	p := b.open(t, "http://"+r.http+"/inspect/p/flood")
	p.click("#go")
	p.shows("state", "Watching.")
	p.floods(r, "flood")
	p.shows("count", "5002 messages; the last ")
	if n := js[int](p, "document.getElementById('messages').childElementCount"); n > 100 {
		t.Errorf("%d messages are on the page", n)
	}
	p.shows("messages", "This is the beginning, of 10.0 MiB; the first 1.0 MiB are kept here.")
	p.shows("messages", "Save the first 1.0 MiB")
}

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
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
	p.shows("state", "this needs the channel's secret")
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

	for where, text := range map[string]string{
		"address": "location.href", "storage": "JSON.stringify([localStorage, sessionStorage, document.cookie])", "markup": "document.documentElement.outerHTML",
	} {
		if strings.Contains(js[string](p, text), secret) {
			t.Errorf("the secret is in the %s", where)
		}
	}
	if strings.Contains(r.logged(), secret) {
		t.Error("the secret is in the relay's log")
	}
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

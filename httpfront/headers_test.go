package httpfront_test

import (
	"io"
	"slices"
	"strings"
	"testing"
)

func TestWhatAMessageCarries(t *testing.T) {
	r := start(t)
	send := []string{
		"Content-Type", "text/html", "User-Agent", "agent/1", "Accept", "a/b", "Accept-Language", "de", "Referer", "https://r.example/", "Origin", "https://o.example",
		"Patch-H-Color", "red", "Patch-H-Color", "green", "Patch-H-color", "blue", "X-Other", "stays",
		"Authorization", "Bearer " + secretToken, "Cookie", "c=" + secretToken, "X-Patch-Secret", secretSecret,
	}
	never := []string{
		"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Proxy-Authenticate", "Proxy-Connection",
		"Authorization", "Cookie", "X-Patch-Secret", "Content-Encoding", "Set-Cookie", "Clear-Site-Data",
		"Strict-Transport-Security", "Service-Worker-Allowed", "Content-Security-Policy-Report-Only", "Access-Control-Allow-Credentials",
		"Access-Control-Allow-Methods", "Location", "Refresh", "Patch-Reply", "X-Accel-Redirect", "Host",
	}
	replaced := []string{"Content-Length", "Date", "Content-Security-Policy", "Access-Control-Allow-Origin", "X-Content-Type-Options", "Cache-Control", "Patch-Uri", "Patch-Method"}
	for _, n := range append(slices.Clone(never), replaced...) {
		send = append(send, "Patch-H-"+n, "evil")
	}
	for _, path := range []string{"/p/heads", "/p/heads?pubsub=1"} {
		got := later(func() answer { return r.get("/p/heads") })
		r.consumers("heads", 1)
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		a := r.post(path+sep+"token="+secretToken+"&x=1&s%65cret="+secretSecret+"&y", "<p>hi", send...)
		want(t, a, 200, "")
		a = soon(t, got)
		want(t, a, 200, "<p>hi")
		for h, v := range map[string]string{
			"Content-Type": "text/html", "User-Agent": "agent/1", "Accept": "a/b", "Accept-Language": "de", "Referer": "https://r.example/",
			"Origin": "https://o.example", "X-Other": "", "Patch-Uri": path + sep + "x=1&y", "Patch-Method": "POST",
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Accel-Buffering": "no", "Access-Control-Allow-Origin": "*",
			"Content-Security-Policy": "sandbox allow-scripts allow-forms allow-popups allow-downloads", "Content-Length": "5",
		} {
			if values := a.header.Values(h); strings.Join(values, "|") != v {
				t.Errorf("%s: %q, want %q", h, values, v)
			}
		}
		if v := a.header.Values("Color"); !slices.Equal(v, []string{"red", "green", "blue"}) {
			t.Errorf("Color: %q", v)
		}
		for h, values := range a.header {
			if slices.Contains(values, "evil") {
				t.Errorf("%s passed", h)
			}
			for _, v := range values {
				if strings.Contains(v, secretToken) || strings.Contains(v, secretSecret) {
					t.Errorf("%s gives a secret away: %q", h, v)
				}
			}
		}
	}
	r.empty()
}

func TestAMessageWithoutATypeIsPlainText(t *testing.T) {
	r := start(t)
	got := later(func() answer { return r.get("/p/type") })
	r.consumers("type", 1)
	want(t, r.post("/p/type", "x"), 200, "")
	if a := soon(t, got); a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%q", a.header.Get("Content-Type"))
	}
}

func TestANameThatIsNoneIsDroppedAndCounted(t *testing.T) {
	r := start(t)
	got := later(func() answer { return r.get("/p/odd") })
	r.consumers("odd", 1)
	w := r.dial("POST /p/odd HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nPatch-H-: nameless\r\nPatch-H-Fine: yes\r\n\r\nhi")
	if res, _ := w.answer(); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	if a := soon(t, got); a.header.Get("Fine") != "yes" {
		t.Errorf("%v", a.header)
	}
	if a := r.get("/metrics"); !strings.Contains(a.body, "patchwork_http_invalid_headers_total 1") {
		t.Errorf("not counted: %.300s", a.body)
	}
}

// net/http reads requests before anybody else sees them, and refuses these as a whole:
// there is no message then, whose other headers could be kept. It has no hook for it,
// and without reading requests as it does nobody could take the lines out before it.
// RFC 9112, sections 5 and 5.1, has servers refuse most of them; RFC 9110, section 5.5, lets
// them refuse the rest.
func TestARequestWithALineThatIsNoHeaderIsA400AndNoMessage(t *testing.T) {
	r := start(t)
	got := later(func() answer { return r.get("/p/odd") })
	r.consumers("odd", 1)
	for what, line := range map[string]string{
		"NUL in a value":                  "Patch-H-A: a\x00b",
		"a control character in a value":  "Patch-H-A: a\x1bb",
		"DEL in a value":                  "Patch-H-A: a\x7fb",
		"a bare CR in a value":            "Patch-H-A: a\rb",
		"a control character in any":      "X-Other: a\x01",
		"a space before the colon":        "Patch-H-A : b",
		"a space in a name":               "Patch-H-A B: c",
		"a bracket in a name":             "Patch-H-(A): b",
		"a letter beyond ASCII in a name": "Patch-H-\u00c4: b",
		"no name":                         ": b",
		"no colon":                        "Patch-H-A",
	} {
		w := r.dial("POST /p/odd HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" + line + "\r\n\r\nhi")
		res, _ := w.answer()
		text, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != 400 || !res.Close || strings.ContainsAny(string(text), "\r\n") {
			t.Errorf("%s: %s %q, %v", what, res.Status, text, err)
		}
	}
	r.consumers("odd", 1) // it has seen none of them
	// These are headers, and pass.
	for line, value := range map[string]string{
		"Patch-H-A: caf\u00e9 \xff":     "caf\u00e9 \xff",
		"Patch-H-A: a\tb":               "a\tb",
		"Patch-H-A:":                    "",
		"Patch-H-A:  padded  ":          "padded",
		"Patch-H-A: folded\r\n  on":     "folded on",
		"Patch-H-A: !#$%&'*+-.^_`|~\"{": "!#$%&'*+-.^_`|~\"{",
	} {
		w := r.dial("POST /p/odd HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n" + line + "\r\n\r\nhi")
		if res, _ := w.answer(); res.StatusCode != 200 {
			t.Errorf("%q: %s", line, res.Status)
			continue
		}
		if a := soon(t, got); a.code != 200 || len(a.header["A"]) != 1 || a.header["A"][0] != value {
			t.Errorf("%q: %+v", line, a)
		}
		got = later(func() answer { return r.get("/p/odd") })
		r.consumers("odd", 1)
	}
	want(t, r.post("/p/odd", "end"), 200, "")
	soon(t, got)
}

package httpfront_test

import (
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

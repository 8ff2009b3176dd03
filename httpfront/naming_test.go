package httpfront_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestAllNamesOfAPublicChannelMeet(t *testing.T) {
	r := start(t)
	for _, from := range []string{"/p/a/b", "/public/a/b", "/public/./a/b", "/p/a%2Fb", "/p/a/b/", "/p/%61/b", "/p/./a/b"} {
		got := later(func() answer { return r.get(from) })
		r.consumers("a/b", 1)
		want(t, r.post("/public/a/b", from), 200, "")
		want(t, soon(t, got), 200, from)
	}
	for _, from := range []string{"/topic/a/b", "/pubsub/a/b"} {
		got := later(func() answer { return r.get(from) })
		r.followers("a/b", 1)
		want(t, r.post("/pubsub/a/b", from), 200, "")
		want(t, soon(t, got), 200, from)
	}
	r.empty()
}

func TestTheFirstSegmentFixesHowAChannelBehaves(t *testing.T) {
	r := start(t)
	a := r.post("/p/pubsub/news", "nobody hears")
	want(t, a, 200, "")
	if a.header.Get("Patch-Delivered") != "0" {
		t.Errorf("delivered %q", a.header.Get("Patch-Delivered"))
	}
	sent := later(func() answer { return r.post("/p/queue/news?pubsub=true", "for one") })
	r.producers("queue/news", 1)
	want(t, r.get("/p/news?timeout=10ms"), 408, r.get("/p/pubsub/news?timeout=10ms").body) // other channels
	want(t, r.get("/p/queue/news"), 200, "for one")
	want(t, soon(t, sent), 200, "")
	wantLine(t, r.post("/p/plain?pubsub=false&timeout=10ms", "x"), 408, "timed out")
	wantLine(t, r.post("/p/plain?pubsub=perhaps", "x"), 400, "pubsub")
}

func TestABadNameIsOneLineAnd400(t *testing.T) {
	r := start(t)
	longest := strings.Repeat("n", 1024-len("public/"))
	for path, code := range map[string]int{
		"/p": 400, "/p/": 400, "/p//": 400, "/p//x": 400, "/p/a//b": 400, "/p/%2Fx": 400, "/p/a%2F%2Fb": 400, "/p/x//": 400,
		"/p/../x": 400, "/p/a/../b": 400, "/p/a/.": 400, "/p/././x": 400, "/p/a/./b": 400, "/p/%2e%2e/x": 400,
		"/p/a%00b": 400, "/p/a%0Ab": 400, "/p/a%7Fb": 400, "/p/a%C2%85b": 400, "/p/%ff": 400, "/p/a%C3": 400,
		"/p/_": 400, "/p/_/x": 400, "/p/_x?timeout=1ms": 408, "/p/x/_?timeout=1ms": 408,
		"/p/" + longest + "?timeout=1ms": 408, "/p/" + longest + "n": 400, "/p/" + strings.Repeat("x", 10_000): 400,
		"/x": 404, "//": 404, "//p/x": 404, "/../p/x": 404, "/P/x": 404,
	} {
		for _, method := range []string{"GET", "POST"} {
			w := r.dial(method + " " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			res, _ := w.answer()
			text, _ := io.ReadAll(res.Body)
			wantLine(t, answer{code: res.StatusCode, body: string(text), header: res.Header}, code, "")
			if res.Header.Get("Location") != "" || len(text) > 300 {
				t.Errorf("%.40s: %v, %d bytes", path, res.Header, len(text))
			}
		}
	}
	w := r.dial("GET /p/%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := w.answer(); res.StatusCode != http.StatusBadRequest {
		t.Errorf("bad escape: %s", res.Status)
	}
	r.empty()
}

func TestMethods(t *testing.T) {
	r := start(t)
	a := r.do("DELETE", "/p/x", nil)
	wantLine(t, a, 405, "allowed are")
	if !strings.Contains(a.header.Get("Allow"), "PATCH") {
		t.Errorf("Allow: %q", a.header.Get("Allow"))
	}
	a = r.do("OPTIONS", "/p/x", nil)
	if a.code != 204 || !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("OPTIONS: %+v", a)
	}
	a = r.do("OPTIONS", "/p/x", nil, "Origin", "https://e.example", "Access-Control-Request-Method", "PUT",
		"Access-Control-Request-Headers", "patch-h-x")
	if a.code != 204 || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Credentials") != "" ||
		!strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "PUT") {
		t.Errorf("preflight: %+v", a)
	}
	for _, h := range []string{"Sec-Purpose", "Purpose"} {
		wantLine(t, r.get("/p/x?body=hi", h, "prefetch"), 403, "prefetch")
	}
	wantLine(t, r.get("/p/x?body=hi", "Sec-Purpose", "prefetch;prerender"), 403, "prefetch")
	sent := later(func() answer { return r.post("/p/x", "hi") })
	r.producers("x", 1)
	a = r.do("HEAD", "/p/x", nil)
	if a.code != 200 || a.header.Get("Patch-Producers") != "1" || a.header.Get("Patch-Consumers") != "0" || a.header.Get("Patch-Subscribers") != "0" {
		t.Errorf("HEAD: %+v", a)
	}
	want(t, r.get("/p/x"), 200, "hi") // HEAD took nothing
	want(t, soon(t, sent), 200, "")
	want(t, r.get("/healthz"), 200, "OK!\n")
	r.empty()
}

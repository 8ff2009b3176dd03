package httpfront_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"patchwork/httpfront"
)

func TestAWaitEndsWith408AtItsTimeout(t *testing.T) {
	r := start(t)
	for _, q := range []string{"timeout=50ms", "timeout=0.05", "timeout=0.05s"} {
		wantLine(t, r.get("/p/late?"+q), 408, "timed out")
		wantLine(t, r.post("/p/late?"+q, "x"), 408, "timed out")
		wantLine(t, r.post("/topic/late?"+q, "x"), 408, "timed out")
		wantLine(t, r.get("/topic/late?"+q), 408, "timed out")
	}
	for _, q := range []string{"timeout=", "timeout=soon", "timeout=-1", "timeout=-1s", "timeout=NaN", "timeout=Inf", "timeout=1e99"} {
		wantLine(t, r.get("/p/late?"+q), 400, "timeout")
	}
	begun := time.Now()
	wantLine(t, r.get("/p/late", "Prefer", "respond-async, wait=1"), 408, "timed out")
	if took := time.Since(begun); took < 900*time.Millisecond {
		t.Errorf("Prefer: wait=1 took %v", took)
	}
	r.empty()
}

func TestTheServersTimeoutHoldsForAllButNotForTransfers(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.RequestTimeout = 150 * time.Millisecond })
	wantLine(t, r.get("/p/late?timeout=1h"), 408, "timed out")
	for _, path := range []string{"/p/slow", "/topic/slow", "/pubsub/slow"} {
		getPath := "/p/slow"
		in, out := io.Pipe()
		got := later(func() answer { return r.get(getPath) })
		r.consumers("slow", 1)
		sent := later(func() answer { return r.do("POST", path, in) })
		for range 4 {
			io.WriteString(out, "tick\n") //nolint:errcheck // the answers tell
			until(t, "a while", beats(100*time.Millisecond))
		}
		out.Close()
		want(t, soon(t, sent), 200, "")
		want(t, soon(t, got), 200, "tick\ntick\ntick\ntick\n")
	}
}

func TestAnErrorIsAnsweredThoughTheBodyHasNoEnd(t *testing.T) {
	r := start(t)
	for _, more := range []string{"Content-Length: 1000000\r\n\r\nstart", "Content-Length: 100\r\n\r\nstart", "Transfer-Encoding: chunked\r\n\r\n5\r\nstart\r\n",
		"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n"} {
		for path, code := range map[string]int{"/p/stall?timeout=50ms": 408, "/p//": 400} {
			begun := time.Now()
			w := r.dial("POST " + path + " HTTP/1.1\r\nHost: x\r\n" + more)
			res, _ := w.answer()
			if res.StatusCode != code || time.Since(begun) > time.Second {
				t.Errorf("%s: %s after %v", path, res.Status, time.Since(begun))
			}
			res.Body.Close()
			w.Close()
		}
	}
	r.empty()
}

func TestHeartbeatsGoToThoseWhoCanTakeThem(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 30 * time.Millisecond })
	for request, beating := range map[string]bool{
		"GET /p/beat HTTP/1.1\r\nHost: x\r\n\r\n":                                                        true,
		"POST /p/beat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx":                                 true,
		"POST /p/beat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\nx":         true, // it waits no more
		"POST /p/beat HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n":          false,
		"GET /p/beat HTTP/1.0\r\n\r\n":                                                                   false,
		"POST /p/beat HTTP/1.0\r\nContent-Length: 1\r\n\r\nx":                                            false,
		"GET /p/beat HTTP/1.1\r\nHost: x\r\nUser-Agent: node\r\n\r\n":                                    false,
		"GET /p/beat HTTP/1.1\r\nHost: x\r\nSec-Fetch-Mode: cors\r\n\r\n":                                false,
		"GET /p/beat HTTP/1.1\r\nHost: x\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n\r\n": true,
		"GET /p/beat HTTP/1.1\r\nHost: x\r\nUser-Agent: node\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n":      true,
	} {
		head, rest, _ := strings.Cut(request, "\r\n\r\n")
		w := r.dial(head + "\r\n\r\n")
		if rest != "" { // later, as curl does when it has waited for its 100 in vain
			r.producers("beat", 1)
			w.say(rest)
		}
		w.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) //nolint:errcheck // the read says it
		text, _ := w.rest()
		n := strings.Count(text, "HTTP/1.1 100 Continue\r\n\r\n")
		if beating && n < 2 || !beating && n > 0 || len(text) != n*len("HTTP/1.1 100 Continue\r\n\r\n") {
			t.Errorf("%q got %d heartbeats in %q", request, n, text)
		}
		w.Close()
		r.empty()
	}
}

func TestABodyThatWasNotAskedForIsNotStarted(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = 20 * time.Millisecond })
	p := r.dial("POST /p/expect HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
	r.producers("expect", 1)
	until(t, "heartbeats", beats(100*time.Millisecond))
	got := later(func() answer { return r.get("/p/expect") })
	if line, err := p.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
		t.Fatalf("%q, %v", line, err)
	}
	p.r.ReadString('\n') //nolint:errcheck // the empty line
	p.say("hello")
	want(t, soon(t, got), 200, "hello")
	if res, _ := p.answer(); res.StatusCode != 200 {
		t.Error(res.Status)
	}
}

func TestAStreamIsNotHeldBackByNginx(t *testing.T) {
	r := start(t)
	url := nginx(t, r, "proxy_buffering on; proxy_request_buffering off;")
	res := make(chan *http.Response, 1)
	go func() {
		a, err := r.client.Get(url + "/p/lines") //nolint:noctx // the relay ends it
		if err != nil {
			t.Error(err)
		}
		res <- a
	}()
	r.consumers("lines", 1)
	in, out := io.Pipe()
	sent := later(func() answer { return r.do("POST", "/p/lines", in) })
	var stream *http.Response
	for i, line := range []string{"one\n", "two\n", "three\n"} {
		io.WriteString(out, line) //nolint:errcheck // the pipe's reader lives
		if i == 0 {
			stream = soon(t, res)
		}
		got := make([]byte, len(line))
		if _, err := io.ReadFull(stream.Body, got); err != nil || string(got) != line {
			t.Fatalf("%q, %v", got, err)
		}
	}
	out.Close()
	io.Copy(io.Discard, stream.Body) //nolint:errcheck // its end is all there is
	stream.Body.Close()
	want(t, soon(t, sent), 200, "")
	r.client.CloseIdleConnections()
}

func TestEachLineOfASlowProducerComesAtOnce(t *testing.T) {
	r := start(t)
	for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
		for _, path := range []string{"/p/lines", "/p/lines?pubsub"} {
			c := r.dial("GET /p/lines " + proto + "\r\nHost: x\r\n\r\n")
			r.consumers("lines", 1)
			in, out := io.Pipe()
			sent := later(func() answer { return r.do("POST", path, in) })
			var res *http.Response
			for i, line := range []string{"one\n", "two\n", "three\n"} {
				io.WriteString(out, line) //nolint:errcheck // as above
				if i == 0 {
					res, _ = c.answer()
				}
				got := make([]byte, len(line))
				if _, err := io.ReadFull(res.Body, got); err != nil || !bytes.Equal(got, []byte(line)) {
					t.Fatalf("%s %s: %q, %v", proto, path, got, err)
				}
			}
			out.Close()
			io.Copy(io.Discard, res.Body) //nolint:errcheck // as above
			c.Close()
			want(t, soon(t, sent), 200, "")
		}
	}
	r.empty()
}

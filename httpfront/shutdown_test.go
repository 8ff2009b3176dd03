package httpfront_test

import (
	"io"
	"testing"
	"time"

	"patchwork/httpfront"
)

func TestAShutdownTellsWhoWaitsAndLetsTransfersFinish(t *testing.T) {
	r := start(t)
	waits := []<-chan answer{
		later(func() answer { return r.get("/p/wait") }),
		later(func() answer { return r.post("/p/wait2", "x") }),
		later(func() answer { return r.post("/topic/wait3", "x") }),
		later(func() answer { return r.get("/topic/wait4") }),
	}
	until(t, "they wait", func() bool {
		s := r.broker.Stats()
		return s.Producers == 1 && s.Consumers == 1 && s.Publishers == 1 && s.Subscribers == 1
	})
	in, out := io.Pipe()
	got := later(func() answer { return r.get("/p/transfer") })
	sent := later(func() answer { return r.do("POST", "/p/transfer", in) })
	io.WriteString(out, "begun, ") //nolint:errcheck // the answers tell
	until(t, "it is under way", func() bool { return r.broker.Stats().Transfers == 1 })
	down := make(chan struct{})
	go func() { r.stop(patience); close(down) }()
	for i, w := range waits {
		a := soon(t, w)
		wantLine(t, a, 503, "going down")
		if a.header.Get("Retry-After") == "" {
			t.Errorf("%d: no Retry-After", i)
		}
	}
	io.WriteString(out, "finished") //nolint:errcheck // as above
	out.Close()
	want(t, soon(t, got), 200, "begun, finished")
	want(t, soon(t, sent), 200, "")
	soon(t, down)
}

func TestAShutdownCutsWhatDoesNotFinish(t *testing.T) {
	r := start(t, func(c *httpfront.Config) { c.WriteTimeout = time.Minute })
	r.dial("GET /p/stopped HTTP/1.1\r\nHost: x\r\n\r\n")
	r.consumers("stopped", 1)
	sent := later(func() answer { return r.do("POST", "/p/stopped", body(20<<20, false)) })
	in, out := io.Pipe()
	got := later(func() answer { return r.get("/p/slow") })
	slow := later(func() answer { return r.do("POST", "/p/slow", in) })
	io.WriteString(out, "begun") //nolint:errcheck // the answers tell
	until(t, "both are under way", func() bool { return r.broker.Stats().Transfers == 2 })
	r.stop(200 * time.Millisecond) // which complains when it takes too long
	out.Close()                    // Go's client waits for its own body before it says what happened
	if a := soon(t, got); a.err == nil {
		t.Errorf("the consumer took a part for the whole: %+v", a)
	}
	for _, c := range []<-chan answer{sent, slow} {
		if a := soon(t, c); a.code == 200 {
			t.Errorf("a producer heard %+v", a)
		}
	}
}

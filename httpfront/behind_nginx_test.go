package httpfront_test

import (
	"net/http"
	"testing"
	"time"

	"patchwork/httpfront"
)

// throughNginx has a consumer and a producer wait behind nginx. With early they
// begin to wait before the other tests run, and go on beside them.
func throughNginx(t *testing.T, beat, limit string, wait time.Duration, early bool) {
	if !early {
		t.Parallel()
	}
	every, _ := time.ParseDuration(beat)
	r := start(t, func(c *httpfront.Config) { c.Heartbeat = every })
	url := nginx(t, r, "proxy_read_timeout "+limit+"; proxy_request_buffering off;")
	r.client.Transport.(*http.Transport).DisableKeepAlives = true
	front := &relay{t: t, url: url, client: r.client, broker: r.broker}
	got := later(func() answer { return front.get("/p/patient") })
	until(t, "a consumer", func() bool { return r.broker.Peek(name(t, "public/patient")).Consumers == 1 })
	sent := later(func() answer { return front.post("/p/other", "waited") })
	until(t, "a producer", func() bool { return r.broker.Peek(name(t, "public/other")).Producers == 1 })
	tick := time.NewTimer(wait)
	if early {
		t.Parallel()
	}
	select {
	case <-tick.C:
	case a := <-got:
		t.Fatalf("the consumer got %+v", a)
	case a := <-sent:
		t.Fatalf("the producer got %+v", a)
	}
	begun := time.Now()
	want(t, front.post("/p/patient", "at last"), 200, "")
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the producer behind nginx waited %v for its 200", took)
	}
	want(t, soon(t, got), 200, "at last")
	want(t, front.get("/p/other"), 200, "waited")
	want(t, soon(t, sent), 200, "")
}

func TestWaitersBehindNginxOutliveItsTimeout(t *testing.T) {
	throughNginx(t, "500ms", "2s", 9*time.Second, false)
}

func TestWaitersBehindNginxOutliveItsTimeoutFor90Seconds(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits 90 s")
	}
	throughNginx(t, "15s", "20s", 90*time.Second, true)
}

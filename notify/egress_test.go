package notify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// policyDialer is a dialer with an egress policy as the tunnels have: what is
// inside the network is refused after resolving.
func policyDialer(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if ip := net.ParseIP(host); ip == nil || ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		return nil, fmt.Errorf("%s is inside the network; the operator can allow it with --egress-allow", host)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// TestEveryBackendKeepsToTheEgressPolicy points each of them inside the network.
func TestEveryBackendKeepsToTheEgressPolicy(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was reached", r.URL) }))
	defer inside.Close()
	at := inside.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(at)
	c := config(t, list(
		`{type: matrix, config: {access_token: tok, room_id: "!r:m", endpoint: "http://`+at+`"}}`,
		`{type: discord, config: {webhook_url: "http://`+at+`/"}}`,
		`{type: slack, config: {webhook_url: "http://`+at+`/"}}`,
		`{type: telegram, config: {token: "1:abc", chat_id: 1, endpoint: "http://`+at+`"}}`,
		`{type: ntfy, config: {topic: alerts, endpoint: "http://`+at+`"}}`,
		`{type: gotify, config: {endpoint: "http://`+at+`", token: tok}}`,
		`{type: webhook, config: {url: "http://`+at+`/"}}`,
		`{type: mail, config: {host: 127.0.0.1, port: `+port+`, tls: none, from: a@b.test, to: c@d.test}}`,
		`{type: shoutrrr, config: {url: "generic+http://`+at+`/x"}}`,
		`{type: webhook, name: metadata, config: {url: "http://169.254.169.254/latest/meta-data"}}`,
	))
	result, err := newSender(t, Options{DialContext: policyDialer}).Send(t.Context(), c, Message{Text: "x"}, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range result.Outcomes {
		if o.Err == nil || !strings.HasPrefix(o.Err.Error(), "cannot connect: ") || !strings.HasSuffix(o.Err.Error(), "inside the network; the operator can allow it with --egress-allow") {
			t.Errorf("%s: %v", o.Target, o.Err)
		}
	}
	tested := map[string]bool{}
	for _, o := range result.Outcomes {
		tested[o.Backend] = true
	}
	for name, b := range backends {
		if !tested[name] && !tested[b.name] {
			t.Errorf("%s was not tried", name)
		}
	}
}

func TestWithoutADialerNothingIsSent(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // no way around it either
	result, err := newSender(t, Options{}).Send(t.Context(), config(t, hookTo("a")), Message{Text: "x"}, "")
	if err != nil || result.Err() == nil || !strings.Contains(result.Err().Error(), errNoDialer.Error()) {
		t.Error(err, result.Err())
	}
}

// TestBadEndpoints meets, on a real wire, what the other side can do wrong. Each
// is named with what to do, and quickly.
func TestBadEndpoints(t *testing.T) {
	elsewhere := newDouble(t, func(http.ResponseWriter, *http.Request) {})
	flood := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(400)
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 32<<10)); err != nil {
				return
			}
		}
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"redirect": {
			func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, elsewhere.URL+"/login?token=x", http.StatusFound)
			},
			"a: answered 302: redirects to " + elsewhere.URL + " and is not followed; put the final address into the configuration",
		},
		"html": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			_, _ = io.WriteString(w, "<!DOCTYPE html><h1>Nope</h1>")
		}, "a: answered 404: an HTML page; check the address"},
		"text":  {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no\x1b[31m such\nhook", http.StatusGone) }, "a: answered 410: no[31m such"},
		"empty": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, "a: answered 401 unauthorized"},
		"flood": {flood, "a: answered 400: " + strings.Repeat("x", 283) + "…"},
		"cut off": {
			func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "a: EOF",
		},
	} {
		d := newDouble(t, test.answer)
		start := time.Now()
		result, err := d.sender(t).Send(t.Context(), config(t, hookTo("a")), Message{Text: "x"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := result.Err(); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v\n\twant %s", name, err, test.want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
	if len(elsewhere.all()) != 0 {
		t.Error("the redirect was followed")
	}
}

// TestAServiceThatNeverAnswersIsLeft: the connection goes with the message.
func TestAServiceThatNeverAnswersIsLeft(t *testing.T) {
	asked := make(chan struct{})
	left := make(chan struct{})
	d := newDouble(t, func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(errors.New("enough"))
	}()
	result, err := d.sender(t).Send(ctx, config(t, hookTo("a")), Message{Text: "x"}, "")
	if err != nil || result.Err() == nil || result.Err().Error() != "a: enough" {
		t.Error(err, result.Err())
	}
	<-left
}

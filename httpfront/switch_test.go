package httpfront_test

import (
	"strings"
	"testing"

	"patchwork/broker"
)

const switchRules = `
tokens:
  all: {GET: "*", POST: "*"}
  ask: {POST: "/req/*"}
  serve: {GET: "/res/*", POST: ["/res/*", "/vault"]}
  listen: {GET: ["/res/*", "/vault"]}
  answer: {GET: "/vault", POST: "/res/*"}
`

// What is posted to the channel of a switch is received for the requester. So it
// takes the right to receive there, besides those to take and to answer.
func TestWhoSwitchesMustBeAllowedToReceiveOnThatChannel(t *testing.T) {
	r := start(t, withUsers(t, map[string]string{"alice": switchRules}))
	got := later(func() answer { return r.get("/u/alice/req/x?token=all") })
	request := name(t, "alice/res/x")
	until(t, "a request", func() bool { return r.broker.Peek(request).Producers == 1 })
	for _, token := range []string{"serve", "listen", "answer", "ask"} {
		wantLine(t, r.post("/u/alice/res/x?switch=true&token="+token, "vault"), 403, "not allowed")
		if n := r.broker.Peek(request).Producers; n != 1 {
			t.Fatalf("%s took the request", token)
		}
	}
	want(t, r.post("/u/alice/res/x?switch=true&token=all", "vault"), 200, "")
	want(t, r.post("/u/alice/vault?token=serve", "posted"), 200, "")
	want(t, soon(t, got), 200, "posted")
	r.empty()
}

// guard puts an access list on a public channel until the test ends.
func (r *relay) guard(topic string) {
	r.t.Helper()
	p, err := r.broker.Publish(name(r.t, "public/"+topic), broker.PublishOptions{
		As: broker.Identity{User: "key-alice"}, Access: []string{"bob"},
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
}

func TestASwitchToAGuardedChannelIsForThoseOnItsAccessList(t *testing.T) {
	r := start(t)
	r.guard("vault")
	got := later(func() answer { return r.get("/p/req/x") })
	r.producers("req/x", 1)
	wantLine(t, r.post("/p/res/x?switch=true", "vault"), 403, "access list")
	r.producers("req/x", 1)
	want(t, r.post("/p/res/x", "answered"), 200, "")
	want(t, soon(t, got), 200, "answered")
}

// A switch may wait for its request for hours: the list that came meanwhile counts.
func TestASwitchIsRefusedWhenItsChannelWasGuardedMeanwhile(t *testing.T) {
	r := start(t)
	switches := later(func() answer { return r.post("/p/res/x?switch=true", "vault") })
	r.consumers("res/x", 1)
	r.guard("vault")
	got := later(func() answer { return r.do("POST", "/p/req/x", strings.NewReader("the question")) })
	wantLine(t, soon(t, switches), 403, "access list")
	want(t, r.get("/p/res/x"), 200, "the question") // for another responder
	want(t, r.post("/p/res/x", "answered"), 200, "")
	want(t, soon(t, got), 200, "answered")
}

package sshfront

import (
	"io"
	"strings"
	"testing"

	"patchwork/broker"
)

func TestARequestIsAnsweredByWhoTookIt(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	req := start(t, c, "pub req/api").send("what is ")
	d.producers(name(t, key, "req/api"), 1)
	take := start(t, c, "sub res/api")
	eventually(t, "the request streams", func() bool { return take.out.String() == "what is " })
	req.send("it").in.Close()
	if code := take.wait(); code != 0 || take.out.String() != "what is it" {
		t.Errorf("sub res: %d %q %q", code, take.out.String(), take.err.String())
	}
	answer := start(t, c, "pub res/api").send("it is ")
	eventually(t, "the answer streams", func() bool { return req.out.String() == "it is " })
	answer.send("this").in.Close()
	if code := req.wait(); code != 0 || req.out.String() != "it is this" {
		t.Errorf("pub req: %d %q %q", code, req.out.String(), req.err.String())
	}
	if code := answer.wait(); code != 0 {
		t.Errorf("pub res: %d %q", code, answer.err.String())
	}
}

func TestRequestsAreTakenOneAfterTheOther(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	take := start(t, c, "sub -k res/api")
	var asked []*run
	for _, text := range []string{"one\n", "two\n"} {
		r := start(t, c, "pub req/api").send(text)
		r.in.Close()
		asked = append(asked, r)
		eventually(t, "it was taken", func() bool { return strings.HasSuffix(take.out.String(), text) })
	}
	for i, text := range []string{"first", "second"} {
		if code, _, stderr := do(t, c, "pub res/api", text); code != 0 {
			t.Errorf("answer %d: %d %q", i, code, stderr)
		}
		if code := asked[i].wait(); code != 0 || asked[i].out.String() != text {
			t.Errorf("%d %q", code, asked[i].out.String())
		}
	}
}

func TestAnAnswerThatIsAnErrorIsExit1(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	n := name(t, key, "res/api")
	c := d.dial(key)
	for status, want := range map[string]string{"404": "status 404", "599": "status 599", "99": "impossible", "x": "impossible"} {
		req := start(t, c, "pub -e req/api")
		dl, err := d.b.Receive(broker.As(t.Context(), broker.Identity{User: KeyNamespace(key.PublicKey())}), n)
		if err != nil {
			t.Fatal(err)
		}
		if uri := dl.Info.Header["Patch-Uri"]; len(uri) != 1 || uri[0] != "/u/"+KeyNamespace(key.PublicKey())+"/req/api" {
			t.Errorf("Patch-Uri: %q", uri)
		}
		if _, err := dl.Next(t.Context()); err != io.EOF {
			t.Error(err)
		}
		reply := dl.Info.Reply
		dl.Done(nil)
		m := broker.Message{Header: broker.Header{"Patch-Status": {status}}, Size: 4, Body: strings.NewReader("body")}
		if err := d.b.Answer(t.Context(), n, reply, m); err != nil {
			t.Error(err)
		}
		if code := req.wait(); code != 1 || req.out.String() != "body" || !strings.Contains(req.err.String(), want) {
			t.Errorf("%s: %d %q %q", status, code, req.out.String(), req.err.String())
		}
	}
}

func TestRequestsAndAnswersAreGivenUp(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	for cmd, want := range map[string]string{
		"pub -e -t 10ms req/api":     "nobody took",
		"pub -e -b=false req/api":    "nobody takes",
		"pub -e -t 10ms res/api":     "nobody asked",
		"pub -c -e -t 10ms -p res/x": "nobody asked",
	} {
		code, out, stderr := do(t, c, cmd, "")
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		if code != 1 || out != "" || !strings.HasPrefix(lines[len(lines)-1], want) {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	// Taken, and never answered.
	req := start(t, c, "pub -t 300ms -e req/api")
	d.producers(name(t, key, "req/api"), 1)
	do(t, c, "sub res/api", "")
	if code := req.wait(); code != 1 || !strings.Contains(req.err.String(), "did not answer") {
		t.Errorf("%d %q", code, req.err.String())
	}
	// The requester is killed.
	other := d.dial(key)
	start(t, other, "pub req/api").send("x")
	d.producers(name(t, key, "req/api"), 1)
	other.Close()
	d.producers(name(t, key, "req/api"), 0)
}

package sshfront

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

func TestAnAccessListLetsInWhomItNames(t *testing.T) {
	d := open(t, nil)
	alice, bob, carol, mallory := newKey(t), newKey(t), newKey(t), newKey(t)
	list := KeyNamespace(bob.PublicKey()) + "," + gossh.FingerprintSHA256(carol.PublicKey())
	full := name(t, alice, "plans")
	ac := d.dial(alice)
	sub := start(t, ac, "sub -k -a "+list+" plans")
	d.subscribers(full, 1)
	for _, guest := range []gossh.Signer{bob, carol, alice} {
		if code, _, stderr := do(t, d.dial(guest), "pub "+full.String(), "x"); code != 0 {
			t.Errorf("a guest: %d %q", code, stderr)
		}
	}
	for _, cmd := range []string{"pub -e ", "sub ", "pipe "} {
		code, out, stderr := do(t, d.dial(mallory), cmd+full.String(), "")
		if code != 1 || out != "" || !strings.HasPrefix(stderr, "access denied") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	if got := sub.out.String(); got != "xxx" {
		t.Errorf("received %q", got)
	}
	// The list goes with its opener.
	sub.ses.Close()
	d.subscribers(full, 0)
	if code, _, stderr := do(t, d.dial(bob), "pub -e "+full.String(), ""); code != 1 || !strings.HasPrefix(stderr, "access denied") {
		t.Errorf("after the list: %d %q", code, stderr)
	}
}

func TestAnAccessListGuardsAPublicTopic(t *testing.T) {
	d := open(t, nil)
	alice, bob, mallory := newKey(t), newKey(t), newKey(t)
	n := parse(t, "public/plans")
	for _, topic := range []string{"plans", "queue/plans"} {
		n := parse(t, "public/"+topic)
		pub := start(t, d.dial(alice), "pub -p -a "+KeyNamespace(bob.PublicKey())+" "+topic).send("x")
		pub.in.Close()
		eventually(t, "it waits", func() bool { return d.b.AccessOf(n) != nil && d.b.Peek(n).Producers > 0 })
		if code, out, stderr := do(t, d.dial(mallory), "sub -p "+topic, ""); code != 1 || out != "" || !strings.HasPrefix(stderr, "access denied") {
			t.Errorf("mallory: %d %q %q", code, out, stderr)
		}
		if _, err := d.b.Receive(t.Context(), n); err != broker.ErrDenied {
			t.Errorf("without credentials: %v", err)
		}
		sub := start(t, d.dial(bob), "sub -p "+topic)
		eventually(t, "bob got it", func() bool { return sub.out.String() == "x" })
		if code := pub.wait(); code != 0 {
			t.Errorf("pub: %d %q", code, pub.err.String())
		}
	}
	// Somebody is there whom the list would not let in.
	start(t, d.dial(mallory), "sub -p plans")
	d.subscribers(n, 1)
	if code, _, stderr := do(t, d.dial(alice), "pub -p -e -a http plans", ""); code != 1 || !strings.HasPrefix(stderr, "access denied") {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestAnAccessListGuardsRequestsAndAnswers(t *testing.T) {
	d := open(t, nil)
	alice, bob, mallory := newKey(t), newKey(t), newKey(t)
	full := name(t, alice, "res/api")
	take := start(t, d.dial(alice), "sub -k -a "+KeyNamespace(bob.PublicKey())+" res/api")
	eventually(t, "it waits", func() bool { return d.b.Peek(full).Consumers == 1 && d.b.AccessOf(full) != nil })
	public := start(t, d.dial(alice), "sub -p -k -a "+KeyNamespace(bob.PublicKey())+" res/api")
	n := parse(t, "public/res/api")
	eventually(t, "it waits", func() bool { return d.b.Peek(n).Consumers == 1 && d.b.AccessOf(n) != nil })
	own := KeyNamespace(alice.PublicKey())
	for _, cmd := range []string{"pub -e -p req/api", "sub -p res/api", "pub -e -p res/api", "pub -e " + own + "/req/api", "sub " + own + "/res/api"} {
		code, out, stderr := do(t, d.dial(mallory), cmd, "")
		if code != 1 || out != "" || !strings.HasPrefix(stderr, "access denied") {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	for _, cmd := range []string{"pub -p req/api", "pub " + own + "/req/api"} {
		start(t, d.dial(bob), cmd).send("from bob").in.Close()
	}
	for _, r := range []*run{take, public} {
		eventually(t, "bob's request is taken", func() bool { return r.out.String() == "from bob" })
	}
}

func TestThoseWhoAreLetInAreToldTheFullName(t *testing.T) {
	d := open(t, nil)
	alice, bob := newKey(t), newKey(t)
	pub := start(t, d.dial(alice), "pub -a "+KeyNamespace(bob.PublicKey())+" plans").send("x")
	pub.in.Close()
	eventually(t, "it is said", func() bool { return strings.Contains(pub.err.String(), "\n") })
	_, cmd, _ := strings.Cut(strings.TrimSpace(pub.err.String()), "127.0.0.1 ")
	if code, out, stderr := do(t, d.dial(bob), cmd, ""); code != 0 || out != "x" {
		t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
	}
	if code := pub.wait(); code != 0 {
		t.Error(code)
	}
}

// A user who is not in the rules, as with certificates, shares by name too.
func TestATopicOfAnyUserIsReachedByThoseItNames(t *testing.T) {
	d := open(t, nil)
	bob := newKey(t)
	n := parse(t, "alice/plans")
	p, err := d.b.Publish(n, broker.PublishOptions{Wait: true, As: broker.Identity{User: "alice"}, Access: []string{KeyNamespace(bob.PublicKey())}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	sub := start(t, d.dial(bob), "sub alice/plans")
	d.subscribers(n, 1)
	if _, err := p.Message(t.Context(), nil, []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "bob got it", func() bool { return sub.out.String() == "x" })
	// To everybody else it is a topic of their own.
	other := newKey(t)
	start(t, d.dial(other), "sub alice/plans")
	d.subscribers(name(t, other, "alice/plans"), 1)
}

func TestLsShowsTheOwnTopicsAndThePublicOnesHeld(t *testing.T) {
	d := open(t, nil)
	alice, bob := newKey(t), newKey(t)
	c, other := d.dial(alice), d.dial(bob)
	if code, out, stderr := do(t, c, "ls", ""); code != 0 || out != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("with nothing there: %d %q %q", code, out, stderr)
	}
	if code, out, _ := do(t, c, "ls -json", ""); code != 0 || out != "[]\n" {
		t.Errorf("with nothing there: %d %q", code, out)
	}
	start(t, c, "pub waits").send("x")
	start(t, c, "sub -k -a bob,http logs/app")
	start(t, c, "pipe chat")
	mine := start(t, c, "sub -p -k news")
	start(t, other, "sub -p -k other")
	start(t, other, "sub -p -k news")
	start(t, other, "sub -k his")
	eventually(t, "the publisher waits", func() bool { return d.b.Peek(name(t, alice, "waits")).Waiting == 1 })
	d.subscribers(parse(t, "public/news"), 2)
	d.subscribers(parse(t, "public/other"), 1)
	d.subscribers(name(t, alice, "logs/app"), 1)
	d.subscribers(name(t, bob, "his"), 1)
	eventually(t, "the pipe is there", func() bool { return d.b.Peek(name(t, alice, "chat")).Pipes == 1 })

	own := KeyNamespace(alice.PublicKey())
	want := []listed{
		{Topic: own + "/chat", Pipes: 1, Access: []string{}},
		{Topic: own + "/logs/app", Subscribers: 1, Access: []string{"bob", "http"}},
		{Topic: own + "/waits", Publishers: 1, Waiting: 1, Access: []string{}},
		{Topic: "public/news", Subscribers: 2, Access: []string{}},
	}
	code, out, _ := do(t, c, "ls -json", "")
	var got []listed
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("%d %q %v", code, out, err)
	}
	same := func(a, b listed) bool {
		access := slices.Equal(a.Access, b.Access)
		a.Access, b.Access = nil, nil
		return access && a.Topic == b.Topic && a.Publishers == b.Publishers && a.Subscribers == b.Subscribers && a.Pipes == b.Pipes && a.Waiting == b.Waiting
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("got %+v", got)
	}
	_, out, _ = do(t, c, "ls", "")
	lines := strings.Split(out, "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[0], "TOPIC ") || !strings.HasSuffix(lines[2], "0      0        bob,http") {
		t.Errorf("ls says\n%s", out)
	}
	mine.ses.Close()
	eventually(t, "what was left is not shown", func() bool {
		_, out, _ := do(t, c, "ls", "")
		return !strings.Contains(out, "news")
	})
}

// listing is what ls -json says of one topic; ok is false when it says nothing.
func listing(t *testing.T, c *gossh.Client, topic string) (l listed, ok bool) {
	t.Helper()
	code, out, stderr := do(t, c, "ls -json", "")
	var all []listed
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		t.Fatalf("%d %q %q %v", code, out, stderr, err)
	}
	for _, l := range all {
		if l.Topic == topic {
			return l, true
		}
	}
	return listed{}, false
}

func TestLsCountsThoseThatWaitForSomebody(t *testing.T) {
	d := open(t, func(c *Config) { c.Broker = broker.New(broker.Options{}) })
	alice := newKey(t)
	c := d.dial(alice)
	own := KeyNamespace(alice.PublicKey()) + "/"
	waiting := func(topic string, publishers, waiting int) {
		t.Helper()
		eventually(t, topic+" is listed so", func() bool {
			l, ok := listing(t, c, own+topic)
			return ok && l.Publishers == publishers && l.Waiting == waiting
		})
	}
	// Two wait; a third does not, though nobody receives what it sends.
	start(t, c, "pub x").send("1")
	start(t, c, "pub x").send("2")
	start(t, c, "pub -b=false x").send("3")
	waiting("x", 3, 2)
	// When somebody came nobody waits, though the publishers have not ended.
	sub := start(t, c, "sub -k x")
	waiting("x", 3, 0)
	sub.ses.Close()
	d.subscribers(parse(t, own+"x"), 0)

	// One who takes one message keeps its publisher from waiting, and no other.
	got := make(chan *broker.Delivery, 1)
	start(t, c, "pub one").send("begun")
	go func() {
		m, err := d.b.Receive(t.Context(), parse(t, own+"one"))
		if err != nil {
			t.Error(err)
		}
		got <- m
	}()
	m := <-got
	defer m.Done(broker.ErrGone)
	waiting("one", 1, 0)
	start(t, c, "pub -e one")
	waiting("one", 2, 1)

	// In a queue it is those in line, though a consumer is there, who is busy.
	start(t, c, "pub queue/x").send("under way")
	busy := start(t, c, "sub queue/x")
	eventually(t, "it is busy", func() bool { return busy.out.String() != "" })
	waiting("queue/x", 0, 0)
	start(t, c, "pub -e queue/x")
	waiting("queue/x", 1, 1)
	// Requests too.
	start(t, c, "pub req/x").send("?")
	waiting("req/x", 1, 1)
	start(t, c, "sub res/x")
	eventually(t, "it is taken", func() bool { l, _ := listing(t, c, own+"req/x"); return l.Waiting == 0 })
}

func TestLsShowsThePublicTopicsThatAPatternIsOn(t *testing.T) {
	d := open(t, nil)
	alice, bob := newKey(t), newKey(t)
	c, other := d.dial(alice), d.dial(bob)
	start(t, other, "sub -p -k logs/web")
	start(t, other, "sub -p -k news")
	start(t, other, "sub -p -k -a bob logs/guarded")
	start(t, other, "sub -p -k res/logs")
	eventually(t, "all are there", func() bool { return d.b.Stats().Channels == 4 && d.b.Stats().Subscribers == 3 })
	wild := start(t, c, "sub -p -k '*logs*'")
	eventually(t, "it is on the topic", func() bool {
		l, ok := listing(t, c, "public/logs/web")
		return ok && l.Subscribers == 2
	})
	for _, topic := range []string{"news", "logs/guarded", "req/logs"} {
		if _, ok := listing(t, c, "public/"+topic); ok {
			t.Errorf("%s is shown", topic)
		}
	}
	if _, ok := listing(t, c, "public/logs/web"); !ok {
		t.Error("the topic is not shown")
	}
	wild.ses.Close()
	eventually(t, "what was left is not shown", func() bool { _, ok := listing(t, c, "public/logs/web"); return !ok })
}

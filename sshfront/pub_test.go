package sshfront

import (
	"io"
	"strings"
	"testing"

	"patchwork/broker"
)

func TestPubArrivesWholeAtEverySub(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	a, b := start(t, c, "sub doc"), start(t, c, "sub "+name(t, key, "doc").String())
	d.subscribers(name(t, key, "doc"), 2)
	text := strings.Repeat("0123456789abcde\n", 20_000) // more than a window of any kind
	if code, out, stderr := do(t, c, "pub doc", text); code != 0 || out != "" || stderr != "" {
		t.Fatalf("pub: %d %q %q", code, out, stderr)
	}
	for _, s := range []*run{a, b} {
		if code := s.wait(); code != 0 || s.out.String() != text || s.err.String() != "" {
			t.Errorf("sub: %d, %d bytes, %q", code, len(s.out.String()), s.err.String())
		}
	}
}

func TestPubWaitsForASubscriberAndSaysHowToGetIt(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	pub := start(t, c, "pub later").send("hello")
	pub.in.Close()
	d.producers(name(t, key, "later"), 1)
	code, out, _ := do(t, c, "sub later", "")
	if code != 0 || out != "hello" {
		t.Errorf("sub: %d %q", code, out)
	}
	if code := pub.wait(); code != 0 || !strings.Contains(pub.err.String(), "127.0.0.1 sub later") {
		t.Errorf("pub: %d %q", code, pub.err.String())
	}
}

func TestARandomTopicIsSaidOnStderr(t *testing.T) {
	d := open(t, func(c *Config) { c.PublicHost, c.PublicPort = "relay.example", 22 })
	c := d.dial(newKey(t))
	for _, flags := range []string{"", "-p ", "-c "} {
		pub := start(t, c, "pub "+flags).send("x")
		pub.in.Close()
		eventually(t, "the topic is said", func() bool { return strings.Contains(pub.err.String(), "\n") })
		_, cmd, ok := strings.Cut(strings.SplitN(pub.err.String(), "\n", 2)[0], "ssh relay.example ")
		if !ok {
			t.Fatalf("said %q", pub.err.String())
		}
		if code, out, _ := do(t, c, cmd, ""); code != 0 || out != "x" {
			t.Errorf("%s: %d %q", cmd, code, out)
		}
		if code := pub.wait(); code != 0 {
			t.Error(code)
		}
	}
}

func TestPubEndsAfterItsTime(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	for _, cmd := range []string{"pub -t 10ms x", "pub x -t=0", "pub -e -t 10ms queue/x", "pub -c -t 1ms x"} {
		code, _, stderr := do(t, c, cmd, "")
		if lines := strings.Split(strings.TrimSpace(stderr), "\n"); code != 1 || !strings.Contains(lines[len(lines)-1], "nobody took") {
			t.Errorf("%s: %d %q", cmd, code, stderr)
		}
	}
	_, _, stderr := do(t, c, "pub -c -t 1ms x", "")
	if strings.Count(stderr, "\n") != 1 {
		t.Errorf("-c says %q", stderr)
	}
}

func TestPubWithoutWaitingNeverWaits(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	for _, cmd := range []string{"pub -b=false x", "pub pubsub/x", "pub -e -b=false x", "pub -l -b=false -d round_robin x"} {
		if code, _, stderr := do(t, c, cmd, "a\nb\n"); code != 0 || stderr != "" {
			t.Errorf("%s: %d %q", cmd, code, stderr)
		}
	}
}

func TestAnEmptyMessageEndsASub(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	for _, topic := range []string{"note", "queue/note"} {
		sub := start(t, c, "sub "+topic)
		d.subscribers(name(t, key, topic), 1)
		pub := start(t, c, "pub -e "+topic) // stdin stays open
		if code := pub.wait(); code != 0 {
			t.Error(code, pub.err.String())
		}
		if code := sub.wait(); code != 0 || sub.out.String() != "" {
			t.Errorf("%s: %d %q", topic, code, sub.out.String())
		}
	}
}

func TestAPublisherThatWasKilledDidNotEnd(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub doc")
	d.subscribers(name(t, key, "doc"), 1)
	other := d.dial(key)
	pub := start(t, other, "pub doc").send("half")
	eventually(t, "half of it arrived", func() bool { return sub.out.String() == "half" })
	other.Close()
	if code := sub.wait(); code != 1 || !strings.Contains(sub.err.String(), "cut short") {
		t.Errorf("sub: %d %q", code, sub.err.String())
	}
	pub.wait()
}

func TestAPublisherThatWasKilledWhileItWaitedWasNeverThere(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	for _, topic := range []string{"doc", "queue/doc"} {
		c := d.dial(key)
		start(t, c, "pub "+topic).send("x")
		d.producers(name(t, key, topic), 1)
		c.Close()
		d.producers(name(t, key, topic), 0)
	}
	// One session of a connection that stays.
	c := d.dial(key)
	pub := start(t, c, "pub doc").send("x")
	d.producers(name(t, key, "doc"), 1)
	pub.ses.Close()
	d.producers(name(t, key, "doc"), 0)
	if code, _, _ := do(t, c, "help", ""); code != 0 {
		t.Error("the connection suffered")
	}
}

func TestEveryLineIsAMessage(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	long := strings.Repeat("x", 3*wholeLine)
	for _, topic := range []string{"lines", "queue/lines"} {
		sub, err := d.b.Subscribe(name(t, key, topic), broker.SubscribeOptions{Stay: true})
		if err != nil {
			t.Fatal(err)
		}
		pub := start(t, c, "pub -l "+topic).send("one\n\n" + long + "\nend")
		pub.in.Close()
		var got []string
		text := ""
		for len(got) < 4 {
			events, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				text += string(e.Data)
				if e.Last {
					got, text = append(got, text), ""
				}
			}
		}
		go func() { _, _ = sub.Next(t.Context()) }() // acknowledges the last
		if code := pub.wait(); code != 0 {
			t.Error(code, pub.err.String())
		}
		sub.Close()
		if strings.Join(got, "|") != "one\n|\n|"+long+"\n|end" {
			t.Errorf("%s: %d messages, the first %.20q", topic, len(got), got)
		}
	}
}

func TestRoundRobinGivesEachLineToOne(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	a, b := start(t, c, "sub work"), start(t, c, "sub work")
	d.subscribers(name(t, key, "work"), 2)
	if code, _, stderr := do(t, c, "pub -d round_robin work", "1\n2\n3\n4\n"); code != 0 {
		t.Fatal(code, stderr)
	}
	a.wait()
	b.wait()
	got := []string{a.out.String(), b.out.String()}
	if !(got[0] == "1\n3\n" && got[1] == "2\n4\n" || got[1] == "1\n3\n" && got[0] == "2\n4\n") {
		t.Errorf("got %q", got)
	}
}

func TestAQueueMessageGoesToOneAndSurvivesAReceiver(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	n := name(t, key, "queue/jobs")
	c := d.dial(key)
	dies := d.dial(key)
	first := start(t, dies, "sub queue/jobs")
	d.subscribers(n, 1)
	second := start(t, c, "sub queue/jobs")
	d.subscribers(n, 2)
	pub := start(t, c, "pub queue/jobs").send("job")
	eventually(t, "the first one got it", func() bool { return first.out.String() == "job" })
	dies.Close() // before the end of the message
	eventually(t, "the second one got it", func() bool { return second.out.String() == "job" })
	pub.in.Close()
	if code := pub.wait(); code != 0 {
		t.Error(code, pub.err.String())
	}
	code, _, stderr := do(t, c, "pub -b=false queue/nobody", "x")
	if code != 1 || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestPublicTopicsAreForAll(t *testing.T) {
	d := open(t, nil)
	sub := start(t, d.dial(newKey(t)), "sub -p news")
	d.subscribers(parse(t, "public/news"), 1)
	wild := start(t, d.dial(newKey(t)), "sub -p -k 'n*'")
	d.subscribers(parse(t, "public/news"), 2)
	if code, _, stderr := do(t, d.dial(newKey(t)), "pub news -p", "hi"); code != 0 {
		t.Fatal(code, stderr)
	}
	if code := sub.wait(); code != 0 || sub.out.String() != "hi" {
		t.Errorf("%d %q", code, sub.out.String())
	}
	eventually(t, "the wildcard got it too", func() bool { return wild.out.String() == "hi" })
}

func TestPubServesAReceiverOfOneMessage(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	pub := start(t, c, "pub one").send("all ")
	dl, err := d.b.Receive(t.Context(), name(t, key, "one"))
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for {
		data, err := dl.Next(t.Context())
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got.Write(data)
		if got.String() == "all " {
			pub.send("of it").in.Close()
		}
	}
	dl.Done(nil)
	if code := pub.wait(); code != 0 || got.String() != "all of it" {
		t.Errorf("%d %q", code, got.String())
	}
}

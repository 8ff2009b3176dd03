package sshfront

import (
	"strings"
	"testing"

	"patchwork/broker"
)

// What -t bounds is each wait for a subscriber, and nothing else.
func TestPubGivesUpWhenItsSubscriberLeftForGood(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub doc")
	d.subscribers(name(t, key, "doc"), 1)
	pub := start(t, c, "pub -t 200ms doc").send("one ")
	eventually(t, "it is under way", func() bool { return sub.out.String() == "one " })
	sub.ses.Close()
	d.subscribers(name(t, key, "doc"), 0)
	pub.send("two ")
	if code := pub.wait(); code != 1 || !strings.Contains(pub.err.String(), "nobody took doc within 200ms") {
		t.Errorf("%d %q", code, pub.err.String())
	}
}

func TestPubIsPatientWithASlowSubscriber(t *testing.T) {
	d := open(t, func(c *Config) { c.Broker = broker.New(broker.Options{Mailbox: 1}) })
	key := newKey(t)
	n := name(t, key, "doc")
	sub, err := d.b.Subscribe(n, broker.SubscribeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	pub := start(t, d.dial(key), "pub -t 1ms doc").send("one ")
	got := ""
	for text := range strings.FieldsSeq("one two three") {
		if text != "one" {
			pub.send(text + " ")
		}
		eventually(t, "the publisher is held back", func() bool { return got == "" || d.b.Stats().Held > 0 })
		for !strings.HasSuffix(got, text+" ") {
			events, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				got += string(e.Data)
			}
		}
	}
	pub.in.Close()
	for {
		if _, err := sub.Next(t.Context()); err != nil {
			break
		}
	}
	if code := pub.wait(); code != 0 || got != "one two three " {
		t.Errorf("%d %q %q", code, got, pub.err.String())
	}
}

// The next subscriber gets what the last one did not take, and not what it did.
func TestPubGoesOnWithTheNextSubscriber(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	n := name(t, key, "doc")
	leaves := d.dial(key)
	c := d.dial(key)
	first := start(t, leaves, "sub doc")
	d.subscribers(n, 1)
	pub := start(t, c, "pub doc").send("one\n")
	eventually(t, "the first has it", func() bool { return first.out.String() == "one\n" })
	pub.send("two\n")
	eventually(t, "and the next", func() bool { return first.out.String() == "one\ntwo\n" })
	leaves.Close()
	d.subscribers(n, 0)
	pub.send("three\n").send("four\n")
	pub.in.Close()
	second := start(t, c, "sub doc")
	if code := pub.wait(); code != 0 {
		t.Errorf("pub: %d %q", code, pub.err.String())
	}
	if code := second.wait(); code != 0 || second.out.String() != "three\nfour\n" {
		t.Errorf("the second got %d %q", code, second.out.String())
	}
}

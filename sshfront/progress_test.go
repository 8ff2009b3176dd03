package sshfront

import (
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
)

// published asks how far a pub is, and returns a channel with the answer.
func (r *run) published(bytes uint64) <-chan bool {
	answer := make(chan bool, 1)
	go func() {
		yes, err := r.ses.SendRequest(publishedCheck, true, gossh.Marshal(struct{ N uint64 }{bytes}))
		if err != nil {
			r.t.Errorf("no answer: %v", err)
		}
		answer <- yes
	}()
	return answer
}

func TestPubConfirmsWhatASubscriberTookAndNotBefore(t *testing.T) {
	for _, cmd := range []string{"pub x", "pub -l x", "pub -d round_robin x"} {
		t.Run(cmd, func(t *testing.T) {
			d := open(t, nil)
			key := newKey(t)
			c := d.dial(key)
			pub := start(t, c, cmd).send("one\ntwo\n")
			answer := pub.published(8)
			d.producers(name(t, key, "x"), 1)
			select {
			case yes := <-answer:
				t.Errorf("%v, but nobody is there", yes)
			default:
			}
			sub := start(t, c, "sub x")
			if !<-answer {
				t.Error("no")
			}
			if !<-pub.published(3) {
				t.Error("what was published before is denied")
			}
			long := strings.Repeat("x", 2*wholeLine) + "\n"
			answer = pub.published(8 + uint64(len(long)))
			pub.send(long)
			if !<-answer {
				t.Error("no to the second part")
			}
			pub.in.Close()
			if code := pub.wait(); code != 0 {
				t.Errorf("pub: %d %q", code, pub.err.String())
			}
			if code := sub.wait(); code != 0 || sub.out.String() != "one\ntwo\n"+long {
				t.Errorf("sub: %d, %d bytes", code, len(sub.out.String()))
			}
		})
	}
}

func TestPubThatDoesNotWaitConfirmsWithoutASubscriber(t *testing.T) {
	d := open(t, nil)
	pub := start(t, d.dial(newKey(t)), "pub -b=false x").send("abc")
	if !<-pub.published(3) {
		t.Error("no")
	}
	pub.in.Close()
	if code := pub.wait(); code != 0 {
		t.Error(code)
	}
}

func TestCommandsThatDoNotTellHowFarTheyAreSayNo(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	for _, cmd := range []string{"sub x", "pipe x", "pub -e y", "pub queue/x", "pub req/x"} {
		r := start(t, c, cmd)
		if <-r.published(1) {
			t.Errorf("%s: yes", cmd)
		}
		r.ses.Close()
	}
	pub := start(t, c, "pub -b=false x")
	if yes, err := pub.ses.SendRequest(publishedCheck, true, []byte("12")); err != nil || yes {
		t.Errorf("half a number: %v %v", yes, err)
	}
}

package sshfront

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"patchwork/broker"
)

// A digest takes what a subscriber gets, and keeps its hash.
type digest struct {
	mu  sync.Mutex
	sum hash.Hash
	n   int
}

func (d *digest) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n += len(p)
	return d.sum.Write(p)
}

// One of three hundred subscribers is stopped. It holds the publisher back for the
// stall limit, is cut off, and learns so when it goes on; all others get every line
// in order.
func TestThreeHundredSubscribersGetEveryLineInOrderThoughOneIsStopped(t *testing.T) {
	d := open(t, func(c *Config) {
		c.Broker = broker.New(broker.Options{Stall: 2 * time.Second, Mailbox: 64 << 10})
	})
	const subscribers, lines = 300, 2000
	text := &strings.Builder{}
	for i := range lines {
		fmt.Fprintf(text, "%06d %s\n", i, strings.Repeat("x", 1250)) // in all more than a client's window
	}
	want := sha256.Sum256([]byte(text.String()))

	ssh := d.openSSH()
	stopped := ssh.command("sub", "-p", "many")
	var told, got lockedBuffer
	stopped.Stderr, stopped.Stdout = &told, &got
	if err := stopped.Start(); err != nil {
		t.Fatal(err)
	}
	topic, err := broker.ParseName("public/many")
	if err != nil {
		t.Fatal(err)
	}
	d.subscribers(topic, 1)
	if err := stopped.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}

	digests := make([]*digest, subscribers-1)
	runs := make([]*run, subscribers-1)
	key := newKey(t)
	for i := range runs {
		digests[i] = &digest{sum: sha256.New()}
		c := d.dial(key)
		ses, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		ses.Stdout = digests[i]
		if err := ses.Start("sub -p many"); err != nil {
			t.Fatal(err)
		}
		runs[i] = &run{t: t, ses: ses}
	}
	d.subscribers(topic, subscribers)

	pub := start(t, d.dial(key), "pub -p many")
	pub.send(text.String())
	pub.in.Close()
	if code := pub.wait(); code != 0 {
		t.Errorf("the publisher: %d %q", code, pub.err.String())
	}
	for i, r := range runs {
		if code := r.wait(); code != 0 || [sha256.Size]byte(digests[i].sum.Sum(nil)) != want {
			t.Errorf("subscriber %d: exit %d, %d bytes of %d", i, code, digests[i].n, text.Len())
		}
	}
	if s := d.b.Stats(); s.Evicted != 1 || s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
	if err := stopped.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if code := status(stopped.Wait()); code != 1 || !strings.Contains(told.String(), "cut off") {
		t.Errorf("the stopped one: exit %d, %q", code, told.String())
	}
}

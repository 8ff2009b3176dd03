package sshfront

import (
	"io"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

func TestSubStaysWithK(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub -k 'logs/*'")
	eventually(t, "the wildcard is there", func() bool { return d.b.Stats().Subscribers == 1 })
	for _, topic := range []string{"logs/a", "logs/b/c", "other"} {
		if code, _, stderr := do(t, c, "pub -b=false "+topic, topic+"\n"); code != 0 {
			t.Error(code, stderr)
		}
	}
	eventually(t, "both arrived", func() bool { return sub.out.String() == "logs/a\nlogs/b/c\n" })
}

func TestASubscriberThatTakesNothingIsCutOffAndToldSo(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	n := name(t, key, "flood")
	slow := d.dial(key)
	ses, err := slow.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	stdout, _ := ses.StdoutPipe()
	var stderr lockedBuffer
	ses.Stderr = &stderr
	if err := ses.Start("sub flood"); err != nil {
		t.Fatal(err)
	}
	d.subscribers(n, 1)
	fast := d.dial(key)
	pub := start(t, fast, "pub flood")
	go func() {
		_, _ = io.Copy(pub.in, io.LimitReader(endless{}, 16<<20))
		pub.in.Close()
	}()
	eventually(t, "it is cut off", func() bool { return d.b.Stats().Evicted == 1 })
	go func() { _, _ = io.Copy(io.Discard, stdout) }() // comes back
	if code := status(ses.Wait()); code != 1 || !strings.Contains(stderr.String(), "cut off") {
		t.Errorf("%d %q", code, stderr.String())
	}
	pub.ses.Close()
}

func TestASubscriberThatNeverComesBackLosesItsConnection(t *testing.T) {
	d := open(t, func(c *Config) { c.StallGrace = 50 * time.Millisecond })
	key := newKey(t)
	slow := d.dial(key)
	ses, err := slow.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	_, _ = ses.StdoutPipe()
	if err := ses.Start("sub flood"); err != nil {
		t.Fatal(err)
	}
	d.subscribers(name(t, key, "flood"), 1)
	fast := d.dial(key)
	pub := start(t, fast, "pub flood")
	go func() { _, _ = io.Copy(pub.in, io.LimitReader(endless{}, 16<<20)) }()
	if err := slow.Wait(); err == nil {
		t.Error("no reason given")
	}
	eventually(t, "its connection is gone", func() bool { return d.srv.Stats().Connections == 1 })
	pub.ses.Close()
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestControlSequencesStayOutOfTerminals(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	tty := startPty(t, c, "sub news", gossh.TerminalModes{})
	raw := startPty(t, c, "sub --raw news", gossh.TerminalModes{})
	plain := start(t, c, "sub news")
	d.subscribers(name(t, key, "news"), 3)
	text := "a\x1b[31mred\x1b]0;title\x07\tb\r\nc\n"
	pub := start(t, c, "pub news")
	for i := range len(text) {
		pub.send(text[i : i+1])
	}
	pub.in.Close()
	for _, r := range []*run{tty, raw, plain, pub} {
		if code := r.wait(); code != 0 {
			t.Error(code, r.err.String())
		}
	}
	for _, x := range []struct{ what, got, want string }{
		{"tty", tty.out.String(), "ared\tb\r\nc\r\n"},
		{"raw", raw.out.String(), strings.TrimSuffix(text, "\n") + "\r\n"},
		{"plain", plain.out.String(), text},
	} {
		if x.got != x.want {
			t.Errorf("%s: %q, want %q", x.what, x.got, x.want)
		}
	}
}

func TestCtrlCEndsASubAtATerminal(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	for _, cmd := range []string{"sub -k x", "pipe x", "pub x"} {
		r := startPty(t, c, cmd, gossh.TerminalModes{gossh.ECHO: 1})
		eventually(t, "it is there", func() bool { s := d.b.Stats(); return s.Subscribers+s.Publishers > 0 })
		if cmd == "pub x" {
			sub := start(t, c, "sub x")
			r.send("typo\x7f\r")
			eventually(t, "a line was sent", func() bool { return sub.out.String() == "typ\n" })
			if got := r.out.String(); got != "typo\b \b\r\n" {
				t.Errorf("echo %q", got)
			}
			defer func() {
				if sub.wait() != 1 {
					t.Error("an interrupted publisher ended cleanly")
				}
			}()
		}
		r.send("\x03")
		if code := r.wait(); code != 130 {
			t.Errorf("%s: %d %q", cmd, code, r.err.String())
		}
	}
}

func TestASignalEndsASession(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	r := start(t, c, "sub x")
	d.subscribers(name(t, key, "x"), 1)
	for range 200 { // more than anything queues
		if err := r.ses.Signal(gossh.SIGUSR1); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.ses.Signal(gossh.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := r.wait(); code != 130 {
		t.Error(code)
	}
}

func TestPipesTalkToEachOther(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	n := name(t, key, "chat")
	c := d.dial(key)
	a, b, e := start(t, c, "pipe chat"), start(t, c, "pipe chat"), start(t, c, "pipe -r chat")
	eventually(t, "all three are there", func() bool { return d.b.Peek(n).Pipes == 3 })
	a.send("from a\n")
	eventually(t, "it was heard", func() bool { return b.out.String() == "from a\n" && e.out.String() == "from a\n" })
	e.send("from e\n")
	for _, r := range []*run{a, b, e} {
		eventually(t, "e was heard", func() bool { return strings.HasSuffix(r.out.String(), "from e\n") })
		r.in.Close()
	}
	for _, r := range []*run{a, b, e} {
		if code := r.wait(); code != 0 || r.err.String() != "" {
			t.Errorf("%d %q", code, r.err.String())
		}
	}
	if a.out.String() != "from e\n" {
		t.Errorf("a heard itself: %q", a.out.String())
	}
	if code, out, _ := do(t, c, "pipe -r alone", "echo"); code != 0 || out != "echo" {
		t.Errorf("%d %q", code, out)
	}
}

func TestSubEndsWhenThePipeDoes(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub htop")
	d.subscribers(name(t, key, "htop"), 1)
	if code, _, stderr := do(t, c, "pipe htop", "screen"); code != 0 {
		t.Error(code, stderr)
	}
	if code := sub.wait(); code != 0 || sub.out.String() != "screen" {
		t.Errorf("%d %q", code, sub.out.String())
	}
}

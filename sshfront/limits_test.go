package sshfront

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// fakeConns admits n connections that stay silent.
func fakeConns(t *testing.T, l *limits, n int) (admitted int) {
	t.Helper()
	for range n {
		if l.admit(&conn{address: "a"}) == nil {
			admitted++
		}
	}
	return admitted
}

func TestAFloodIsThinnedOutAtRandom(t *testing.T) {
	for _, x := range []struct{ roll, want int }{
		{0, 10},  // always unlucky
		{99, 20}, // never
		{30, 11}, // above the chance only at its beginning
	} {
		var l limits
		l.init(Config{MaxConns: 1000, MaxFailedKeys: 1, EarlyDrop: 10, MaxUnauthenticated: 20})
		l.roll = func(int) int { return x.roll }
		if got := fakeConns(t, &l, 100); got != x.want {
			t.Errorf("with %d on the dice %d came in, not %d", x.roll, got, x.want)
		}
	}
	var l limits
	l.init(Config{MaxConns: 1000, MaxFailedKeys: 1, EarlyDrop: 5, MaxUnauthenticated: 5})
	if got := fakeConns(t, &l, 100); got != 5 {
		t.Errorf("%d came in", got)
	}
}

func TestAnAddressWhoseKeysFailIsShutOutForAWhile(t *testing.T) {
	d := open(t, func(c *Config) { c.MaxFailedKeys = 3 })
	held := d.dial(newKey(t))
	for range 3 {
		if _, err := d.tryDial(thief{newKey(t), newKey(t).PublicKey()}); err == nil {
			t.Fatal("let in")
		}
	}
	eventually(t, "the address is shut out", func() bool {
		nc, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		line, _ := bufio.NewReader(nc).ReadString('\n')
		return strings.HasPrefix(line, "too many keys failed")
	})
	if code, _, _ := do(t, held, "help", ""); code != 0 {
		t.Error("who was in before suffered")
	}
}

func TestTheFailingAreForgotten(t *testing.T) {
	var l limits
	l.init(Config{MaxConns: 1, MaxFailedKeys: 1, EarlyDrop: 1, MaxUnauthenticated: 1})
	for i := range maxFailing + 10 {
		l.failed(&conn{address: string(rune(i + 1000))})
	}
	if len(l.failing) > maxFailing {
		t.Errorf("%d are remembered", len(l.failing))
	}
}

func TestNothingWeakIsNegotiated(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	for what, weak := range map[string]gossh.Config{
		"key exchange": {KeyExchanges: []string{gossh.InsecureKeyExchangeDH14SHA1}},
		"cipher":       {Ciphers: []string{gossh.InsecureCipherAES128CBC, gossh.InsecureCipherTripleDESCBC}},
		"mac":          {Ciphers: []string{gossh.CipherAES128CTR}, MACs: []string{gossh.HMACSHA1, gossh.InsecureHMACSHA196}},
	} {
		cfg := &gossh.ClientConfig{
			Config: weak, User: "x", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		}
		if c, err := gossh.Dial("tcp", d.addr, cfg); err == nil {
			c.Close()
			t.Errorf("a weak %s was accepted", what)
		}
	}
}

func TestNoBannerIsShown(t *testing.T) {
	d := open(t, nil)
	c, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
		User: "x", Auth: []gossh.AuthMethod{gossh.PublicKeys(newKey(t))}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		BannerCallback: func(message string) error {
			t.Errorf("a banner: %q", message)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if v := string(c.ServerVersion()); v != "SSH-2.0-Patchwork" {
		t.Error(v)
	}
}

func TestTheDeadAreNoticedWithin45Seconds(t *testing.T) {
	var c Config
	c.setDefaults()
	if worst := c.Keepalive + c.DeadAfter; worst > 45*time.Second {
		t.Error(worst)
	}
}

// 500 connections at once, of which most are beyond the limit, while a session
// goes on talking.
func TestAFloodIsRefusedInOneLineAndHarmsNobody(t *testing.T) {
	d := open(t, func(c *Config) { c.MaxUnauthenticated, c.EarlyDrop = 20, 20 })
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub talk")
	d.subscribers(name(t, key, "talk"), 1)
	pub := start(t, c, "pub talk")

	var flood sync.WaitGroup
	var mu sync.Mutex
	refused, in := 0, []net.Conn{}
	for range 500 {
		nc, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		flood.Go(func() {
			_, _ = io.WriteString(nc, "SSH-2.0-flood\r\n")
			line, err := bufio.NewReader(nc).ReadString('\n')
			mu.Lock()
			defer mu.Unlock()
			switch {
			case strings.HasPrefix(line, "too many"):
				refused++
				nc.Close()
			case strings.HasPrefix(line, "SSH-2.0-"):
				in = append(in, nc)
			default:
				nc.Close()
				t.Logf("lost its line: %q %v", line, err)
			}
		})
	}
	pub.send("still here")
	eventually(t, "the session works", func() bool { return sub.out.String() == "still here" })
	flood.Wait()
	if len(in) != 20 || refused < 450 {
		t.Errorf("%d came in, %d were told why not", len(in), refused)
	}
	for _, nc := range in {
		nc.Close()
	}
	pub.in.Close()
	if pub.wait() != 0 || sub.wait() != 0 {
		t.Error("the session suffered")
	}
	eventually(t, "the door is open again", func() bool {
		c, err := d.tryDial(key)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func TestAThousandSessionsOnOneConnection(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	greedy, other := d.dial(key), d.dial(key)
	got := 0
	for range 1000 {
		_, err := greedy.NewSession()
		var refused *gossh.OpenChannelError
		switch {
		case err == nil:
			got++
		case !errors.As(err, &refused) || refused.Reason != gossh.ResourceShortage:
			t.Fatal(err)
		}
	}
	if got != 100 {
		t.Errorf("%d sessions", got)
	}
	if code, _, _ := do(t, other, "help", ""); code != 0 {
		t.Error("another connection suffered")
	}
}

func TestAFloodOfEnvironmentIsIgnored(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	ses, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	value := gossh.Marshal(struct{ Name, Value string }{"LD_PRELOAD", strings.Repeat("x", 30_000)})
	for range 2000 {
		if _, err := ses.SendRequest("env", false, value); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := ses.Output("help"); err != nil || !strings.HasPrefix(string(out), "patchwork") {
		t.Errorf("%v %.20q", err, out)
	}
}

func TestABinaryTopicIsRefused(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	for _, topic := range []string{"\x00", "a\xffb", "\x1b[2J", "a\u0085b", strings.Repeat("\xfe", 10_000)} {
		for _, verb := range []string{"sub '", "pub -e '", "pipe '", "sub -p '"} {
			code, out, stderr := do(t, c, verb+topic+"'", "")
			if code != 2 || out != "" || strings.Count(stderr, "\n") != 1 || strings.ContainsAny(stderr, "\x00\x1b") {
				t.Errorf("%s%.10q: %d %q %q", verb, topic, code, out, stderr)
			}
		}
	}
}

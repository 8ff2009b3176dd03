package sshfront

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

func TestSessionsOfAConnectionAreLimited(t *testing.T) {
	d := open(t, func(c *Config) { c.MaxSessions = 3 })
	c := d.dial(newKey(t))
	var held []*gossh.Session
	for range 3 {
		ses, err := c.NewSession()
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, ses)
	}
	_, err := c.NewSession()
	var refused *gossh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != gossh.ResourceShortage {
		t.Fatalf("the fourth: %v", err)
	}
	held[0].Close()
	eventually(t, "there is room again", func() bool {
		ses, err := c.NewSession()
		if err != nil {
			return false
		}
		ses.Close()
		return true
	})
}

func TestConnectionsOfAnAddressAreLimited(t *testing.T) {
	d := open(t, func(c *Config) { c.MaxConns = 2 })
	first := d.dial(newKey(t))
	d.dial(newKey(t))
	if _, err := d.tryDial(newKey(t)); err == nil {
		t.Fatal("a third was let in")
	}
	first.Close()
	eventually(t, "there is room again", func() bool {
		c, err := d.tryDial(newKey(t))
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
}

func TestThoseThatDoNotAuthenticateAreLimitedAndLeave(t *testing.T) {
	d := open(t, func(c *Config) { c.MaxUnauthenticated, c.EarlyDrop = 2, 2; c.HandshakeTimeout = 300 * time.Millisecond })
	client := d.dial(newKey(t)) // authenticated: does not count
	var silent []net.Conn
	for range 2 {
		nc, err := net.Dial("tcp", d.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		silent = append(silent, nc)
	}
	eventually(t, "both are in", func() bool { return d.srv.Stats().Connections == 3 })
	third, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if text, _ := io.ReadAll(third); !strings.HasPrefix(string(text), "too many") {
		t.Errorf("the third reads %q", text)
	}
	for _, nc := range silent {
		_, _ = io.ReadAll(nc) // the handshake timeout
	}
	if code, _, _ := do(t, client, "help", ""); code != 0 {
		t.Error("the one that authenticated was cut as well")
	}
	d.dial(newKey(t))
}

func TestAFloodOfWindowChangesHarmsNothing(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := startPty(t, c, "sub x", gossh.TerminalModes{})
	d.subscribers(name(t, key, "x"), 1)
	for i := range 500 {
		if err := sub.ses.WindowChange(i, 80); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, stderr := do(t, c, "pub x", "still here"); code != 0 {
		t.Error(code, stderr)
	}
	if code := sub.wait(); code != 0 || sub.out.String() != "still here" {
		t.Errorf("%d %q", code, sub.out.String())
	}
}

func TestNothingElseIsOffered(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	if _, err := c.Dial("tcp", "127.0.0.1:22"); err == nil {
		t.Error("direct-tcpip")
	}
	if _, err := c.Listen("tcp", "127.0.0.1:0"); err == nil {
		t.Error("tcpip-forward")
	}
	ses, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer ses.Close()
	if err := ses.RequestSubsystem("sftp"); err == nil {
		t.Error("sftp")
	}
	for _, request := range []string{"auth-agent-req@openssh.com", "x11-req", "env"} {
		if ok, _ := ses.SendRequest(request, true, nil); ok {
			t.Error(request)
		}
	}
	if _, _, err := c.OpenChannel("direct-streamlocal@openssh.com", nil); err == nil {
		t.Error("direct-streamlocal")
	}
	if ok, _, err := c.SendRequest("keepalive@openssh.com", true, nil); err != nil || ok {
		t.Errorf("keepalive: %v %v", ok, err)
	}
}

func TestAClientThatVanishedIsNoticed(t *testing.T) {
	d := open(t, func(c *Config) { c.Keepalive, c.DeadAfter = 20*time.Millisecond, 50*time.Millisecond })
	key := newKey(t)
	// A connection that stays open while nobody reads from it any more.
	nc, err := net.Dial("tcp", d.addr)
	if err != nil {
		t.Fatal(err)
	}
	hole := &blackhole{Conn: nc, dead: make(chan struct{})}
	conn, chans, reqs, err := gossh.NewClientConn(hole, d.addr, &gossh.ClientConfig{
		User: "x", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := gossh.NewClient(conn, chans, reqs)
	defer nc.Close()
	start(t, c, "pub waits")
	d.producers(name(t, key, "waits"), 1)
	close(hole.dead)
	d.producers(name(t, key, "waits"), 0)
	eventually(t, "its connection is gone", func() bool { return d.srv.Stats() == Stats{} })
	// One that only says nothing is not dead.
	quiet := d.dial(key)
	start(t, quiet, "sub -k x")
	d.subscribers(name(t, key, "x"), 1)
	timer := time.NewTimer(300 * time.Millisecond)
	<-timer.C
	if d.b.Peek(name(t, key, "x")).Subscribers != 1 {
		t.Error("a silent subscriber was thrown out")
	}
}

// A blackhole drops all traffic once dead.
type blackhole struct {
	net.Conn
	dead chan struct{}
}

func (b *blackhole) Write(p []byte) (int, error) {
	select {
	case <-b.dead:
		return len(p), nil
	default:
		return b.Conn.Write(p)
	}
}

func TestShutdownTellsThoseWhoWaitToTryAgain(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c, other := d.dial(key), d.dial(key)
	waiting := []*run{start(t, c, "sub -k x"), start(t, c, "pub nobody"), start(t, other, "pub queue/nobody"), start(t, c, "pipe y"), start(t, c, "sub -p '*'")}
	d.subscribers(name(t, key, "x"), 1)
	d.producers(name(t, key, "nobody"), 1)
	d.producers(name(t, key, "queue/nobody"), 1)
	eventually(t, "all are there", func() bool { return d.srv.Stats().Sessions == len(waiting) })
	d.subscribers(name(t, key, "y"), 1)
	eventually(t, "the wildcard is there", func() bool { return d.b.Stats().Subscribers == 3 })
	d.b.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- d.srv.Shutdown(ctx) }()
	for _, r := range waiting {
		if code := r.wait(); code != 75 || !strings.HasSuffix(r.err.String(), "going down, try again\n") {
			t.Errorf("%d %q", code, r.err.String())
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownLetsTransfersFinish(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub x")
	d.subscribers(name(t, key, "x"), 1)
	pub := start(t, c, "pub x").send("first ")
	eventually(t, "it is under way", func() bool { return sub.out.String() == "first " })
	d.b.Close()
	done := make(chan error, 1)
	go func() { done <- d.srv.Shutdown(t.Context()) }()
	eventually(t, "the door is closed", func() bool { return d.srv.isDown() })
	pub.send("second").in.Close()
	if code := pub.wait(); code != 0 {
		t.Errorf("pub: %d %q", code, pub.err.String())
	}
	if code := sub.wait(); sub.out.String() != "first second" {
		t.Errorf("sub: %d %q %q", code, sub.out.String(), sub.err.String())
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsWhatDoesNotFinishInTime(t *testing.T) {
	d := open(t, nil)
	key := newKey(t)
	c := d.dial(key)
	sub := start(t, c, "sub x")
	d.subscribers(name(t, key, "x"), 1)
	pub := start(t, c, "pub x").send("endless")
	eventually(t, "it is under way", func() bool { return sub.out.String() == "endless" })
	d.b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.srv.Shutdown(ctx) }()
	cancel()
	if code := pub.wait(); code != 75 || !strings.Contains(pub.err.String(), "try again") {
		t.Errorf("pub: %d %q", code, pub.err.String())
	}
	if code := sub.wait(); code == 0 {
		t.Error("half a message, and exit 0")
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

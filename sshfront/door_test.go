package sshfront

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

// A door is a server under test on a loopback port.
type door struct {
	t      *testing.T
	b      *broker.Broker
	srv    *Server
	addr   string
	log    *lockedBuffer
	served chan error
}

func open(t *testing.T, change func(*Config)) *door {
	t.Helper()
	d := &door{t: t, b: broker.New(broker.Options{Stall: 200 * time.Millisecond}), log: &lockedBuffer{}, served: make(chan error, 1)}
	cfg := Config{Broker: d.b, DataDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(d.log, nil))}
	if change != nil {
		change(&cfg)
		d.b = cfg.Broker
	}
	srv, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.srv, d.addr = srv, l.Addr().String()
	go func() { d.served <- srv.Serve(l) }()
	t.Cleanup(func() {
		d.b.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // cut what is left
		_ = srv.Shutdown(ctx)
		if err := <-d.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if s := srv.Stats(); s != (Stats{}) {
			t.Errorf("after shutdown %+v", s)
		}
		s := d.b.Stats()
		if s.Channels+s.Producers+s.Consumers+s.Subscribers+s.Publishers+s.Transfers != 0 {
			t.Errorf("left in the broker: %+v", s)
		}
	})
	return d
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits for a fact that has no event to wait for.
func eventually(t *testing.T, what string, fact func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("it never came true that %s", what)
		}
	}
}

func newKey(t *testing.T) gossh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// dial connects with the Go client.
func (d *door) dial(keys ...gossh.Signer) *gossh.Client {
	d.t.Helper()
	c, err := d.tryDial(keys...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { c.Close() })
	return c
}

func (d *door) tryDial(keys ...gossh.Signer) (*gossh.Client, error) {
	return gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
		User:            "anybody",
		Auth:            []gossh.AuthMethod{gossh.PublicKeys(keys...)},
		HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		Timeout:         10 * time.Second,
	})
}

// A run is a command under way on one session.
type run struct {
	t        *testing.T
	ses      *gossh.Session
	in       io.WriteCloser
	out, err lockedBuffer
}

// start begins a command; its stdin stays open.
func start(t *testing.T, c *gossh.Client, cmd string) *run {
	t.Helper()
	return startPty(t, c, cmd, nil)
}

func startPty(t *testing.T, c *gossh.Client, cmd string, modes gossh.TerminalModes) *run {
	t.Helper()
	ses, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, ses: ses}
	ses.Stdout, ses.Stderr = &r.out, &r.err
	if r.in, err = ses.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if modes != nil {
		if err := ses.RequestPty("xterm", 24, 80, modes); err != nil {
			t.Fatal(err)
		}
	}
	if err := ses.Start(cmd); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *run) send(text string) *run {
	r.t.Helper()
	if _, err := io.WriteString(r.in, text); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// wait returns the exit status; -1 if there was none.
func (r *run) wait() int {
	r.t.Helper()
	return status(r.ses.Wait())
}

func status(err error) int {
	var exit *gossh.ExitError
	var local *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitStatus()
	case errors.As(err, &local):
		return local.ExitCode()
	}
	return -1
}

// do runs a command to its end with text as stdin.
func do(t *testing.T, c *gossh.Client, cmd, text string) (code int, stdout, stderr string) {
	t.Helper()
	r := start(t, c, cmd)
	_, _ = io.WriteString(r.in, text) // fails when the command does not read it
	r.in.Close()
	code = r.wait()
	return code, r.out.String(), r.err.String()
}

// name is a channel of the key's own.
func name(t *testing.T, key gossh.Signer, topic string) broker.Name {
	t.Helper()
	return parse(t, KeyNamespace(key.PublicKey())+"/"+topic)
}

func parse(t *testing.T, full string) broker.Name {
	t.Helper()
	n, err := broker.ParseName(full)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// subscribers waits until so many follow the channel.
func (d *door) subscribers(n broker.Name, want int) {
	d.t.Helper()
	eventually(d.t, n.String()+" has "+strconv.Itoa(want)+" subscribers", func() bool { return d.b.Peek(n).Subscribers == want })
}

func (d *door) producers(n broker.Name, want int) {
	d.t.Helper()
	eventually(d.t, n.String()+" has "+strconv.Itoa(want)+" producers", func() bool { return d.b.Peek(n).Producers == want })
}

// An openSSH runs the real client with one key.
type openSSH struct {
	t    *testing.T
	args []string
	key  gossh.Signer
}

func (d *door) openSSH() *openSSH {
	d.t.Helper()
	if _, err := exec.LookPath("ssh"); err != nil {
		d.t.Fatal("no OpenSSH client here; run make test, which installs it")
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	block, err := gossh.MarshalPrivateKey(key, "")
	if err != nil {
		d.t.Fatal(err)
	}
	file := filepath.Join(d.t.TempDir(), "key")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		d.t.Fatal(err)
	}
	signer, err := gossh.NewSignerFromKey(key)
	if err != nil {
		d.t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(d.addr)
	return &openSSH{t: d.t, key: signer, args: []string{
		"-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		"-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "LogLevel=ERROR", "-i", file, "-p", port,
	}}
}

// command is `ssh [options] 127.0.0.1 words…`; options come before the first "--".
func (o *openSSH) command(words ...string) *exec.Cmd {
	args := append([]string{}, o.args...)
	for i, w := range words {
		if w == "--" {
			args = append(args, words[:i]...)
			words = words[i+1:]
			break
		}
	}
	cmd := exec.Command("ssh", append(append(args, "127.0.0.1"), words...)...)
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

func (o *openSSH) do(stdin string, words ...string) (code int, stdout, stderr string) {
	o.t.Helper()
	cmd := o.command(words...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	return status(err), out.String(), errs.String()
}

// authorized is the client's public key as a line of text.
func authorized(o *openSSH) string { return string(gossh.MarshalAuthorizedKey(o.key.PublicKey())) }

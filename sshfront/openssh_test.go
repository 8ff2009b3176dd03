package sshfront

import (
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpenSSHPubAndSub(t *testing.T) {
	d := open(t, nil)
	ssh := d.openSSH()
	text := strings.Repeat("0123456789abcde\n", 1<<16) // 1 MiB
	sub := ssh.command("sub", "doc")
	var got bytes.Buffer
	sub.Stdout = &got
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	d.subscribers(name(t, ssh.key, "doc"), 1)
	if code, out, stderr := ssh.do(text, "pub", "doc"); code != 0 || out != "" || stderr != "" {
		t.Errorf("pub: %d %q %q", code, out, stderr)
	}
	if err := sub.Wait(); err != nil || got.String() != text {
		t.Errorf("sub: %v, %d bytes", err, got.Len())
	}
}

func TestOpenSSHReportsTheExitStatus(t *testing.T) {
	d := open(t, nil)
	ssh := d.openSSH()
	for cmd, want := range map[string]int{
		"help": 0, "": 0, "pub -b=false x": 0, "pipe x": 0,
		"pub -t 1ms x": 1, "sub key-aaaaaaaaaaaaaaaa/x": 1,
		"pub 'x": 2, "nonsense": 2,
	} {
		for _, tty := range []string{"-T", "-tt"} {
			if code, _, stderr := ssh.do("", tty, "--", cmd); code != want {
				t.Errorf("ssh %s %q: %d %q", tty, cmd, code, stderr)
			}
		}
	}
}

func TestOpenSSHAQueueMessageIsTaken(t *testing.T) {
	d := open(t, nil)
	ssh := d.openSSH()
	sub := ssh.command("sub", "queue/jobs")
	var got bytes.Buffer
	sub.Stdout = &got
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	d.subscribers(name(t, ssh.key, "queue/jobs"), 1)
	for _, cmd := range []string{"pub queue/jobs", "pub -l queue/jobs", "pub -e queue/jobs"} {
		if code, _, stderr := ssh.do("job\n", cmd); code != 0 {
			t.Errorf("%d %q", code, stderr)
		}
	}
	if err := sub.Wait(); err != nil || got.String() != "job\njob\n" {
		t.Errorf("%v %q", err, got.String())
	}
}

func TestOpenSSHAKilledPublisherDidNotEnd(t *testing.T) {
	d := open(t, nil)
	ssh := d.openSSH()
	c := d.dial(ssh.key)
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		sub := start(t, c, "sub doc")
		d.subscribers(name(t, ssh.key, "doc"), 1)
		pub := ssh.command("pub", "doc")
		in, err := pub.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := pub.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, "half"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "half of it arrived", func() bool { return sub.out.String() == "half" })
		_ = pub.Process.Signal(signal)
		_ = pub.Wait()
		if code := sub.wait(); code != 1 || !strings.Contains(sub.err.String(), "cut short") {
			t.Errorf("%v: sub: %d %q", signal, code, sub.err.String())
		}
	}
}

// With a master connection the session's client dies and the connection stays.
// OpenSSH's master passes that on when something next wakes it: our keepalive.
func TestOpenSSHAKilledPublisherOfASharedConnection(t *testing.T) {
	d := open(t, func(c *Config) { c.Keepalive = 100 * time.Millisecond })
	ssh := d.openSSH()
	socket := filepath.Join(t.TempDir(), "s")
	master := ssh.command("-M", "-N", "-S", socket, "--")
	if err := master.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = master.Process.Kill(); _ = master.Wait() }()
	eventually(t, "the master is there", func() bool {
		return exec.Command("ssh", "-S", socket, "-O", "check", "x").Run() == nil
	})
	c := d.dial(ssh.key)
	sub := start(t, c, "sub doc")
	d.subscribers(name(t, ssh.key, "doc"), 1)
	pub := ssh.command("-S", socket, "--", "pub", "doc")
	in, err := pub.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "half"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "half of it arrived", func() bool { return sub.out.String() == "half" })
	_ = pub.Process.Kill()
	_ = pub.Wait()
	if code := sub.wait(); code != 1 || !strings.Contains(sub.err.String(), "cut short") {
		t.Errorf("sub: %d %q", code, sub.err.String())
	}
	if code, _, stderr := ssh.do("", "-S", socket, "--", "help"); code != 0 {
		t.Errorf("the shared connection suffered: %d %q", code, stderr)
	}
}

func TestOpenSSHWithoutATerminalBytesPassUntouched(t *testing.T) {
	d := open(t, nil)
	ssh := d.openSSH()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	sub := ssh.command("sub", "bytes")
	var got bytes.Buffer
	sub.Stdout = &got
	if err := sub.Start(); err != nil {
		t.Fatal(err)
	}
	d.subscribers(name(t, ssh.key, "bytes"), 1)
	if code, _, stderr := ssh.do(string(all), "pub", "bytes"); code != 0 {
		t.Error(code, stderr)
	}
	if err := sub.Wait(); err != nil || !bytes.Equal(got.Bytes(), all) {
		t.Errorf("%v %q", err, got.Bytes())
	}
}

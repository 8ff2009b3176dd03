package sshfront

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/tunnel"
)

// forwarding lets everybody connect to loopback addresses but not to port 9.
func forwarding(c *Config) {
	c.Dial = tunnel.NewDialer(tunnel.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).DialContext
	c.MayForward = func(_ context.Context, _ Caller, hostPort string) error {
		if strings.HasSuffix(hostPort, ":9") {
			return errors.New("no pattern of yours allows it")
		}
		return nil
	}
}

// listening serves each connection to a loopback port with serve.
func listening(t *testing.T, serve func(*net.TCPConn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer nc.Close()
				serve(nc.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return l.Addr().String()
}

// counting answers with the sum of all it reads, once that has ended.
func counting(nc *net.TCPConn) {
	sum := sha256.New()
	n, _ := io.Copy(sum, nc)
	fmt.Fprintf(nc, "%d %x", n, sum.Sum(nil))
}

func random(t *testing.T, n int) (data []byte, sum string) {
	t.Helper()
	data = make([]byte, n)
	_, _ = rand.Read(data)
	return data, fmt.Sprintf("%d %x", n, sha256.Sum256(data))
}

func (d *door) noForwards() {
	d.t.Helper()
	eventually(d.t, "no forward is left", func() bool { return d.srv.Stats().Forwards == 0 })
}

func TestOpenSSHStdioIsForwardedAndEndsHalfByHalf(t *testing.T) {
	d := open(t, forwarding)
	ssh := d.openSSH()
	data, sum := random(t, 5<<20)
	// The client ends first.
	if code, out, stderr := ssh.do(string(data), "-W", listening(t, counting), "--"); code != 0 || out != sum {
		t.Errorf("%d %q %q, want %q", code, out, stderr, sum)
	}
	// The target ends first, and still hears the client.
	heard := make(chan string, 1)
	target := listening(t, func(nc *net.TCPConn) {
		_, _ = nc.Write(data)
		_ = nc.CloseWrite()
		rest, _ := io.ReadAll(nc)
		heard <- string(rest)
	})
	ch, err := d.dial(ssh.key).Dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(ch); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
	fmt.Fprint(ch, "thank you")
	ch.Close()
	if got := <-heard; got != "thank you" {
		t.Errorf("the target heard %q", got)
	}
	d.noForwards()
}

// What a client sent before it went is delivered, even to a target that takes its
// time.
func TestWhatWasSentBeforeTheConnectionEndedArrives(t *testing.T) {
	d := open(t, forwarding)
	data, sum := random(t, 1<<20)
	gone, heard := make(chan struct{}), make(chan string, 1)
	target := listening(t, func(nc *net.TCPConn) {
		_ = nc.SetReadBuffer(64 << 10)
		<-gone
		h := sha256.New()
		n, _ := io.Copy(h, nc)
		heard <- fmt.Sprintf("%d %x", n, h.Sum(nil))
	})
	c := d.dial(newKey(t))
	ch, err := c.Dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ch.Write(data); err != nil {
		t.Fatal(err)
	}
	// The answer says that the relay has all of it.
	if _, _, err := c.SendRequest("anything", true, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	eventually(t, "the connection is gone", func() bool { return d.srv.Stats().Connections == 0 })
	close(gone)
	if got := <-heard; got != sum {
		t.Errorf("%s, want %s", got, sum)
	}
	d.noForwards()
}

func TestATargetIsLeftWhenTheClientVanishes(t *testing.T) {
	d := open(t, forwarding)
	ssh := d.openSSH()
	ended := make(chan struct{}, 1)
	target := listening(t, func(nc *net.TCPConn) {
		fmt.Fprint(nc, "hello")
		_, _ = io.Copy(io.Discard, nc)
		// It does not hang up by itself: only then the next read fails.
		for {
			if _, err := nc.Write(make([]byte, 32<<10)); err != nil {
				break
			}
		}
		ended <- struct{}{}
	})
	cmd := ssh.command("-W", target, "--")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out lockedBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is connected", func() bool { return out.String() == "hello" })
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	<-ended
	d.noForwards()
	eventually(t, "nothing is left", func() bool { return d.srv.Stats() == Stats{} })
}

func TestOpenSSHLocalForwards(t *testing.T) {
	d := open(t, forwarding)
	ssh := d.openSSH()
	port := freePort(t)
	cmd := ssh.command("-N", "-o", "ExitOnForwardFailure=yes", "-L", port+":"+listening(t, counting), "--")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	dial := func() (nc net.Conn, err error) { return net.Dial("tcp", "127.0.0.1:"+port) }
	eventually(t, "the port is open", func() bool {
		nc, err := dial()
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			data, sum := random(t, 100_000)
			nc, err := dial()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			_, _ = nc.Write(data)
			_ = nc.(*net.TCPConn).CloseWrite()
			if got, err := io.ReadAll(nc); err != nil || string(got) != sum {
				t.Errorf("%v %q", err, got)
			}
		})
	}
	all.Wait()
	d.noForwards()
}

func TestForwardsAreRefusedInOneLine(t *testing.T) {
	d := open(t, forwarding)
	ssh := d.openSSH()
	c := d.dial(ssh.key)
	closed := freePort(t)
	type direct struct {
		Host       string
		Port       uint32
		Origin     string
		OriginPort uint32
	}
	for _, test := range []struct {
		target direct
		reason gossh.RejectionReason
		want   string
	}{
		{direct{"127.0.0.1", 9, "", 0}, gossh.Prohibited, "no pattern of yours"},
		{direct{"10.0.0.1", 22, "", 0}, gossh.Prohibited, "--egress-allow"},
		{direct{"169.254.169.254", 80, "", 0}, gossh.Prohibited, "--egress-allow"},
		{direct{"::1", 22, "", 0}, gossh.Prohibited, "--egress-allow"},
		{direct{"127.0.0.1", uint32(number(t, closed)), "", 0}, gossh.ConnectionFailed, "connect"},
		{direct{"127.0.0.1", 0, "", 0}, gossh.ConnectionFailed, "port"},
		{direct{"127.0.0.1", 65536, "", 0}, gossh.ConnectionFailed, "port"},
		{direct{"", 22, "", 0}, gossh.ConnectionFailed, "host"},
		{direct{"a b", 22, "", 0}, gossh.ConnectionFailed, "host"},
		{direct{"[::1]", 22, "", 0}, gossh.ConnectionFailed, "host"},
		{direct{"root@127.0.0.1", 22, "", 0}, gossh.ConnectionFailed, "host"},
		{direct{"x\n\x1b[2J", 22, "", 0}, gossh.ConnectionFailed, "host"},
	} {
		_, _, err := c.OpenChannel("direct-tcpip", gossh.Marshal(test.target))
		var refused *gossh.OpenChannelError
		if !errors.As(err, &refused) || refused.Reason != test.reason || !strings.Contains(refused.Message, test.want) || strings.ContainsAny(refused.Message, "\n\x1b") {
			t.Errorf("%v: %v", test.target, err)
		}
	}
	if _, _, err := c.OpenChannel("direct-tcpip", []byte("rubbish")); err == nil {
		t.Error("rubbish")
	}
	code, out, stderr := ssh.do("", "-v", "-W", "127.0.0.1:9", "--") // it says why from this level on
	if code == 0 || out != "" || !strings.Contains(stderr, "administratively prohibited: no pattern of yours allows it") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	d.noForwards()
}

func TestForwardsCountAsSessions(t *testing.T) {
	d := open(t, func(c *Config) { forwarding(c); c.MaxSessions = 2 })
	c := d.dial(newKey(t))
	target := listening(t, func(nc *net.TCPConn) { _, _ = io.Copy(nc, nc) })
	first, err := c.Dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.NewSession(); err != nil {
		t.Fatal(err)
	}
	_, err = c.Dial("tcp", target)
	var refused *gossh.OpenChannelError
	if !errors.As(err, &refused) || refused.Reason != gossh.ResourceShortage {
		t.Errorf("the third: %v", err)
	}
	first.Close()
	eventually(t, "there is room again", func() bool {
		again, err := c.Dial("tcp", target)
		if err == nil {
			again.Close()
		}
		return err == nil
	})
}

func TestACertificateForwardsOnlyIfItSaysSo(t *testing.T) {
	authority, key := newKey(t), newKey(t)
	d := open(t, func(c *Config) {
		forwarding(c)
		c.TrustedCAs = []gossh.PublicKey{authority.PublicKey()}
		c.Tunnels = tunnel.NewRegistry(tunnel.RegistryOptions{})
		c.MayTunnel = func(context.Context, Caller, string) (string, error) { return "x", nil }
	})
	target := listening(t, counting)
	without := d.dial(certified(t, key, authority, nil))
	if _, err := without.Dial("tcp", target); err == nil || !strings.Contains(err.Error(), "permit-port-forwarding") {
		t.Error(err)
	}
	if ask(t, without, "tcpip-forward", "web-demo", 80) {
		t.Error("published")
	}
	with := d.dial(certified(t, key, authority, func(c *gossh.Certificate) {
		c.Extensions = map[string]string{"permit-port-forwarding": ""}
	}))
	ch, err := with.Dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	ch.Close()
	if !ask(t, with, "tcpip-forward", "web-demo", 80) {
		t.Error("not published")
	}
}

func TestShutdownLetsForwardsFinishAndThenCutsThem(t *testing.T) {
	for _, patient := range []bool{true, false} {
		d := open(t, forwarding)
		ch, err := d.dial(newKey(t)).Dial("tcp", listening(t, func(nc *net.TCPConn) { _, _ = io.Copy(nc, nc) }))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		down := make(chan error, 1)
		go func() { down <- d.srv.Shutdown(ctx) }()
		eventually(t, "the server is on its way", d.srv.isDown)
		fmt.Fprint(ch, "echo")
		if _, err := io.ReadFull(ch, make([]byte, 4)); err != nil {
			t.Error(err)
		}
		if patient {
			ch.Close()
		} else {
			cancel()
			if rest, _ := io.ReadAll(ch); len(rest) != 0 {
				t.Errorf("%q", rest)
			}
		}
		if err := <-down; patient != (err == nil) {
			t.Errorf("patient %v: %v", patient, err)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A jump is Debian's sshd behind the relay, and a configuration with which the
// client reaches it through there as "target".
type jump struct{ config string }

func (d *door) jump(ssh *openSSH) jump {
	t := d.t
	t.Helper()
	sshd := program(t, "sshd")
	dir, port := t.TempDir(), freePort(t)
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if me.Uid == "0" { // sshd wants it then
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hostKey := filepath.Join(dir, "host")
	if out, err := exec.Command(program(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", hostKey).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	config := write("sshd_config", strings.Join([]string{
		"Port " + port, "ListenAddress 127.0.0.1", "HostKey " + hostKey, "PidFile none", "StrictModes no", "UsePAM no",
		"AuthorizedKeysFile " + write("authorized", authorized(ssh)), "PermitRootLogin yes", "Subsystem sftp internal-sftp", "",
	}, "\n"))
	server := exec.Command(sshd, "-D", "-e", "-f", config)
	var said lockedBuffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	eventually(t, "sshd listens", func() bool {
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			nc.Close()
		}
		return err == nil
	})
	_, relay, _ := net.SplitHostPort(d.addr)
	var key string
	for i, a := range ssh.args {
		if a == "-i" {
			key = ssh.args[i+1]
		}
	}
	return jump{write("ssh_config", strings.Join([]string{
		"Host relay", "HostName 127.0.0.1", "Port " + relay,
		"Host target", "HostName 127.0.0.1", "Port " + port, "User " + me.Username,
		"Host *", "IdentityFile " + key, "IdentitiesOnly yes", "IdentityAgent none", "StrictHostKeyChecking no",
		"UserKnownHostsFile /dev/null", "LogLevel ERROR", "",
	}, "\n"))}
}

func TestOpenSSHJumpsToARealServer(t *testing.T) {
	d := open(t, forwarding)
	j := d.jump(d.openSSH())
	login := exec.Command("ssh", "-F", j.config, "-J", "relay", "target", "echo from there; cat; exit 7")
	login.Stdin = strings.NewReader("and back")
	out, err := login.Output()
	if status(err) != 7 || string(out) != "from there\nand back" {
		t.Errorf("%v %q", err, out)
	}
	d.noForwards()
}

func TestOpenSSHCopiesThroughAJump(t *testing.T) {
	size := int64(64 << 20)
	if os.Getenv("PATCHWORK_LONG") != "" {
		size = 1 << 30
	}
	d := open(t, forwarding)
	j := d.jump(d.openSSH())
	scp := program(t, "scp")
	dir := t.TempDir()
	file, there, back := filepath.Join(dir, "file"), filepath.Join(dir, "there"), filepath.Join(dir, "back")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, way := range [][2]string{{file, "target:" + there}, {"target:" + there, back}} {
		if out, err := exec.Command(scp, "-q", "-F", j.config, "-o", "ProxyJump=relay", way[0], way[1]).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	if want := sumOf(t, file); sumOf(t, there) != want || sumOf(t, back) != want {
		t.Error("the copies are not the same")
	}
	d.noForwards()
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

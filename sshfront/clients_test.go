package sshfront

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program fails the test when a program of the machine is missing: a skipped test is
// a claim nobody checked.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; 'make test' installs what the tests need", err)
	}
	return path
}

func TestOpenSSHManySessionsOnOneConnection(t *testing.T) {
	d := open(t, nil)
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
	var subs []*exec.Cmd
	var outs []*bytes.Buffer
	for range 20 {
		sub, out := ssh.command("-S", socket, "--", "sub", "news"), &bytes.Buffer{}
		sub.Stdout = out
		if err := sub.Start(); err != nil {
			t.Fatal(err)
		}
		subs, outs = append(subs, sub), append(outs, out)
	}
	d.subscribers(name(t, ssh.key, "news"), len(subs))
	if got := d.srv.Stats(); got.Connections != 1 || got.Sessions != len(subs) {
		t.Errorf("%+v", got)
	}
	if code, _, stderr := ssh.do("to all", "-S", socket, "--", "pub", "news"); code != 0 {
		t.Errorf("%d %q", code, stderr)
	}
	for i, sub := range subs {
		if err := sub.Wait(); err != nil || outs[i].String() != "to all" {
			t.Errorf("%d: %v %q", i, err, outs[i])
		}
	}
}

// -n is stdin from /dev/null, -T and -tt say whether there is a terminal.
func TestOpenSSHWithAllSortsOfStdin(t *testing.T) {
	d := open(t, nil)
	ssh := d.openSSH()
	for _, flag := range []string{"-n", "-T", "-tt"} {
		sub := ssh.command(flag, "--", "sub", "x")
		var out bytes.Buffer
		sub.Stdout = &out
		stdin, err := sub.StdinPipe() // stays open
		if err != nil {
			t.Fatal(err)
		}
		defer stdin.Close()
		if err := sub.Start(); err != nil {
			t.Fatal(err)
		}
		d.subscribers(name(t, ssh.key, "x"), 1)
		if code, _, stderr := ssh.do("a\nb\n", "-T", "--", "pub x"); code != 0 {
			t.Errorf("pub: %d %q", code, stderr)
		}
		want := "a\nb\n"
		if flag == "-tt" {
			want = "a\r\nb\r\n"
		}
		if err := sub.Wait(); err != nil || out.String() != want {
			t.Errorf("%s: %v %q", flag, err, out.String())
		}
	}
	if code, _, stderr := ssh.do("ignored", "-n", "--", "pub -b=false x"); code != 0 {
		t.Errorf("%d %q", code, stderr)
	}
}

func TestAutosshComesBack(t *testing.T) {
	autossh := program(t, "autossh")
	d := open(t, nil)
	ssh := d.openSSH()
	n := name(t, ssh.key, "alerts")
	cmd := exec.Command(autossh, append(append([]string{"-M", "0"}, ssh.args...), "127.0.0.1", "sub -k alerts")...)
	cmd.Env = append(os.Environ(), "AUTOSSH_GATETIME=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = 10 * time.Second
	var out lockedBuffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It forgets a signal that comes while it starts an ssh: end both at once.
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); _ = cmd.Wait() }()
	for i := range 3 {
		d.subscribers(n, 1)
		if code, _, stderr := ssh.do(strconv.Itoa(i), "pub", "alerts"); code != 0 {
			t.Errorf("%d %q", code, stderr)
		}
		eventually(t, "the alert arrived", func() bool { return out.String() == "012"[:i+1] })
		d.cutAll()
	}
	d.subscribers(n, 1)
}

// cutAll cuts every connection, as a network would.
func (d *door) cutAll() {
	l := &d.srv.limits
	l.mu.Lock()
	var all []*conn
	for c := range l.open {
		all = append(all, c)
	}
	l.mu.Unlock()
	for _, c := range all {
		c.Close()
	}
}

// The first Python that has paramiko; Debian's is not always the one in PATH.
func paramiko(t *testing.T) string {
	t.Helper()
	for _, python := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(python, "-c", "import paramiko").Run() == nil {
			return python
		}
	}
	t.Fatal("no Python with paramiko (Debian's python3-paramiko); 'make test' installs what the tests need")
	return ""
}

const paramikoTalk = `
import sys, paramiko
c = paramiko.SSHClient()
c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect("127.0.0.1", port=int(sys.argv[1]), username="x", key_filename=sys.argv[2],
          allow_agent=False, look_for_keys=False)
_, sub, _ = c.exec_command("sub doc")
i, o, e = c.exec_command("pub doc")
i.write(b"from python\n" * 10000)
i.channel.shutdown_write()
text = sub.read()
assert text == b"from python\n" * 10000, len(text)
assert o.channel.recv_exit_status() == 0, e.read()
assert sub.channel.recv_exit_status() == 0
_, o, e = c.exec_command("nonsense")
assert o.channel.recv_exit_status() == 2, e.read()
c.close()
print("done", flush=True)
`

func TestParamikoPubAndSub(t *testing.T) {
	python := paramiko(t)
	d := open(t, nil)
	ssh := d.openSSH()
	_, port, _ := net.SplitHostPort(d.addr)
	var key string
	for i, arg := range ssh.args {
		if arg == "-i" {
			key = ssh.args[i+1]
		}
	}
	out, err := exec.Command(python, "-W", "ignore", "-c", paramikoTalk, port, key).Output()
	if err != nil || strings.TrimSpace(string(out)) != "done" {
		t.Errorf("%v\n%s", err, out)
	}
}

// The tools of OpenSSH make the authority and the certificates.
func TestOpenSSHCertificates(t *testing.T) {
	keygen := program(t, "ssh-keygen")
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca")
	if out, err := exec.Command(keygen, "-q", "-t", "ed25519", "-N", "", "-f", ca).CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	keys, err := ReadCAs(ca + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	d := open(t, func(c *Config) { c.TrustedCAs = keys })
	for _, x := range []struct {
		what string
		sign []string
		user string
		want string // what help says one is
	}{
		{"a good one", []string{"-n", "alice,bob", "-V", "-1m:+1h"}, "alice", "alice"},
		{"from here", []string{"-n", "alice", "-O", "source-address=127.0.0.1/32"}, "alice", "alice"},
		{"expired", []string{"-n", "alice", "-V", "20200101:20200102"}, "alice", "key-"},
		{"somebody else's", []string{"-n", "bob"}, "alice", "key-"},
		{"without a principal", nil, "alice", "key-"},
		{"from elsewhere", []string{"-n", "alice", "-O", "source-address=192.0.2.1/32"}, "alice", "key-"},
		{"for one command", []string{"-n", "alice", "-O", "force-command=help pub"}, "alice", ""},
	} {
		ssh := d.openSSH()
		key := ssh.args[len(ssh.args)-3]
		if err := os.WriteFile(key+".pub", []byte(authorized(ssh)), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append([]string{"-q", "-s", ca, "-I", "test"}, x.sign...)
		if out, err := exec.Command(keygen, append(args, key+".pub")...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v %s", x.what, err, out)
		}
		// Named so, the certificate is offered before the bare key, which would do
		// as well: then it is an unknown one.
		code, out, stderr := ssh.do("", "-l", x.user, "-o", "CertificateFile="+key+"-cert.pub", "--", "help")
		_, me, _ := strings.Cut(out, "\nare ")
		if code != 0 || !strings.HasPrefix(me, x.want) {
			t.Errorf("%s: %d, is %.20q %q", x.what, code, me, stderr)
		}
		if x.want == "" && !strings.HasPrefix(out, "pub [TOPIC]") {
			t.Errorf("%s: %.40q", x.what, out)
		}
	}
}

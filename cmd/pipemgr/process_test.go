package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a program under test whose output is collected by line.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	ends chan struct{} // closed when it is gone
	err  error         // of Wait; read after ends

	mu    sync.Mutex // guards lines
	lines []string
	more  chan struct{} // has room for one: there are more lines
}

// start runs a command until the test ends it; out is the pipe its lines come from.
func start(t *testing.T, cmd *exec.Cmd, out io.Reader) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, ends: make(chan struct{}), more: make(chan struct{}, 1)}
	must(t, cmd.Start())
	go p.read(out) // ends with the process, which stop waits for
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *process) read(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			p.mu.Lock()
			p.lines = append(p.lines, strings.TrimSuffix(line, "\n"))
			p.mu.Unlock()
			select {
			case p.more <- struct{}{}:
			default:
			}
		}
		if err != nil {
			break
		}
	}
	p.err = p.cmd.Wait()
	close(p.ends)
}

func (p *process) got() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// until waits until the lines are as wanted. Only one goroutine may.
func (p *process) until(what string, wanted func(lines []string) bool) []string {
	p.t.Helper()
	late := time.After(longest)
	for {
		lines := p.got()
		if wanted(lines) {
			return lines
		}
		select {
		case <-p.more:
		case <-p.ends:
			if lines := p.got(); wanted(lines) {
				return lines
			}
			p.t.Fatalf("ended (%v) before %s:\n%s", p.err, what, strings.Join(tail10(p.got()), "\n"))
		case <-late:
			p.t.Fatalf("it never came true that %s; %d lines, the last of them:\n%s", what, len(lines), strings.Join(tail10(lines), "\n"))
		}
	}
}

func tail10(lines []string) []string { return lines[max(0, len(lines)-10):] }

// says waits for a line that holds a text.
func (p *process) says(text string) {
	p.t.Helper()
	p.until("it says "+text, func(lines []string) bool {
		return slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, text) })
	})
}

// kill ends it at once, if it has not ended yet.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.ends
}

// stop ends it as one should, and fails the test if it does not end with 0.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ends:
	case <-time.After(longest):
		p.t.Fatalf("%s did not end:\n%s", p.cmd.Path, strings.Join(tail10(p.got()), "\n"))
	}
	text := strings.Join(p.got(), "\n")
	if p.err != nil || strings.Contains(text, "DATA RACE") || strings.Contains(text, "panic") {
		p.t.Fatalf("%s ended with %v:\n%s", p.cmd.Path, p.err, text)
	}
}

// A relayUnderTest is a 'patchwork start' with its data in one folder, and a key that
// has topics there.
type relayUnderTest struct {
	*process
	t          *testing.T
	dir        string
	http, addr string
}

var listening = regexp.MustCompile(`msg=listening http=(\S+) ssh=(\S+)`)

func startRelay(t *testing.T, flags ...string) *relayUnderTest {
	t.Helper()
	r := &relayUnderTest{t: t, dir: t.TempDir()}
	if out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", r.key()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s; 'make test' installs what the tests need", err, out)
	}
	r.start("0", flags...)
	return r
}

func (r *relayUnderTest) key() string { return filepath.Join(r.dir, "key") }

// start runs the relay, which may have run before, with its SSH door at a port.
func (r *relayUnderTest) start(port string, flags ...string) {
	r.t.Helper()
	args := append([]string{"start", "--bind", "127.0.0.1", "--port", "0", "--ssh-port", port, "--data-dir", filepath.Join(r.dir, "data")}, flags...)
	cmd := exec.Command(program(r.t, "patchwork"), args...)
	out, err := cmd.StderrPipe()
	must(r.t, err)
	r.process = start(r.t, cmd, out)
	r.says("msg=listening")
	found := listening.FindStringSubmatch(strings.Join(r.got(), "\n"))
	r.http, r.addr = found[1], found[2]
}

// again starts the relay where it was.
func (r *relayUnderTest) again(flags ...string) {
	r.t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	r.start(port, flags...)
}

// ssh is the machine's own client with the key.
func (r *relayUnderTest) ssh(command string) *exec.Cmd {
	host, port, _ := net.SplitHostPort(r.addr)
	return exec.Command("ssh", "-F", "none", "-T", "-p", port, "-i", r.key(), "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
		"-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=accept-new", "-o", "UserKnownHostsFile="+filepath.Join(r.dir, "known_hosts"),
		"-o", "LogLevel=ERROR", host, command)
}

// subscribe starts 'ssh … sub -k container-drain', and returns when the relay has it.
func (r *relayUnderTest) subscribe() *process {
	r.t.Helper()
	return r.subscribeBy(r.ssh)
}

// subscribeBy does so with an ssh of the caller's.
func (r *relayUnderTest) subscribeBy(ssh func(command string) *exec.Cmd) *process {
	r.t.Helper()
	cmd := ssh("sub -k container-drain")
	out, err := cmd.StdoutPipe()
	must(r.t, err)
	sub := start(r.t, cmd, out)
	must(r.t, await("the relay has the subscriber", func() error {
		text, err := ssh("ls -json").Output()
		if err != nil {
			return err
		}
		var topics []struct {
			Topic       string
			Subscribers int
		}
		if err := json.Unmarshal(text, &topics); err != nil {
			return err
		}
		for _, topic := range topics {
			if strings.HasSuffix(topic.Topic, "/container-drain") && topic.Subscribers > 0 {
				return nil
			}
		}
		return fmt.Errorf("%s", text)
	}))
	return sub
}

// A mgr is a running pipemgr.
type mgr struct {
	*process
	health string // URL
}

// pipemgr starts pipemgr at an engine and a relay, both connected when it returns. The
// flags override those that are the same in all tests.
func pipemgr(t *testing.T, dockerHost string, r *relayUnderTest, flags ...string) *mgr {
	t.Helper()
	m := launch(t, dockerHost, r, flags...)
	must(t, await("pipemgr is connected", func() error {
		h, status := m.ask()
		if status != http.StatusOK {
			return errors.New(h.why())
		}
		return nil
	}))
	return m
}

// launch does not wait for the connections. The Docker Engine is named by the path of its
// socket, or as in DOCKER_HOST.
func launch(t *testing.T, dockerHost string, r *relayUnderTest, flags ...string) *mgr {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	args := append([]string{"--relay", r.addr, "--key", r.key(), "--health", "127.0.0.1:0", "--state-dir", "off"}, flags...)
	cmd := exec.Command(self, args...)
	if strings.HasPrefix(dockerHost, "/") {
		dockerHost = "unix://" + dockerHost
	}
	cmd.Env = append(os.Environ(), asPipemgr+"=1", "DOCKER_HOST="+dockerHost)
	out, err := cmd.StderrPipe()
	must(t, err)
	m := &mgr{process: start(t, cmd, out)}
	m.says("msg=listening")
	for _, l := range m.got() {
		if _, address, ok := strings.Cut(l, "msg=listening health="); ok {
			m.health = "http://" + address + "/health"
		}
	}
	return m
}

// ask asks for /health.
func (m *mgr) ask() (h health, status int) {
	m.t.Helper()
	resp, err := http.Get(m.health)
	must(m.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(m.t, err)
	if strings.Count(string(text), "\n") != 1 {
		m.t.Errorf("/health is not one line: %q", text)
	}
	must(m.t, json.Unmarshal(text, &h))
	return h, resp.StatusCode
}

package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// unredirected takes a redirect for an answer.
var unredirected = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// front runs a proxy until the test ends. It is ready when url is answered.
func front(t *testing.T, url string, program string, args ...string) {
	t.Helper()
	binary, err := exec.LookPath(program)
	if err != nil {
		if binary = filepath.Join("/usr/sbin", program); !exists(binary) {
			t.Fatalf("%v; 'make test' installs what the tests need", err)
		}
	}
	var said bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // some have children, which have to end with them
	cmd.Env = append(os.Environ(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait() //nolint:errcheck // killed is an error
		close(ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // by its own process id; it may be gone
		<-ended
	})
	late := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		resp, err := unredirected.Get(url) //nolint:noctx // short
		if err == nil {
			resp.Body.Close()
			return
		}
		select {
		case <-again.C:
		case <-ended:
			t.Fatalf("%s ended:\n%s", program, &said)
		case <-late:
			t.Fatalf("%s does not answer: %v", program, err)
		}
	}
}

// proxyPeer is the address that proxies of these tests come to the relay from, so
// that it can be told from that of the clients.
const proxyPeer = "127.0.0.9"

// nginxFront runs nginx before a relay and returns its address. The directives of
// the location name the relay as 127.0.0.1:8080.
func nginxFront(t *testing.T, r *relay, location []string) string {
	t.Helper()
	address := unusedAddress()
	nginxServers(t, "http://"+address, fmt.Sprintf("server { listen %s; location / {\n%s\n} }", address, relayIn(r, location)))
	return address
}

// relayIn puts a relay's real address into directives.
func relayIn(r *relay, directives []string) string {
	return strings.ReplaceAll(strings.Join(directives, "\n"), "127.0.0.1:8080", r.http)
}

// nginxServers runs nginx with these servers.
func nginxServers(t *testing.T, url, servers string) {
	t.Helper()
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events { }
http { access_log off; client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f;
uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s }
`, dir, servers)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	front(t, url, "nginx", "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log"))
}

// directives are the lines of a configuration that the doctor wrote: those of its
// first part, where the relay is, or those of the part for port 80. Comments are
// left out.
func directives(text string, port80 bool) []string {
	var found []string
	inPort80 := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# ") {
			inPort80 = strings.Contains(line, "port 80") || strings.Contains(line, "http://")
			continue
		}
		if line, _, _ = strings.Cut(strings.TrimSpace(line), "  # "); line != "" && inPort80 == port80 {
			found = append(found, line)
		}
	}
	return found
}

// override puts directives into others, as somebody does who edits a file: they
// replace what has the same name. A directive that begins with - only removes.
func override(old []string, with ...string) []string {
	name := func(d string) string {
		words := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(d, "-"), ";"))
		if words[0] == "proxy_set_header" {
			return strings.Join(words[:2], " ")
		}
		return words[0]
	}
	kept := slices.DeleteFunc(slices.Clone(old), func(d string) bool {
		return slices.ContainsFunc(with, func(w string) bool { return name(w) == name(d) })
	})
	return append(kept, slices.DeleteFunc(slices.Clone(with), func(w string) bool { return strings.HasPrefix(w, "-") })...)
}

func sshPortOf(r *relay) string { return portText(r.ssh) }

// portText is the port of an address.
func portText(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// waiting runs subtests that do little but wait, more of them at once than there
// are processors; t.Parallel would not.
type waiting struct {
	turns chan struct{}
	all   sync.WaitGroup
}

func besides(n int) *waiting { return &waiting{turns: make(chan struct{}, n)} }

func (w *waiting) run(t *testing.T, name string, f func(*testing.T)) {
	w.all.Go(func() {
		w.turns <- struct{}{}
		t.Run(name, f)
		<-w.turns
	})
}

func (w *waiting) wait() { w.all.Wait() }

package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// An engine is a dockerd of the tests' own, with an image "busybox" that holds
// nothing but Debian's static busybox. Its containers live on when it is restarted.
type engine struct {
	dir    string
	socket string
	cmd    *exec.Cmd
	log    *os.File
	docker *client.Client
}

var theEngine struct {
	mu sync.Mutex // guards e
	e  *engine
}

// dockerEngine returns the one engine of all tests, running.
func dockerEngine(t *testing.T) *engine {
	t.Helper()
	theEngine.mu.Lock()
	defer theEngine.mu.Unlock()
	if theEngine.e == nil {
		e, err := newEngine()
		if e != nil {
			theEngine.e = e // to be ended, however far it came
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return theEngine.e
}

func newEngine() (*engine, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("these tests start a Docker Engine, for which they have to be root")
	}
	for _, tool := range []string{"dockerd", "containerd", "runc", "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, fmt.Errorf("%w; 'make test' installs what the tests need", err)
		}
	}
	dir, err := os.MkdirTemp("", "pipemgr") // a short name: paths of sockets are
	if err != nil {
		return nil, err
	}
	e := &engine{dir: dir, socket: filepath.Join(dir, "docker.sock")}
	if e.docker, err = client.New(client.WithHost("unix://" + e.socket)); err != nil {
		return e, err
	}
	if e.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		return e, err
	}
	if err := e.start(); err != nil {
		return e, err
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return e, err
	}
	return e, e.image("busybox", nil, tarred{name: "bin/busybox", file: busybox})
}

func (e *engine) start() error {
	e.cmd = exec.Command("dockerd", "--iptables=false", "--bridge=none", "--storage-driver=vfs", "--live-restore",
		"--data-root", filepath.Join(e.dir, "data"), "--exec-root", filepath.Join(e.dir, "exec"),
		"--pidfile", filepath.Join(e.dir, "pid"), "-H", "unix://"+e.socket)
	e.cmd.Stdout, e.cmd.Stderr = e.log, e.log
	// Not the terminal's group: Ctrl-C ends the tests, and they end it.
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := e.cmd.Start(); err != nil {
		return err
	}
	return await("dockerd answers", func() error {
		_, err := e.docker.Ping(context.Background(), client.PingOptions{NegotiateAPIVersion: true})
		return err
	})
}

// kill ends dockerd as a crash would, and containerd with it. The containers live on.
func (e *engine) kill(t *testing.T) {
	t.Helper()
	pidfile := filepath.Join(e.dir, "exec", "containerd", "containerd.pid")
	text, err := os.ReadFile(pidfile)
	must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	must(t, err)
	_ = e.cmd.Process.Kill()
	_ = e.cmd.Wait()
	must(t, await("containerd goes with dockerd", func() error { return gone(pid) }))
	// The next dockerd would take whoever has the number now for its containerd.
	must(t, os.Remove(pidfile))
	must(t, os.Remove(filepath.Join(e.dir, "pid")))
}

// gone is an error as long as there is a process that is no zombie.
func gone(pid int) error {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !bytes.Contains(stat, []byte(") Z ")) {
		return fmt.Errorf("process %d is there", pid)
	}
	return nil
}

// end removes all containers, ends dockerd and with it containerd, and waits for both.
func (e *engine) end() error {
	ctx := context.Background()
	if all, err := e.docker.ContainerList(ctx, client.ContainerListOptions{All: true}); err == nil {
		for _, c := range all.Items {
			_, _ = e.docker.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
		}
	}
	if e.cmd != nil && e.cmd.Process != nil {
		_ = e.cmd.Process.Signal(syscall.SIGTERM)
		_ = e.cmd.Wait() // an error when a test has killed it
	}
	err := e.endOthers()
	e.log.Close()
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		if at := strings.Fields(line)[1]; strings.HasPrefix(at, e.dir+"/") {
			_ = syscall.Unmount(at, syscall.MNT_DETACH)
		}
	}
	return errors.Join(err, os.RemoveAll(e.dir))
}

// endOthers ends what a dockerd that did not end well has left: processes that were
// started with a path in the engine's own folder, and their children.
func (e *engine) endOthers() error {
	var left []int
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		text, err := os.ReadFile(file)
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || pid == os.Getpid() || !bytes.Contains(text, []byte(e.dir+"/")) {
			continue
		}
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		for _, child := range strings.Fields(string(children)) {
			if n, err := strconv.Atoi(child); err == nil {
				left = append(left, n)
			}
		}
		left = append(left, pid)
	}
	var all error
	for _, pid := range left {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		all = errors.Join(all, await("what Docker left is gone", func() error { return gone(pid) }))
	}
	return all
}

// A tarred is a file of an image, or a link in it.
type tarred struct{ name, file, link string }

// image imports an image of these files.
func (e *engine) image(name string, changes []string, files ...tarred) error {
	r, w := io.Pipe()
	var writing sync.WaitGroup
	defer writing.Wait()
	defer r.Close()
	writing.Go(func() { w.CloseWithError(writeTar(w, files)) })
	result, err := e.docker.ImageImport(context.Background(), client.ImageImportSource{Source: r, SourceName: "-"}, name, client.ImageImportOptions{Changes: changes})
	if err != nil {
		return err
	}
	defer result.Close()
	said, err := io.ReadAll(result)
	if err == nil && bytes.Contains(said, []byte("error")) {
		err = errors.New(string(said))
	}
	return err
}

func writeTar(w io.Writer, files []tarred) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		if f.link != "" {
			if err := t.WriteHeader(&tar.Header{Name: f.name, Linkname: f.link, Typeflag: tar.TypeSymlink, Mode: 0o777}); err != nil {
				return err
			}
			continue
		}
		text, err := os.ReadFile(f.file)
		if err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(text)), Mode: 0o755}); err != nil {
			return err
		}
		if _, err := t.Write(text); err != nil {
			return err
		}
	}
	return t.Close()
}

// longest is how long a test waits for what has to happen. It is long, as the machine
// may be slow, and costs nothing where all is well.
const longest = 60 * time.Second

// await asks for a fact that has no event, until there is no error.
func await(what string, fact func() error) error {
	late := time.NewTimer(longest)
	defer late.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := fact()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-late.C:
			return fmt.Errorf("it never came true that %s: %w", what, err)
		}
	}
}

// wantMatches fails unless so many lines of the text match.
func wantMatches(t *testing.T, text, pattern string, n int) {
	t.Helper()
	if got := len(regexp.MustCompile(pattern).FindAllString(text, -1)); got != n {
		t.Errorf("%d matches of %s, not %d, in\n%s", got, pattern, n, text)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

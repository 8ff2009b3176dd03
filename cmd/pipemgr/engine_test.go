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
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
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

// A box is a container of the tests, with a shell script as what it runs.
type box struct {
	t      *testing.T
	engine *engine
	name   string
	id     string
}

// options of a box, from what most of them are.
type options struct {
	labels map[string]string // pipemgr.enable=true, when nil
	tty    bool
	driver string // of its log
	change func(*container.Config, *container.HostConfig)
}

// run starts a container, which is removed at the end of the test.
func (e *engine) run(t *testing.T, name, script string, o options) *box {
	t.Helper()
	b := e.create(t, name, script, o)
	b.start()
	return b
}

func (e *engine) create(t *testing.T, name, script string, o options) *box {
	t.Helper()
	if o.labels == nil {
		o.labels = map[string]string{labelEnable: "true"}
	}
	c := &container.Config{Image: "busybox", Cmd: []string{"/bin/busybox", "sh", "-c", script}, Labels: o.labels, Tty: o.tty}
	h := &container.HostConfig{NetworkMode: "none", LogConfig: container.LogConfig{Type: o.driver}}
	if o.change != nil {
		o.change(c, h)
	}
	made, err := e.docker.ContainerCreate(t.Context(), client.ContainerCreateOptions{Config: c, HostConfig: h, Name: name})
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t, e, name, made.ID}
	t.Cleanup(func() {
		if _, err := e.docker.ContainerRemove(context.Background(), b.id, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *box) start() {
	b.t.Helper()
	if _, err := b.engine.docker.ContainerStart(b.t.Context(), b.id, client.ContainerStartOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// restart ends the container at once and starts it again.
func (b *box) restart() {
	b.t.Helper()
	now := 0
	if _, err := b.engine.docker.ContainerRestart(b.t.Context(), b.id, client.ContainerRestartOptions{Timeout: &now}); err != nil {
		b.t.Fatal(err)
	}
}

// onHost puts a container into the network "host".
func onHost(_ *container.Config, h *container.HostConfig) { h.NetworkMode = "host" }

// wait waits until the container has ended by itself.
func (b *box) wait() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), longest)
	defer cancel()
	end := b.engine.docker.ContainerWait(ctx, b.id, client.ContainerWaitOptions{})
	select {
	case err := <-end.Error:
		b.t.Fatalf("%s has not ended: %v", b.name, err)
	case got := <-end.Result:
		if got.StatusCode != 0 {
			b.t.Fatalf("%s ended with %d", b.name, got.StatusCode)
		}
	}
}

// logged is what Docker has of the container's log.
func (b *box) logged() (lines []string) {
	b.t.Helper()
	log, err := b.engine.docker.ContainerLogs(b.t.Context(), b.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		b.t.Fatal(err)
	}
	defer log.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, log); err != nil {
		b.t.Fatal(err)
	}
	return splitLines(text.String())
}

// logs waits until the log ends with a line.
func (b *box) logs(last string) {
	b.t.Helper()
	must(b.t, await(b.name+" logs "+last, func() error {
		if all := b.logged(); len(all) == 0 || all[len(all)-1] != last {
			return fmt.Errorf("it has logged %d lines", len(all))
		}
		return nil
	}))
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

// count is a script that writes the lines NAME 00001, NAME 00002 and so on.
func count(name string, from, to int) string {
	return fmt.Sprintf(`/bin/busybox awk 'BEGIN { for (i = %d; i <= %d; i++) printf "%s %%05d\n", i }'; `, from, to, name)
}

// counted are the lines that count writes.
func counted(name string, from, to int) (lines []string) {
	for i := from; i <= to; i++ {
		lines = append(lines, fmt.Sprintf("%s %05d", name, i))
	}
	return lines
}

// of are the lines that begin with a name.
func of(name string, lines []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(l string) bool { return !strings.HasPrefix(l, name+" ") })
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

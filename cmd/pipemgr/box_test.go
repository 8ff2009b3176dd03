package main

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

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
		if _, err := e.docker.ContainerRemove(context.Background(), b.id, client.ContainerRemoveOptions{Force: true}); err != nil && !errdefs.IsNotFound(err) {
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

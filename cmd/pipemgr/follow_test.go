package main

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Three containers with the label, one of them filtered and one restarted in between,
// and one without: the subscriber gets exactly the right lines, each once, and those
// of a container in their order.
func TestSubscriberGetsEveryLineOfLabelledContainersOnce(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r)

	filtered := map[string]string{labelEnable: "true", labelFilter: "GET.+(404)"}
	a := e.run(t, "plain", count("plain", 1, 10000), options{})
	b := e.run(t, "filtered", `/bin/busybox awk 'BEGIN { for (i = 1; i <= 10000; i++) printf "filtered %05d GET /x %d\n", i, i % 10 ? 200 : 404 }'`, options{labels: filtered})
	c := e.run(t, "restarted", `if [ -e /ran ]; then `+count("restarted", 5001, 10000)+`else : > /ran; `+count("restarted", 1, 5000)+`/bin/busybox sleep 1000; fi`, options{})
	d := e.run(t, "unlabelled", count("unlabelled", 1, 10000), options{labels: map[string]string{}})
	c.logs("restarted 05000")
	c.restart()
	for _, box := range []*box{a, b, c, d} {
		box.wait()
	}

	var matching []string
	for i := 10; i <= 10000; i += 10 {
		matching = append(matching, fmt.Sprintf("filtered %05d GET /x 404", i))
	}
	want := map[string][]string{"plain": counted("plain", 1, 10000), "filtered": matching, "restarted": counted("restarted", 1, 10000)}
	got := sub.until("all lines are there", func(lines []string) bool { return len(lines) >= 21000 })
	for name, lines := range want {
		compare(t, of(name, got), lines)
	}
	h, status := m.ask()
	if status != http.StatusOK || h.Sent+h.Waiting != 21000 || h.Dropped != 0 {
		t.Errorf("%d %+v", status, h)
	}
	m.stop()
	if got := sub.got(); len(got) != 21000 {
		t.Errorf("%d lines, not 21000; the last are\n%s", len(got), strings.Join(tail10(got), "\n"))
	}
}

// cutsOf is how often a connection is cut in these tests.
const cutsOf = 5

// Lines come in the order they were written, once each, however often the connections
// to Docker break.
func TestNoLineIsLostOrDoubledWhenTheConnectionToDockerIsCut(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	w := newWire(t, "unix", t.TempDir()+"/s", e.socket)
	m := pipemgr(t, w.addr(), r)
	script := `i=0; while [ $i -lt 100 ]; do i=$((i+1)); ` +
		`/bin/busybox awk -v i=$i 'BEGIN { for (j = 1; j <= 50; j++) printf "out %05d\n", (i-1)*50+j }'; ` +
		`/bin/busybox awk -v i=$i 'BEGIN { for (j = 1; j <= 50; j++) printf "err %05d\n", (i-1)*50+j }' >&2; /bin/busybox usleep 30000; done`
	box := e.run(t, "talker", script, options{})
	cut := 0
	for range cutsOf {
		must(t, await("events and the log are read", func() error {
			if n := w.open(); n < 2 {
				return fmt.Errorf("%d connections to Docker", n)
			}
			return nil
		}))
		before := len(sub.got())
		sub.until("lines come", func(lines []string) bool { return len(lines) > before+200 })
		cut += w.cut()
	}
	box.wait()
	sub.until("all lines are there", func(lines []string) bool { return len(lines) >= 10000 })
	m.stop()
	got := sub.got()
	compare(t, of("out", got), counted("out", 1, 5000))
	compare(t, of("err", got), counted("err", 1, 5000))
	if cut < 2*cutsOf {
		t.Errorf("only %d connections were cut", cut)
	}
}

// The container lives on while dockerd is dead. What it wrote meanwhile is in the log
// in the end, which is compared with.
func TestNoLineIsLostOrDoubledWhenDockerIsKilled(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r)
	box := e.run(t, "survivor", `i=0; while [ $i -lt 100 ]; do i=$((i+1)); `+
		`/bin/busybox awk -v i=$i 'BEGIN { for (j = 1; j <= 50; j++) printf "survivor %05d\n", (i-1)*50+j }'; /bin/busybox usleep 20000; done`, options{})
	for i := range 2 {
		sub.until("lines come", func(lines []string) bool { return len(lines) >= i*1500+500 })
		e.kill(t)
		must(t, await("pipemgr notices", func() error {
			if h, status := m.ask(); status != http.StatusServiceUnavailable || h.Docker == "connected" || h.Relay != "connected" {
				return fmt.Errorf("%d %+v", status, h)
			}
			return nil
		}))
		must(t, e.start())
	}
	box.wait()
	want := box.logged()
	if len(want) < 4000 {
		t.Errorf("Docker itself has %d lines only", len(want))
	}
	got := sub.until("all lines are there", func(lines []string) bool { return len(lines) >= len(want) })
	m.stop()
	compare(t, got, want)
}

// With a terminal there is one stream, and lines end with CR LF. Lines longer than
// Docker's pieces are whole, stderr comes as stdout does, and what has no end as well.
func TestTerminalsStderrAndLongLines(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r)
	const long = 40000
	script := `/bin/busybox echo %[1]s first; /bin/busybox echo %[1]s problem >&2; ` +
		`/bin/busybox awk 'BEGIN { printf "%[1]s "; for (i = 0; i < 4000; i++) printf "0123456789"; print "" }'; ` +
		`/bin/busybox echo; /bin/busybox echo %[1]s last; /bin/busybox printf '%[1]s unfinished'`
	boxes := []*box{}
	for name, o := range map[string]options{"tty": {tty: true}, "file": {driver: "json-file"}, "local": {driver: "local"}} {
		boxes = append(boxes, e.run(t, name, fmt.Sprintf(script, name), o))
	}
	for _, b := range boxes {
		b.wait()
	}
	got := sub.until("all lines are there", func(lines []string) bool { return len(lines) >= 18 })
	m.stop()
	for _, b := range boxes {
		want := []string{"first", "problem", strings.Repeat("0123456789", long/10), "last", "unfinished"}
		for i := range want {
			want[i] = b.name + " " + want[i]
		}
		lines := of(b.name, got)
		slices.Sort(lines) // stdout and stderr are not written in any order
		slices.Sort(want)
		compare(t, lines, want)
	}
	if n := len(sub.got()); n != 18 {
		t.Errorf("%d lines", n)
	}
}

// What is no text goes through as it is, and what has no end for a long time in parts.
func TestBytesThatAreNoTextAndALineOfAMegabyte(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r)
	e.run(t, "raw", `/bin/busybox printf 'raw \377\000\001\033[31m\n'`, options{driver: "local"}).wait() // json-file makes text of it
	e.run(t, "megabyte", `/bin/busybox awk 'BEGIN { for (i = 0; i < 65536; i++) printf "0123456789abcdef"; print "" }'`, options{}).wait()
	got := sub.until("all is there", func(lines []string) bool { return len(lines) >= 5 })
	m.stop()
	slices.Sort(got)
	part := strings.Repeat("0123456789abcdef", maxLine/16)
	compare(t, got, []string{part, part, part, part, "raw \xff\x00\x01\x1b[31m"})
}

// What a container cannot be followed for is said once, restart or not, and harms no
// other.
func TestUnfitContainersAreSaidOnceAndNotFollowed(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r)
	for name, o := range map[string]options{
		"regex": {labels: map[string]string{labelEnable: "true", labelFilter: "GET.+(404"}},
		"maybe": {labels: map[string]string{labelEnable: "maybe"}},
		"none":  {driver: "none"},
		"off":   {labels: map[string]string{labelEnable: "false"}},
	} {
		b := e.run(t, name, "/bin/busybox echo wrong", o)
		b.wait()
		b.start()
		b.wait()
	}
	e.run(t, "good", "/bin/busybox echo good", options{}).wait()
	sub.until("the good line is there", func(lines []string) bool { return len(lines) > 0 })
	h, status := m.ask()
	if status != http.StatusOK || h.Unfit != 3 {
		t.Errorf("%d %+v", status, h)
	}
	m.stop()
	compare(t, sub.got(), []string{"good"})
	log := strings.Join(m.got(), "\n")
	for _, line := range []string{
		`container=regex id=.{12} why="its label pipemgr.filter is no regular expression: .*missing closing \)`,
		`container=maybe id=.{12} why="its label pipemgr.enable is \\"maybe\\", which is neither true nor false`,
		`container=none id=.{12} why="it has the logging driver none, so there is no log"`,
	} {
		wantMatches(t, log, line, 1)
	}
	wantMatches(t, log, "container=off", 0)
}

// A proxy before Docker that allows only some calls, as people have them, is told of
// once, and /health says that it does not work.
func TestWhatADockerProxyRefusesIsToldOnce(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	quiet := e.run(t, "quiet", "/bin/busybox echo quiet; /bin/busybox sleep 1000", options{})
	quiet.logs("quiet")
	for _, test := range []struct {
		path, told string
		well       bool
	}{
		{"/events", `msg="not connected[a-z ]*, trying again" to=Docker error=".*nobody may look here"`, false},
		{"/logs", `msg="a log cannot be read at the moment, trying again" container=quiet error=".*nobody may look here"`, true},
	} {
		t.Run(test.path, func(t *testing.T) {
			p := newDockerProxy(t, e.socket, test.path)
			m := launch(t, p.socket, r)
			must(t, await("it is asked again", func() error {
				if n := p.refused.Load(); n < 5 {
					return fmt.Errorf("%d times", n)
				}
				return nil
			}))
			h, _ := m.ask()
			if connected := h.Docker == "connected"; connected != test.well || test.well && (h.Unfit != 1 || h.Following != 0) {
				t.Errorf("%+v", h)
			}
			m.stop()
			log := strings.Join(m.got(), "\n")
			wantMatches(t, log, test.told, 1)
			wantMatches(t, log, "level=WARN", 1)
		})
	}
}

func TestOnlyContainersOnANetworkWhereThatIsAskedFor(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r, "--network", "host", "--network", "elsewhere", "--format", "prefix")
	e.run(t, "out", "/bin/busybox echo wrong", options{}).wait()
	e.run(t, "in", "/bin/busybox echo right", options{change: onHost}).wait()
	sub.until("a line is there", func(lines []string) bool { return len(lines) > 0 })
	m.stop()
	compare(t, sub.got(), []string{"in | right"})
}

// Docker cuts a container off from its network before it tells that it was removed. The
// lines are few and are read before that: of more, Docker itself may leave out some.
func TestAContainerThatIsRemovedWithItsNetworkIsNoLoss(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r, "--network", "host")
	dir := t.TempDir()
	for i := range 4 {
		e.run(t, fmt.Sprintf("calm%d", i), "/bin/busybox echo calm; while [ ! -e /shared/go ]; do /bin/busybox usleep 20000; done", options{
			change: func(c *container.Config, h *container.HostConfig) {
				onHost(c, h)
				h.AutoRemove, h.Binds = true, []string{dir + ":/shared"}
			}})
	}
	sub.until("all lines are there", func(l []string) bool { return len(l) >= 4 })
	must(t, os.WriteFile(dir+"/go", nil, 0o600))
	must(t, await("pipemgr knows that they are gone", func() error {
		if h, _ := m.ask(); h.Following > 0 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	}))
	m.stop()
	compare(t, sub.got(), []string{"calm", "calm", "calm", "calm"})
	wantMatches(t, strings.Join(m.got(), "\n"), "level=WARN", 0)
}

func TestAContainerThatLeavesTheNetworkIsNotFollowedAnyMore(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r, "--network", "none")
	dir := t.TempDir()
	b := e.run(t, "leaver", `/bin/busybox echo before; while [ ! -e /shared/go ]; do /bin/busybox usleep 20000; done; /bin/busybox echo after`,
		options{change: func(_ *container.Config, h *container.HostConfig) { h.Binds = []string{dir + ":/shared"} }})
	sub.until("its line is there", func(l []string) bool { return len(l) > 0 })
	if _, err := e.docker.NetworkDisconnect(t.Context(), "none", client.NetworkDisconnectOptions{Container: b.id}); err != nil {
		t.Fatal(err)
	}
	must(t, await("it is not followed", func() error {
		if h, _ := m.ask(); h.Following+h.Unfit > 0 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	}))
	must(t, os.WriteFile(dir+"/go", nil, 0o600))
	b.wait()
	if _, err := e.docker.ContainerRemove(t.Context(), b.id, client.ContainerRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	e.run(t, "other", "/bin/busybox echo other", options{}).wait()
	sub.until("another line is there", func(l []string) bool { return len(l) > 1 })
	m.stop()
	compare(t, sub.got(), []string{"before", "other"})
	wantMatches(t, strings.Join(m.got(), "\n"), "level=WARN", 0)
}

// Lines from before the very first start are sent only when that is asked for.
func TestTheFirstStartIsWhereLinesBegin(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	dir := t.TempDir()
	script := `/bin/busybox echo old; while [ ! -e /shared/go ]; do /bin/busybox usleep 20000; done; /bin/busybox echo new`
	b := e.run(t, "early", script, options{change: func(_ *container.Config, h *container.HostConfig) { h.Binds = []string{dir + ":/shared"} }})
	b.logs("old")
	m := pipemgr(t, e.socket, r)
	must(t, os.WriteFile(dir+"/go", nil, 0o600))
	b.wait()
	sub.until("a line is there", func(lines []string) bool { return len(lines) >= 1 })
	m.stop()
	for i, since := range []string{"all", "1h"} {
		m = pipemgr(t, e.socket, r, "--since", since)
		sub.until("more lines are there", func(lines []string) bool { return len(lines) >= 3+2*i })
		m.stop()
	}
	compare(t, sub.got(), []string{"new", "old", "new", "old", "new"})
}

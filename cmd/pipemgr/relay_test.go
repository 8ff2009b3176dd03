package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// behind is the relay as pipemgr sees it through a wire.
func behind(t *testing.T, r *relayUnderTest) (*relayUnderTest, *wire) {
	t.Helper()
	w := newWire(t, "tcp", "127.0.0.1:0", r.addr)
	far := *r
	far.addr = w.addr()
	return &far, w
}

// The relay confirms what it published, so no line is missing. A cut can have lines
// published twice: a stretch of them, in order. A line may be there as a piece, where
// it was cut.
func TestNoLineIsLostWhenTheConnectionToTheRelayIsCut(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	far, w := behind(t, r)
	m := pipemgr(t, e.socket, far)
	box := e.run(t, "cut", `i=0; while [ $i -lt 100 ]; do i=$((i+1)); `+
		`/bin/busybox awk -v i=$i 'BEGIN { for (j = 1; j <= 100; j++) printf "cut %05d and some more text, so that it is longer\n", (i-1)*100+j }'; /bin/busybox usleep 20000; done`, options{})
	cuts := 0
	for range 4 {
		must(t, await("pipemgr is connected", func() error {
			if n := w.open(); n != 1 {
				return fmt.Errorf("%d connections", n)
			}
			return nil
		}))
		before := len(sub.got())
		sub.until("lines come", func(lines []string) bool { return len(lines) > before+500 })
		cuts += w.cut()
	}
	box.wait()
	last := "cut 10000 and some more text, so that it is longer"
	got := sub.until("the last line is there", func(lines []string) bool { return lines[len(lines)-1] == last })
	m.stop()

	next, back, broken := 1, 0, 0
	for i, line := range got {
		var n int
		if _, err := fmt.Sscanf(line, "cut %05d and some more text, so that it is longer", &n); err != nil || len(line) != len(last) {
			broken++
			continue
		}
		switch {
		case n == next:
			next++
		case n > next:
			t.Fatalf("line %d is %q; %d is missing", i, line, next)
		default: // sent again, from here on
			back++
			next = n + 1
		}
	}
	if next != 10001 || back > cuts || broken > cuts || cuts < 4 {
		t.Errorf("%d cuts: the last number is %d, %d times lines came again, %d lines are broken", cuts, next-1, back, broken)
	}
	t.Logf("%d cuts, %d lines too many", cuts, len(got)-10000)
}

// With a pub that waits for subscribers, lines written while the relay is dead come
// when it is back, once each, and their container does not wait. What the relay had in
// its memory when it died is lost: a stretch of lines between what the first
// subscriber got and what the next one gets.
func TestLinesWaitForARelayThatWasKilled(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	m := pipemgr(t, e.socket, r, "--command", "pub container-drain")
	flow := e.run(t, "flow", `i=0; while [ $i -lt 100 ]; do i=$((i+1)); `+
		`/bin/busybox awk -v i=$i 'BEGIN { for (j = 1; j <= 100; j++) printf "flow %05d\n", (i-1)*100+j }'; /bin/busybox usleep 10000; done`, options{})
	sub.until("lines come", func(lines []string) bool { return len(lines) > 2000 })
	r.kill()
	<-sub.ends
	first := sub.got()

	must(t, await("pipemgr notices", func() error {
		if h, status := m.ask(); status != http.StatusServiceUnavailable || h.Relay == "connected" || h.Docker != "connected" {
			return fmt.Errorf("%d %+v", status, h)
		}
		return nil
	}))
	e.run(t, "meanwhile", count("meanwhile", 1, 3000), options{}).wait()
	flow.wait()
	r.again()
	sub = r.subscribe()
	e.run(t, "then", count("then", 1, 3000), options{}).wait()
	got := sub.until("the last lines are there", func(lines []string) bool {
		n := len(lines)
		return n > 0 && slices.Contains(lines, "flow 10000") && slices.Contains(lines, "then 03000")
	})
	m.stop()

	compare(t, of("meanwhile", got), counted("meanwhile", 1, 3000))
	compare(t, of("then", got), counted("then", 1, 3000))
	if n := len(first) - 1; len(first[n]) != len("flow 10000") {
		first = first[:n] // the relay died in its middle
	}
	compare(t, first, counted("flow", 1, len(first)))
	rest := of("flow", got)
	compare(t, rest, counted("flow", 10000-len(rest)+1, 10000))
	t.Logf("%d lines, then %d: %d were in the relay", len(first), len(rest), 10000-len(first)-len(rest))
}

// A relay that takes nothing does not hold a container back, whatever it writes. In
// the end all lines are there: they waited in the queue and in Docker's log.
func TestARelayThatTakesNothingHoldsNoContainerBack(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	far, w := behind(t, r)
	m := pipemgr(t, e.socket, far, "--command", "pub container-drain", "--buffer", "1MiB")
	w.stop()
	const lines = 40000
	script := fmt.Sprintf(`/bin/busybox awk 'BEGIN { for (i = 1; i <= %d; i++) printf "much %%05d 0123456789 0123456789 0123456789 0123456789\n", i }'`, lines)
	b := e.run(t, "much", script, options{})
	b.wait()
	must(t, await("the queue is full", func() error {
		if h, _ := m.ask(); h.Bytes < 1<<20-1000 || h.Bytes > 1<<20 || h.Dropped != 0 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	}))
	w.resume()
	got := sub.until("all lines are there", func(l []string) bool { return len(l) >= lines })
	m.stop()
	compare(t, got, b.logged())
}

// What goes with a container that was removed cannot be read any more, but it is told.
func TestALogThatIsRemovedUnreadIsTold(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	far, w := behind(t, r)
	m := pipemgr(t, e.socket, far, "--command", "pub container-drain", "--buffer", "1MiB", "--log-level", "debug")
	dir := t.TempDir()
	e.run(t, "read", count("read", 1, 100)+`while [ ! -e /shared/go ]; do /bin/busybox usleep 20000; done`, options{change: func(_ *container.Config, h *container.HostConfig) {
		h.AutoRemove, h.Binds = true, []string{dir + ":/shared"}
	}})
	sub.until("its lines are there", func(lines []string) bool { return len(lines) >= 100 })
	must(t, os.WriteFile(dir+"/go", nil, 0o600))
	w.stop()
	b := e.run(t, "unread", count("unread", 1, 60000), options{})
	b.wait()
	m.says(`msg="not reading on before there is room" container=unread`)
	if _, err := e.docker.ContainerRemove(t.Context(), b.id, client.ContainerRemoveOptions{}); err != nil {
		t.Fatal(err)
	}
	w.resume()
	m.says(`msg="a container was removed before its log was read to the end; what was left is lost" container=unread`)

	// Whether there is time to read the log of one that ends at once nobody knows. If not,
	// the tail finds out and then Docker tells it, and pipemgr once.
	hasty := e.run(t, "hasty", "/bin/busybox echo hasty", options{change: func(_ *container.Config, h *container.HostConfig) { h.AutoRemove = true }})
	must(t, await("it is gone", func() error {
		_, err := e.docker.ContainerInspect(t.Context(), hasty.id, client.ContainerInspectOptions{})
		if errdefs.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	}))
	e.run(t, "later", "/bin/busybox echo later", options{}) // whose start is told after that
	sub.until("what came later is there", func(lines []string) bool { return slices.Contains(lines, "later") })
	m.stop()
	log := strings.Join(m.got(), "\n")
	if n := strings.Count(log, `is lost" container=hasty`); n > 1 || n > 0 && slices.Contains(sub.got(), "hasty") {
		t.Errorf("the loss is told %d times:\n%s", n, log)
	}
	wantMatches(t, log, `is lost" container=unread`, 1)
	wantMatches(t, log, "container=read", 0)
}

// With --when-full drop the oldest lines go, are counted and told.
func TestDroppedLinesAreCounted(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	far, w := behind(t, r)
	m := pipemgr(t, e.socket, far, "--command", "pub container-drain", "--buffer", "1MiB", "--when-full", "drop")
	w.stop()
	const lines = 30000
	b := e.run(t, "much", count("much", 1, lines), options{})
	b.wait()
	must(t, await("all was read", func() error {
		if h, _ := m.ask(); h.Sent+h.Waiting+h.Dropped != lines || h.Dropped == 0 || h.Bytes > 1<<20 {
			return fmt.Errorf("%+v", h)
		}
		return nil
	}))
	m.says("the oldest lines were dropped")
	w.resume()
	got := sub.until("the last line is there", func(l []string) bool { return len(l) > 0 && l[len(l)-1] == "much 30000" })
	h, _ := m.ask()
	m.stop()
	if len(got)+h.Dropped != lines {
		t.Errorf("%d lines came and %d were dropped, of %d", len(got), h.Dropped, lines)
	}
	if !slices.IsSorted(got) {
		t.Error("the lines that came are not in order")
	}
}

// What a pipemgr has not sent when it stops, the next one sends, by the state file. One
// that was killed may have sent what the file does not know of.
func TestTheNextPipemgrGoesOnWhereTheLastOneStopped(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	sub := r.subscribe()
	dir := t.TempDir()
	m := pipemgr(t, e.socket, r, "--state-dir", dir)
	b := e.run(t, "on", `i=0; while [ $i -lt 100 ]; do i=$((i+1)); `+
		`/bin/busybox awk -v i=$i 'BEGIN { for (j = 1; j <= 100; j++) printf "on %05d\n", (i-1)*100+j }'; /bin/busybox usleep 40000; done`, options{})
	sub.until("lines come", func(lines []string) bool { return len(lines) > 1000 })
	m.stop()
	e.run(t, "between", count("between", 1, 100), options{}).wait()
	stopped := len(sub.got())

	m = pipemgr(t, e.socket, r, "--state-dir", dir)
	got := sub.until("more lines come", func(lines []string) bool {
		return len(lines) > stopped+1000 && slices.Contains(lines, "between 00100")
	})
	m.kill()
	compare(t, of("between", got), counted("between", 1, 100))
	compare(t, of("on", got), counted("on", 1, len(got)-100))

	m = pipemgr(t, e.socket, r, "--state-dir", dir)
	b.wait()
	sub.until("the last line is there", func(lines []string) bool { return slices.Contains(lines, "on 10000") })
	m.stop()
	all := of("on", sub.got())
	compare(t, slices.Compact(slices.Sorted(slices.Values(all))), counted("on", 1, 10000))
	t.Logf("after the kill %d lines came twice", len(all)-10000)
}

func TestARelayThatRefusesLosesNothing(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	dir := t.TempDir()
	m := launch(t, e.socket, r, "--state-dir", dir, "--command", "pub a/../b", "--flush-timeout", "300ms")
	m.says(`error="the relay ended the command with exit status 2: `)
	e.run(t, "early", count("early", 1, 10), options{}).wait()
	must(t, await("the lines are held", func() error {
		if h, status := m.ask(); status != http.StatusServiceUnavailable || h.Waiting != 10 || h.Sent != 0 {
			return fmt.Errorf("%d %+v", status, h)
		}
		return nil
	}))
	m.stop()
	m.says("lines were left")
	sub := r.subscribe()
	m = pipemgr(t, e.socket, r, "--state-dir", dir)
	got := sub.until("the lines are there", func(lines []string) bool { return len(lines) >= 10 })
	m.stop()
	compare(t, got, counted("early", 1, 10))
}

func TestAWrongHostKeyIsRefused(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t)
	dir := t.TempDir()
	m := pipemgr(t, e.socket, r, "--state-dir", dir)
	m.stop()
	m.says("met the relay for the first time")
	m = pipemgr(t, e.socket, r, "--state-dir", dir)
	m.stop()
	if log := strings.Join(m.got(), "\n"); strings.Contains(log, "first time") {
		t.Errorf("met again:\n%s", log)
	}
	other := startRelay(t)
	_, port, _ := net.SplitHostPort(r.addr)
	r.stop()
	other.stop()
	other.start(port)
	m = launch(t, e.socket, r, "--state-dir", dir)
	m.says("the relay's host key is not the right one")
	m.says("remove that line")
	m.stop()
}

//go:build long

package main

import (
	"fmt"
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
)

// 2 GiB, encrypted; the relay is killed and started anew twice on the way. The
// file arrives, and the relay's memory does not grow with it.
func TestLongSharedFileSurvivesTheRelay(t *testing.T) {
	const size, allowed = 2 << 30, 64 << 10 // bytes, KiB
	binary, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start := func(flags ...string) *relay {
		r, err := startRelay(binary, dir, os.Environ(), flags...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	r := start()
	port := r.http[strings.LastIndexByte(r.http, ':')+1:]
	idle := peakKiB(t, r.cmd.Process.Pid)

	big, out := filepath.Join(dir, "big"), filepath.Join(dir, "out")
	if said, err := exec.Command("sh", "-c", fmt.Sprintf("head -c %d /dev/urandom > %s", size, big)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	client := func(args ...string) func() {
		return func() {
			c := exec.Command(binary, args...)
			c.Env = append(os.Environ(), "PATCHWORK_SERVER=localhost:"+port, "PATCHWORK_PASSPHRASE=long")
			if said, err := c.CombinedOutput(); err != nil {
				t.Errorf("%q: %v\n%s", args, err, said)
			}
		}
	}
	began := time.Now()
	var clients sync.WaitGroup
	clients.Go(client("share", "--encrypt", big, "big"))
	clients.Go(client("download", "big", out))
	over := make(chan struct{})
	go func() {
		clients.Wait()
		close(over)
	}()
	peak := 0
	for _, part := range []int64{size / 3, size / 3 * 2} {
		for info, err := os.Stat(out + ".part"); err != nil || info.Size() < part; info, err = os.Stat(out + ".part") {
			select {
			case <-over:
				t.Fatal("the transfer ended before the relay was killed")
			case <-time.After(10 * time.Millisecond):
			}
		}
		peak = max(peak, peakKiB(t, r.cmd.Process.Pid))
		if err := r.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-r.ended
		r = start("--port", port)
	}
	<-over
	peak = max(peak, peakKiB(t, r.cmd.Process.Pid))
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	if said, err := exec.Command("cmp", big, out).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, said)
	}
	if peak > idle+allowed {
		t.Errorf("the relay had %d KiB when idle and %d KiB at its peak", idle, peak)
	}
	t.Logf("%d bytes in %s; the relay had %d KiB when idle, %d KiB at its peak", size, time.Since(began).Round(time.Second), idle, peak)
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakKiB is the most memory that a process has had resident.
func peakKiB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	found := highWater.FindSubmatch(status)
	if found == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	n, _ := strconv.Atoi(string(found[1])) // digits
	return n
}

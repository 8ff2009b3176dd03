package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// relayKey is where a script keeps its running relay.
type relayKey struct{}

func scriptRelay(ts *testscript.TestScript) *relay {
	r, _ := ts.Value(relayKey{}).(**relay)
	if r == nil || *r == nil {
		ts.Fatalf("no relay is running; start one with 'relay'")
	}
	return *r
}

// relay [flags]: starts a relay on free ports and sets HTTP, WS, HOSTPORT and
// SSHPORT. It is ended with the script, and has to end well. A second one in a
// script uses the same data folder, and the first has to be gone.
func cmdRelay(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	env := os.Environ()
	for _, name := range append(options, configOption) {
		if v := ts.Getenv(name.env()); v != "" {
			env = append(env, name.env()+"="+v)
		}
	}
	binary, err := exec.LookPath("patchwork")
	ts.Check(err)
	r, err := startRelay(binary, ts.MkAbs("."), env, args...)
	*ts.Value(relayKey{}).(**relay) = r // before the check: it has to be ended in any case
	ts.Check(err)

	_, port, _ := net.SplitHostPort(r.ssh)
	ts.Check(ts.Value(sshKey{}).(*clientSSH).point(port))
	ts.Setenv("SSHPORT", port)
	ts.Setenv("HOSTPORT", r.http)
	ts.Setenv("HTTPPORT", r.http[strings.LastIndexByte(r.http, ':')+1:])
	ts.Setenv("HTTP", "http://"+r.http)
	ts.Setenv("WS", "ws://"+r.http)
}

// signal TERM|INT: sends the relay a signal, and does not wait.
func cmdSignal(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	ts.Check(scriptRelay(ts).cmd.Process.Signal(signalNamed(ts, args)))
}

// insist TERM|INT: signals the relay again and again, until it is gone.
func cmdInsist(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	r, sig := scriptRelay(ts), signalNamed(ts, args)
	late := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-r.ended:
			return
		case <-again.C:
			if err := r.cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
				ts.Check(err)
			}
		case <-late:
			ts.Fatalf("the relay goes on:\n%s", r.logged())
		}
	}
}

func signalNamed(ts *testscript.TestScript, args []string) os.Signal {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": os.Interrupt}
	if len(args) != 1 || signals[args[0]] == nil {
		ts.Fatalf("say TERM or INT")
	}
	return signals[args[0]]
}

// exited CODE: waits for the end of the relay, which has to exit with CODE.
func cmdExited(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: exited CODE")
	}
	code, err := strconv.Atoi(args[0])
	ts.Check(err)
	ts.Check(scriptRelay(ts).wait(code))
}

// [!] waitlog PATTERN: waits until the relay has logged something that matches;
// with ! it fails when the log matches now.
func cmdWaitlog(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] waitlog PATTERN")
	}
	r := scriptRelay(ts)
	if neg {
		if strings.Contains(r.logged(), args[0]) {
			ts.Fatalf("the log holds %q:\n%s", args[0], r.logged())
		}
		return
	}
	ts.Check(r.waitLog(args[0]))
}

// waitfor producers|consumers|subscribers N URL: waits until HEAD says so.
// This is what scripts have instead of sleeping.
func cmdWaitfor(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	if len(args) != 3 {
		ts.Fatalf("usage: waitfor producers|consumers|subscribers N URL")
	}
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	late := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		got, err := peek(args[2], args[0])
		ts.Check(err)
		if got == want {
			return
		}
		select {
		case <-again.C:
		case <-late:
			ts.Fatalf("%s of %s: %d, and not %d", args[0], args[2], got, want)
		}
	}
}

// peek reads one of the counters that HEAD tells of a channel.
func peek(url, counter string) (int, error) {
	resp, err := http.Head(url)
	if err != nil {
		return 0, err
	}
	resp.Body.Close()
	value := resp.Header.Get("Patch-" + counter)
	n, err := strconv.Atoi(value)
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("HEAD %s: %s, Patch-%s: %q", url, resp.Status, counter, value)
	}
	return n, nil
}

func refuse(ts *testscript.TestScript, neg bool) {
	if neg {
		ts.Fatalf("! has no meaning here")
	}
}

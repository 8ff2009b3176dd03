package main

import (
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// waitmetric PATTERN: waits until a line of /metrics matches.
func cmdWaitmetric(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: waitmetric PATTERN")
	}
	match, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	url := "http://" + scriptRelay(ts).http + "/metrics"
	late := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		page, err := fetch(url)
		ts.Check(err)
		if match.Match(page) {
			return
		}
		select {
		case <-again.C:
		case <-late:
			ts.Fatalf("no metric matches %s:\n%s", args[0], page)
		}
	}
}

func fetch(url string) ([]byte, error) {
	resp, err := http.Get(url) //nolint:gosec,noctx // it is the relay's own, and short
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// savelog FILE: writes what the relay has logged so far into a file.
func cmdSavelog(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: savelog FILE")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(scriptRelay(ts).logged()), 0o600))
}

// freeport NAME: sets a variable to a port of 127.0.0.1 that nobody listens on.
func cmdFreeport(ts *testscript.TestScript, neg bool, args []string) {
	refuse(ts, neg)
	if len(args) != 1 {
		ts.Fatalf("usage: freeport NAME")
	}
	_, port, _ := net.SplitHostPort(unusedAddress())
	ts.Setenv(args[0], port)
}

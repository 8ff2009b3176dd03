package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A transfer does not hang when an answer of the sharing side gets lost, in any of
// the ways in which that happens: the receiver waits for it all the while.
func TestShareAnswersAgainWhenAnAnswerWasLost(t *testing.T) {
	base := testRelay(t)
	for name, lose := range map[string]func() (*http.Response, error){
		// net/http says so of a connection that another request, called off, has closed
		"closed for another request": func() (*http.Response, error) { return nil, context.Canceled },
		"broken connection":          func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"relay going down": func() (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("going down"))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			lossy := &losing{to: http.DefaultTransport, lose: lose}
			s, said := testShare(t, base, lossy, strings.ReplaceAll(name, " ", "-"))
			lossy.spare = "/r/" + s.back.Channel

			var wg sync.WaitGroup
			var err error
			wg.Go(func() { err = s.run(t.Context()) })
			code, _, talk := command(t, t.Context(), "download", "--server", base.String(), s.src.name, filepath.Join(t.TempDir(), "out"))
			wg.Wait()
			if code != exitDone || err != nil {
				t.Errorf("download: exit code %d, %s; share: %v, %s", code, talk, err, said.String())
			}
			if !lossy.lost.Load() {
				t.Error("no answer was lost")
			}
		})
	}
}

// testRelay starts a relay and returns its address.
func testRelay(t *testing.T) *url.URL {
	t.Helper()
	binary, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	r, err := startRelay(binary, t.TempDir(), os.Environ())
	if r != nil {
		t.Cleanup(func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return &url.URL{Scheme: "http", Host: r.http}
}

// testShare makes what 'share' does with a file of this name, over a transport of the
// test's. What it says is for after it has run.
func testShare(t *testing.T, base *url.URL, over http.RoundTripper, name string) (*sharing, *strings.Builder) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &strings.Builder{}
	c := &client{base: base, space: "p", http: &http.Client{Transport: over}, stdout: io.Discard, stderr: said}
	src, _, err := newSharable(file)
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.makeHook(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	s := newSharing(c, src, back)
	s.path = c.path(name)
	return s, said
}

// losing loses the first answer of a 'share': what it posts to a hook other than
// its own.
type losing struct {
	to    http.RoundTripper
	lose  func() (*http.Response, error)
	spare string // path of its own hook
	lost  atomic.Bool
}

func (l *losing) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, "/r/") && r.URL.Path != l.spare && l.lost.CompareAndSwap(false, true) {
		return l.lose()
	}
	return l.to.RoundTrip(r)
}

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
	base := &url.URL{Scheme: "http", Host: r.http}
	for name, lose := range map[string]func() (*http.Response, error){
		// net/http says so of a connection that another request, called off, has closed
		"closed for another request": func() (*http.Response, error) { return nil, context.Canceled },
		"broken connection":          func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
		"relay going down": func() (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("going down"))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 1000), 0o600); err != nil {
				t.Fatal(err)
			}
			lossy := &losing{to: http.DefaultTransport, lose: lose}
			var said strings.Builder
			sharer := &client{base: base, space: "p", http: &http.Client{Transport: lossy}, stdout: io.Discard, stderr: &said}
			src, _, err := newSharable(file)
			if err != nil {
				t.Fatal(err)
			}
			back, err := sharer.makeHook(t.Context(), "r")
			if err != nil {
				t.Fatal(err)
			}
			lossy.spare = "/r/" + back.Channel
			s := newSharing(sharer, src, back)
			s.path = sharer.path(filepath.Base(file))

			var wg sync.WaitGroup
			wg.Go(func() { err = s.run(t.Context()) })
			out := filepath.Join(dir, "out")
			code, _, talk := command(t, t.Context(), "download", "--server", base.String(), filepath.Base(file), out)
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

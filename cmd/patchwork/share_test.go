package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A transfer does not hang when an answer of the sharing side gets lost, in any of
// the ways in which that happens: the receiver waits for it all the while.
func TestShareAnswersAgainWhenAnAnswerWasLost(t *testing.T) {
	base := &url.URL{Scheme: "http", Host: testRelay(t).http}
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

// Anybody who has seen the file's headers can send to the hook for reports. Some that
// never end do not keep others from receiving.
func TestShareIsNotHeldUpByReportsWithoutAnEnd(t *testing.T) {
	base := &url.URL{Scheme: "http", Host: testRelay(t).http}
	s, said := testShare(t, base, http.DefaultTransport, "held")
	s.reportTime = 500 * time.Millisecond
	hook := base.JoinPath("r", s.back.Channel).String()
	ctx, cancel := context.WithCancel(t.Context())
	var forgers sync.WaitGroup
	const many = 3
	for range many {
		endless, feed := io.Pipe()
		defer context.AfterFunc(ctx, func() { feed.CloseWithError(ctx.Err()) })() // net/http waits for the body that it reads
		forgers.Go(func() { feed.Write([]byte("{")) })                            //nolint:errcheck // it may not be asked for it
		forgers.Go(func() {
			forged, err := http.NewRequestWithContext(ctx, http.MethodPost, hook, endless)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := http.DefaultClient.Do(forged); err == nil {
				resp.Body.Close()
			}
			endless.Close()
		})
	}
	if !inTime(func() bool {
		n, err := peek(hook+"?secret="+s.back.Secret, "producers")
		return err == nil && n == many
	}) {
		t.Fatal("the forged reports do not wait for share")
	}
	var shared error
	var sharing sync.WaitGroup
	sharing.Go(func() { shared = s.run(t.Context()) })
	code, _, talk := command(t, t.Context(), "download", "--server", base.String(), "held", filepath.Join(t.TempDir(), "out"))
	cancel()
	forgers.Wait()
	sharing.Wait()
	if code != exitDone || shared != nil || !strings.Contains(said.String(), "confirmed by the receiver") {
		t.Errorf("download: exit code %d, %s; share: %v, %s", code, talk, shared, said.String())
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

package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/urfave/cli/v2"

	"patchwork/broker"
	"patchwork/cmd/patchwork/client"
	"patchwork/httpfront"
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
			talk, failed := testDownload(t, base, s.src.name)
			wg.Wait()
			if failed != nil || err != nil {
				t.Errorf("download: %v, %s; share: %v, %s", failed, talk, err, said.String())
			}
			if !lossy.lost.Load() {
				t.Error("no answer was lost")
			}
		})
	}
}

// testRelay serves HTTP as a relay does until the test ends.
func testRelay(t *testing.T) *url.URL {
	t.Helper()
	b := broker.New(broker.Options{Mailbox: 1 << 20})
	front, err := httpfront.New(httpfront.Config{Broker: b, Heartbeat: time.Second, WriteTimeout: time.Minute, RequestTimeout: time.Minute, MaxWaiting: 100})
	if err != nil {
		t.Fatal(err)
	}
	door, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() { front.Serve(door) })
	t.Cleanup(func() {
		b.Close()
		atOnce, cancel := context.WithCancel(context.Background())
		cancel()
		front.Shutdown(atOnce)
		serving.Wait()
	})
	return &url.URL{Scheme: "http", Host: door.Addr().String()}
}

// awaitProducers waits until so many producers wait at a hook.
func awaitProducers(t *testing.T, c *client.Client, hook client.Hook, want int) {
	t.Helper()
	for late := time.After(time.Minute); ; {
		resp, err := c.Do(t.Context(), client.Call{Method: http.MethodHead, Path: "/r/" + hook.Channel, Secret: hook.Secret})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.Header.Get("Patch-Producers") == strconv.Itoa(want) {
			return
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-late:
			t.Fatalf("%q producers wait at the hook, want %d", resp.Header.Get("Patch-Producers"), want)
		}
	}
}

// testDownload downloads a channel of a relay and returns what was said of it.
func testDownload(t *testing.T, base *url.URL, channel string) (string, error) {
	t.Helper()
	var talk strings.Builder
	app := &cli.App{
		Commands: []*cli.Command{DownloadCommand()}, Reader: strings.NewReader(""), Writer: io.Discard, ErrWriter: &talk,
		ExitErrHandler: func(*cli.Context, error) {},
	}
	err := app.RunContext(t.Context(), []string{"patchwork", "download", "--server", base.String(), channel, filepath.Join(t.TempDir(), "out")})
	return talk.String(), err
}

// testShare makes what 'share' does with a file of this name, over a transport of the
// test's. What it says is for after it has run.
func testShare(t *testing.T, base *url.URL, over http.RoundTripper, name string) (*sharing, *strings.Builder) {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, bytes.Repeat([]byte("0123456789"), 20_000), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &strings.Builder{}
	c := &client.Client{Base: base, Space: "p", HTTP: &http.Client{Transport: over}, Stdout: io.Discard, Stderr: said}
	src, _, err := newSharable(file)
	if err != nil {
		t.Fatal(err)
	}
	back, err := c.MakeHook(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	s := newSharing(c, src, back)
	s.path = c.Path(name)
	return s, said
}

// Anybody who has seen the file's headers can send to the hook for reports. Some that
// never end do not keep others from receiving.
func TestShareIsNotHeldUpByReportsWithoutAnEnd(t *testing.T) {
	base := testRelay(t)
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
	awaitProducers(t, s.c, s.back, many)
	var shared error
	var sharing sync.WaitGroup
	sharing.Go(func() { shared = s.run(t.Context()) })
	talk, failed := testDownload(t, base, "held")
	cancel()
	forgers.Wait()
	sharing.Wait()
	if failed != nil || shared != nil || !strings.Contains(said.String(), "confirmed by the receiver") {
		t.Errorf("download: %v, %s; share: %v, %s", failed, talk, shared, said.String())
	}
}

// Whoever has begun to receive when the file turns out to be short is told so, even if
// it has not yet said that it is there, and a stranger was quicker to say so.
func TestShareTellsLateReportersThatItFailed(t *testing.T) {
	base := testRelay(t)
	s, said := testShare(t, base, http.DefaultTransport, "short")
	short := make(chan struct{})
	s.src.open = func() (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader("0123"), iotest.ErrReader(errors.New("the file became shorter")))), nil
	}
	failing := &afterwards{to: http.DefaultTransport, path: s.path, ended: short}
	s.c.HTTP = &http.Client{Transport: failing}
	var shared error
	var sharing sync.WaitGroup
	sharing.Go(func() { shared = s.run(t.Context()) })

	c := &client.Client{Base: base, Space: "p", HTTP: &http.Client{Transport: &http.Transport{}}, Stdout: io.Discard, Stderr: io.Discard}
	defer c.HTTP.CloseIdleConnections()
	mine, err := c.MakeHook(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := c.Do(t.Context(), client.Call{Method: http.MethodGet, Path: s.path}); err == nil {
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	<-short
	stranger, err := c.MakeHook(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	var listening sync.WaitGroup
	listening.Go(func() {
		if resp, err := c.Do(t.Context(), client.Call{Method: http.MethodGet, Path: "/r/" + stranger.Channel, Secret: stranger.Secret}); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	defer listening.Wait()
	first := &downloading{c: c, mine: stranger, report: s.back.Channel}
	if err := first.say(t.Context(), report{Begun: true}, 10*time.Second); err != nil {
		t.Errorf("nobody heard the stranger: %v", err)
	}
	d := &downloading{c: c, mine: mine, report: s.back.Channel}
	if err := d.say(t.Context(), report{Begun: true}, 10*time.Second); err != nil {
		t.Errorf("nobody heard the report: %v", err)
	}
	resp, err := c.Do(t.Context(), client.Call{Method: http.MethodGet, Path: "/r/" + mine.Channel, Secret: mine.Secret, Query: url.Values{"timeout": {"10s"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.Header.Get(answerHeader) != answerFailed || !strings.Contains(string(text), "became shorter") {
		t.Errorf("told %q %q: %v", resp.Header.Get(answerHeader), text, err)
	}
	sharing.Wait()
	if shared == nil || !strings.Contains(shared.Error(), "became shorter") {
		t.Errorf("share: %v, %s", shared, said)
	}
}

// A directory that cannot be unpacked is not there, and its sender is told so.
func TestShareHearsOfADirectoryThatCannotBeUnpacked(t *testing.T) {
	base := testRelay(t)
	s, said := testShare(t, base, &http.Transport{}, "broken")
	s.src.kind = kindTar // it is none
	ctx, stop := context.WithCancel(t.Context())
	var shared error
	var sharing sync.WaitGroup
	sharing.Go(func() { shared = s.run(ctx) })
	for range 2 { // it is offered again when it is known that the first one failed
		talk, err := testDownload(t, base, "broken")
		if err == nil || !strings.Contains(err.Error(), "what came is no tar stream") {
			t.Errorf("download: %v, %s", err, talk)
		}
	}
	stop()
	sharing.Wait()
	if !errors.Is(shared, context.Canceled) || strings.Contains(said.String(), "confirmed") || !strings.Contains(said.String(), "a receiver gave up: what came is no tar stream") {
		t.Errorf("share: %v, %s", shared, said)
	}
}

// afterwards tells when the first post to a path is over.
type afterwards struct {
	to    http.RoundTripper
	path  string
	ended chan struct{}
	once  sync.Once
}

func (a *afterwards) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.to.RoundTrip(r)
	if r.Method == http.MethodPost && r.URL.Path == a.path {
		a.once.Do(func() { close(a.ended) })
	}
	return resp, err
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

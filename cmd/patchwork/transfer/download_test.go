package transfer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"

	"patchwork/cmd/patchwork/client"
)

// When a sender has gone for good in the middle, whoever shares the file anew sends
// the rest of it to the 'download' that has waited all the while. What began encrypted
// does not go on in clear.
func TestDownloadGoesOnWithASenderThatWasStartedAnew(t *testing.T) {
	base := testRelay(t)
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	encrypted := &seal{[]age.Recipient{key.Recipient()}}
	for name, test := range map[string]struct {
		before, after *seal
		err           error
	}{
		"clear":          {nil, nil, nil},
		"encrypted":      {encrypted, encrypted, nil},
		"not-any-longer": {encrypted, nil, errClear},
	} {
		t.Run(name, func(t *testing.T) {
			over := &offsets{to: http.DefaultTransport}
			s, said := testShare(t, base, over, name)
			s.seal = test.after
			want, d := cutDownload(t, base, s, test.before)
			if test.before != nil {
				d.opening.all = []age.Identity{key}
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			var shared error
			var sharing sync.WaitGroup
			talk := d.c.Stderr.(*heeding)
			sharing.Go(func() {
				select {
				case <-talk.heard:
					shared = s.run(ctx)
				case <-ctx.Done():
					shared = errors.New("nobody waited for a share")
				}
			})
			err := d.run(t.Context())
			d.leave()
			if !errors.Is(err, test.err) {
				t.Errorf("download: %v, want %v; %s", err, test.err, talk)
			}
			if err != nil {
				stop()
			}
			sharing.Wait()
			if n := strings.Count(talk.String(), "is offered anew; going on with that"); n != 1 {
				t.Errorf("said %d times that it goes on: %s", n, talk)
			}
			got, _ := os.ReadFile(d.output)
			if test.err != nil {
				if got != nil || len(over.seen()) != 0 {
					t.Errorf("%d bytes arrived, sent from %q on", len(got), over.seen())
				}
				return
			}
			if shared != nil || !strings.Contains(said.String(), "confirmed by the receiver") {
				t.Errorf("share: %v, %s", shared, said)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes arrived, want %d", len(got), len(want))
			}
			if from := over.seen(); len(from) != 1 || from[0] == "0" {
				t.Errorf("it was sent from %q on, want one that is not the beginning", from)
			}
		})
	}
}

// cutDownload has a sender of the same file go away in the middle, for a 'download'
// that is still to be run. It returns what the file has in it.
func cutDownload(t *testing.T, base *url.URL, like *sharing, key *seal) ([]byte, *downloading) {
	t.Helper()
	in, err := like.src.open()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	want, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	gone, _ := testShare(t, base, &http.Transport{}, like.src.name)
	gone.seal = key
	c := &client.Client{Base: base, Space: "p", HTTP: &http.Client{Transport: &http.Transport{}}, Stdout: io.Discard, Stderr: &heeding{word: "shares the file anew", heard: make(chan struct{})}}
	t.Cleanup(c.HTTP.CloseIdleConnections)
	output := filepath.Join(t.TempDir(), "out")
	part, err := openPart(output + ".part")
	if err != nil {
		t.Fatal(err)
	}
	d := &downloading{
		c: c, path: gone.path, patience: time.Minute, lookAfter: 100 * time.Millisecond, output: output, part: part,
		opening: &opening{c: c}, keys: map[int][]byte{}, sum: newDigest(), link: client.NewLink(c, ""),
	}
	half := io.MultiReader(bytes.NewReader(want[:len(want)/2]), readFunc(func([]byte) (int, error) {
		for n, _ := d.sum.sum(); n == 0 && t.Context().Err() == nil; n, _ = d.sum.sum() {
			client.Pause(t.Context(), time.Millisecond) //nolint:errcheck // see above
		}
		return 0, errors.New("the sender was killed")
	}))
	var sending sync.WaitGroup
	sending.Go(func() { gone.send(t.Context(), gone.message(gone.path), io.NopCloser(half)) }) //nolint:errcheck // it fails
	sending.Go(func() {                                                                        // it has heard of the receiver
		if resp, err := gone.c.Do(t.Context(), client.Call{Method: http.MethodGet, Path: "/r/" + gone.back.Channel, Secret: gone.back.Secret}); err == nil {
			io.Copy(io.Discard, resp.Body) //nolint:errcheck // see above
			resp.Body.Close()
		}
	})
	t.Cleanup(sending.Wait)
	return want, d
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// offsets keeps where the answers with data begin that are posted through it.
type offsets struct {
	to http.RoundTripper

	mu   sync.Mutex // guards from
	from []string
}

func (o *offsets) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Patch-H-"+answerHeader) == answerData {
		o.mu.Lock()
		o.from = append(o.from, r.Header.Get("Patch-H-"+offsetHeader))
		o.mu.Unlock()
	}
	return o.to.RoundTrip(r)
}

func (o *offsets) seen() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.from
}

// heeding is what a command says; it tells when a word was in it.
type heeding struct {
	word  string
	heard chan struct{}
	once  sync.Once

	mu   sync.Mutex // guards text
	text strings.Builder
}

func (n *heeding) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text.Write(p)
	if strings.Contains(n.text.String(), n.word) {
		n.once.Do(func() { close(n.heard) })
	}
	return len(p), nil
}

func (n *heeding) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

package tunnel

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// requests and download are how much goes through a tunnel in one test; with the
// build tag long, as much as the issue asks for.
var (
	requests = 5_000
	download = int64(64 << 20)
)

func TestNoRequestFailsWhileTheStreamsAreReplaced(t *testing.T) {
	r := newRelay(t, "")
	ttl := 1250 * time.Millisecond // replaced every second
	if requests <= 5_000 {
		ttl = 100 * time.Millisecond
	}
	public := publish(t, r, "web-demo", ttl, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %x", q.Method, q.URL.RequestURI(), sha256.Sum256(body))
	}))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(requests) && !t.Failed(); i = next.Add(1) {
				body := make([]byte, rand.IntN(2000))
				if i%100 == 0 {
					body = make([]byte, 300<<10) // more than the stream's buffers hold
				}
				fill(body, uint64(i))
				path := fmt.Sprintf("/web-demo/%d?q=%d", i, i)
				got := post(t, r, public[:len(public)-len("/web-demo/")]+path, body)
				if want := fmt.Sprintf("POST %s %x", path, sha256.Sum256(body)); got != want {
					t.Errorf("request %d: %.200q; want %q", i, got, want)
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d requests over %d pairs", requests, r.pairs.Load())
	if r.pairs.Load() < 3 {
		t.Errorf("the streams were replaced %d times; want more", r.pairs.Load()-1)
	}
}

func post(t *testing.T, r *relay, url string, body []byte) string {
	response, err := r.client.Post(url, "application/octet-stream", byteReader(body))
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Sprintf("%s %s %v", response.Status, got, err)
	}
	return string(got)
}

// fill writes bytes that only a seed tells.
func fill(p []byte, seed uint64) {
	rnd := rand.NewPCG(seed, 1)
	for len(p) >= 8 {
		binary.LittleEndian.PutUint64(p, rnd.Uint64())
		p = p[8:]
	}
}

// noise is an endless body of the same.
type noise struct{ rnd *rand.PCG }

func (n noise) Read(p []byte) (int, error) {
	p = p[:len(p)&^7]
	for q := p; len(q) >= 8; q = q[8:] {
		binary.LittleEndian.PutUint64(q, n.rnd.Uint64())
	}
	return len(p), nil
}

func TestADownloadThroughTenHandOversIsWhole(t *testing.T) {
	r := newRelay(t, "")
	const parts = 10
	arrived := make(chan struct{}) // a part is there: the next one may come
	public := publish(t, r, "big", 100*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		for i := range parts {
			io.CopyN(w, noise{rand.NewPCG(uint64(i), 2)}, download/parts&^7)
			http.NewResponseController(w).Flush()
			select {
			case <-arrived:
			case <-q.Context().Done():
			}
		}
	}))
	response, err := r.client.Get(public)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for i := range parts {
		got, want := sha256.New(), sha256.New()
		if _, err := io.CopyN(got, response.Body, download/parts&^7); err != nil {
			t.Fatalf("part %d: %v", i, err)
		}
		io.CopyN(want, noise{rand.NewPCG(uint64(i), 2)}, download/parts&^7)
		if string(got.Sum(nil)) != string(want.Sum(nil)) {
			t.Fatalf("part %d came with other bytes", i)
		}
		now := r.pairs.Load()
		eventually(t, "the pair is replaced", func() bool { return r.pairs.Load() > now })
		arrived <- struct{}{}
	}
	if n, err := io.Copy(io.Discard, response.Body); n != 0 || err != nil {
		t.Errorf("after the last part: %d bytes, %v", n, err)
	}
	if n := r.pairs.Load(); n <= parts {
		t.Errorf("%d pairs; want more than %d", n, parts)
	}
}

// TestAnUploadAndADownloadAtOnceAreWhole has both directions full while pairs go.
func TestAnUploadAndADownloadAtOnceAreWhole(t *testing.T) {
	r := newRelay(t, "")
	public := publish(t, r, "both", 100*time.Millisecond, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, q.Body)
	}))
	want := sha256.New()
	body := io.TeeReader(io.LimitReader(noise{rand.NewPCG(7, 7)}, download/2), want)
	response, err := r.client.Post(public, "application/octet-stream", body)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got := sha256.New()
	if n, err := io.Copy(got, response.Body); n != download/2 || err != nil {
		t.Fatalf("%d bytes came back, %v; want %d", n, err, download/2)
	}
	if string(got.Sum(nil)) != string(want.Sum(nil)) {
		t.Error("other bytes came back")
	}
}

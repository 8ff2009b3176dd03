package httpfront_test

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"
)

// through sends n bytes through a queue and returns by how much the memory of
// this process, clients and relay, grew at most.
func through(t *testing.T, n int64) (grown uint64) {
	r := start(t)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc + m.StackInuse
	var peak atomic.Uint64
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc+m.StackInuse))
			case <-stop:
				return
			}
		}
	}()
	p := r.dial("")
	c := r.dial("GET /p/big HTTP/1.1\r\nHost: x\r\n\r\n")
	p.SetDeadline(time.Time{}) //nolint:errcheck // it takes as long as it takes
	c.SetDeadline(time.Time{}) //nolint:errcheck // as above
	r.consumers("big", 1)
	begun := time.Now()
	go func() {
		block := make([]byte, 1<<20)
		io.WriteString(p, "POST /p/big HTTP/1.1\r\nHost: x\r\nContent-Length: "+strconv.FormatInt(n, 10)+"\r\n\r\n") //nolint:errcheck // the count tells
		for left := n; left > 0; left -= int64(len(block)) {
			if _, err := p.Write(block[:min(left, int64(len(block)))]); err != nil {
				return
			}
		}
	}()
	res, _ := c.answer()
	if got, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, res.Body, make([]byte, 256<<10)); got != n || err != nil {
		t.Fatalf("%d bytes of %d: %v", got, n, err)
	}
	c.Close()
	took := time.Since(begun)
	if res, _ := p.answer(); res.StatusCode != 200 {
		t.Fatal(res.Status)
	}
	close(stop)
	<-watched
	if p := peak.Load(); p > before {
		grown = p - before
	}
	t.Logf("%d MiB in %v, %.0f MB/s, memory grew by %d KiB", n>>20, took.Round(time.Millisecond), float64(n)/1e6/took.Seconds(), grown>>10)
	return grown
}

func TestOneGiBThroughAQueueNeedsNoMemory(t *testing.T) {
	if grown := through(t, 1<<30); grown > 64<<20 {
		t.Errorf("the memory grew by %d bytes", grown)
	}
}

func TestTenGiBThroughAQueueNeedNoMemory(t *testing.T) {
	if os.Getenv("PATCHWORK_LONG") == "" {
		t.Skip("it takes a while; PATCHWORK_LONG=1 runs it")
	}
	if grown := through(t, 10<<30); grown > 64<<20 {
		t.Errorf("the memory grew by %d bytes", grown)
	}
}

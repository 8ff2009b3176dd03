package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A wire carries connections to somewhere else, and can cut them or let nothing pass.
type wire struct {
	t        *testing.T
	listener net.Listener
	network  string
	to       string
	jobs     sync.WaitGroup

	mu      sync.Mutex // guards what follows
	conns   map[net.Conn]bool
	closed  bool
	stopped chan struct{} // closed when things may pass
}

// newWire listens at an address of the same network as where it leads to.
func newWire(t *testing.T, network, at, to string) *wire {
	t.Helper()
	l, err := net.Listen(network, at)
	must(t, err)
	w := &wire{t: t, listener: l, network: network, to: to, conns: map[net.Conn]bool{}, stopped: make(chan struct{})}
	close(w.stopped)
	w.jobs.Go(w.accept)
	t.Cleanup(func() {
		l.Close()
		w.resume()
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.cut()
		w.jobs.Wait()
	})
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		near, err := w.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial(w.network, w.to)
		if err != nil {
			near.Close()
			continue
		}
		w.mu.Lock()
		w.conns[near], w.conns[far] = true, true
		if w.closed {
			near.Close()
			far.Close()
		}
		w.mu.Unlock()
		w.jobs.Go(func() {
			var half sync.WaitGroup
			half.Go(func() { w.carry(far, near) })
			half.Go(func() { w.carry(near, far) })
			half.Wait()
			w.mu.Lock()
			delete(w.conns, near)
			delete(w.conns, far)
			w.mu.Unlock()
		})
	}
}

func (w *wire) carry(dst, src net.Conn) {
	defer dst.Close()
	defer src.Close()
	buf := make([]byte, 8<<10)
	for {
		w.mu.Lock()
		pass := w.stopped
		w.mu.Unlock()
		<-pass
		n, err := src.Read(buf)
		w.mu.Lock()
		pass = w.stopped
		w.mu.Unlock()
		<-pass
		if _, err := dst.Write(buf[:n]); err != nil {
			return
		}
		if err != nil {
			return
		}
	}
}

// open is how many connections there are.
func (w *wire) open() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.conns) / 2
}

// cut breaks all connections there are, and returns how many that was.
func (w *wire) cut() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for c := range w.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, and what was not sent is lost
		}
		c.Close()
		n++
	}
	clear(w.conns)
	return n / 2
}

// stop lets nothing pass in either direction until resume.
func (w *wire) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = make(chan struct{})
}

func (w *wire) resume() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.stopped:
	default:
		close(w.stopped)
	}
}

// A dockerProxy passes on all requests but those with a path that ends as told.
type dockerProxy struct {
	socket  string
	refused atomic.Int32
}

func newDockerProxy(t *testing.T, to, refuse string) *dockerProxy {
	t.Helper()
	p := &dockerProxy{socket: filepath.Join(t.TempDir(), "s")}
	l, err := net.Listen("unix", p.socket)
	must(t, err)
	pass := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker" },
		FlushInterval: -1,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", to)
		}},
		ErrorLog: log.New(io.Discard, "", 0),
	}
	server := &http.Server{ReadHeaderTimeout: longest, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, refuse) {
			p.refused.Add(1)
			http.Error(w, "nobody may look here", http.StatusForbidden)
			return
		}
		pass.ServeHTTP(w, r)
	})}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	t.Cleanup(func() { server.Close(); serving.Wait() })
	return p
}

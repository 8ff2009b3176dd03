package tunnel

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/gorilla/websocket"
)

// chunk is what an operation of the copying benchmarks moves.
const chunk = 1 << 20

// zeros is an endless source that costs nothing.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// sendTo is a TCP server that sends without end; sinkTo one that only takes.
func sendTo(b testing.TB) string {
	return target(b, func(c *net.TCPConn) { io.Copy(c, zeros{}) })
}

func sinkTo(b testing.TB) string {
	return target(b, func(c *net.TCPConn) { io.Copy(io.Discard, struct{ io.Reader }{c}) })
}

func BenchmarkDownTCP(b *testing.B) { benchDownTCP(b, sendTo(b)) }

// BenchmarkDownJoin has one Join of two TCP connections between.
func BenchmarkDownJoin(b *testing.B) {
	inner := sendTo(b)
	benchDownTCP(b, target(b, func(c *net.TCPConn) {
		to, err := net.Dial("tcp", inner)
		if err != nil {
			b.Error(err)
			return
		}
		Join(b.Context(), c, to)
	}))
}

func benchDownTCP(b *testing.B, address string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, chunk)
	b.SetBytes(chunk)
	for b.Loop() {
		if _, err := io.ReadFull(c, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpTCP(b *testing.B) {
	c, err := net.Dial("tcp", sinkTo(b))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	benchUp(b, c)
}

func benchUp(b *testing.B, w io.Writer) {
	buf := make([]byte, chunk)
	b.SetBytes(chunk)
	for b.Loop() {
		if _, err := w.Write(buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDownHuproxy(b *testing.B) {
	f := dialFrames(b, newHuproxy(b, sendTo(b)))
	buf := make([]byte, chunk)
	b.SetBytes(chunk)
	for b.Loop() {
		if _, err := io.ReadFull(f, buf); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpHuproxy(b *testing.B) {
	f := dialFrames(b, newHuproxy(b, sinkTo(b)))
	benchUp(b, struct{ io.Writer }{f})
}

func dialFrames(b *testing.B, h *huproxy) *frames {
	d := websocket.Dialer{Subprotocols: []string{halfCloses}, ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10}
	c, _, err := d.Dial(h.ws(), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close(); <-h.served })
	return newFrames(c)
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") })

func BenchmarkRequestsReverseProxy(b *testing.B) {
	local := httptest.NewServer(hello)
	defer local.Close()
	to, err := url.Parse(local.URL)
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	front := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
	defer front.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	benchRequests(b, client, front.URL)
}

func BenchmarkRequestsTunnel(b *testing.B) {
	r := newRelay(b, "")
	benchRequests(b, r.client, publish(b, r, "web-demo", 0, hello))
}

func benchRequests(b *testing.B, client *http.Client, url string) {
	b.SetParallelism(16) // 32 in flight on two cores
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			response, err := client.Get(url)
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
	})
}

func BenchmarkDownReverseProxy(b *testing.B) { benchBody(b, false) }
func BenchmarkDownTunnel(b *testing.B)       { benchBody(b, true) }

func benchBody(b *testing.B, tunnel bool) {
	endless := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, zeros{}) })
	client, at := http.DefaultClient, ""
	if tunnel {
		r := newRelay(b, "")
		client, at = r.client, publish(b, r, "web-demo", 0, endless)
	} else {
		local := httptest.NewServer(endless)
		defer local.Close()
		to, err := url.Parse(local.URL)
		if err != nil {
			b.Fatal(err)
		}
		front := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) }})
		defer front.Close()
		at = front.URL
	}
	response, err := client.Get(at)
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	buf := make([]byte, chunk)
	b.SetBytes(chunk)
	for b.Loop() {
		if _, err := io.ReadFull(response.Body, buf); err != nil {
			b.Fatal(err)
		}
	}
}

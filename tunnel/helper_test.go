package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

var secret = []byte("a secret of the tests")

// relay is the part of the relay that tunnels need, on a real port.
type relay struct {
	*httptest.Server
	t        testing.TB
	registry *Registry
	sendit   *SendIt
	proxy    *Proxy
	pairs    atomic.Int64 // write streams that came
	client   *http.Client
}

func newRelay(t testing.TB, host string) *relay {
	t.Helper()
	r := &relay{t: t, registry: NewRegistry(RegistryOptions{Reserved: func(p string) bool { return p == "public" }})}
	r.sendit = NewSendIt(SendItOptions{Registry: r.registry, Authorize: Authorize(secret, byName)})
	r.proxy = NewProxy(ProxyOptions{Registry: r.registry, Host: host, Trusted: func(q *http.Request) bool { return q.Header.Get("X-Trust") != "" }})
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasPrefix(q.URL.Path, SendItPath):
			if strings.HasSuffix(q.URL.Path, "/write") {
				r.pairs.Add(1)
			}
			r.sendit.ServeHTTP(w, q)
		default:
			r.proxy.ServeHTTP(w, q)
		}
	}))
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	r.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		r.registry.Close()
		r.sendit.Close()
		r.Server.CloseClientConnections()
		r.Server.Close()
	})
	return r
}

// byName takes "user:NAME" for a token of that user, who may open what begins
// with the name.
func byName(_ context.Context, token, prefix string) (string, error) {
	name, ok := strings.CutPrefix(token, "user:")
	switch {
	case !ok:
		return "", ErrUnauthorized
	case !strings.HasPrefix(prefix, name):
		return "", ErrForbidden
	}
	return "user:" + name, nil
}

func token(t testing.TB, ttl time.Duration) string {
	t.Helper()
	tok, err := GenerateToken(secret, "tests", ttl)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// exposed is a running Expose.
type exposed struct {
	ready chan string
	ended chan error
	stop  context.CancelFunc
}

func expose(t testing.TB, o ExposeOptions) *exposed {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	x := &exposed{ready: make(chan string, 16), ended: make(chan error, 1), stop: cancel}
	o.Ready = func(u string) { x.ready <- u }
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.ended <- Expose(ctx, o)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return x
}

// wait returns the public URL once it is published.
func (x *exposed) wait(t testing.TB) string {
	t.Helper()
	select {
	case u := <-x.ready:
		return u
	case err := <-x.ended:
		t.Fatalf("Expose ended: %v", err)
	case <-time.After(30 * time.Second):
		t.Fatal("it was not published")
	}
	return ""
}

// publish serves h locally and publishes it on r.
func publish(t testing.TB, r *relay, prefix string, ttl time.Duration, h http.Handler) (public string) {
	t.Helper()
	local := httptest.NewServer(h)
	t.Cleanup(func() { local.CloseClientConnections(); local.Close() })
	return expose(t, ExposeOptions{Server: r.URL, Local: local.URL, Prefix: prefix, Token: token(t, 0), MaxTTL: ttl}).wait(t)
}

// eventually waits for a fact that nothing announces.
func eventually(t testing.TB, what string, fact func() bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !fact() {
		select {
		case <-deadline:
			t.Fatalf("it did not come about that %s", what)
		case <-tick.C:
		}
	}
}

// tcpPair is both ends of a TCP connection on loopback.
func tcpPair(t testing.TB) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err1 := net.Dial("tcp", l.Addr().String())
	d, err2 := l.Accept()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func byteReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// untilEOF tells when its reader has ended.
type untilEOF struct {
	io.Reader
	eof chan struct{}
}

func (u *untilEOF) Read(p []byte) (int, error) {
	n, err := u.Reader.Read(p)
	if err != nil {
		select {
		case <-u.eof:
		default:
			close(u.eof)
		}
	}
	return n, err
}

func dialMux(mux *yamux.Session) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) { return mux.Open() }
}

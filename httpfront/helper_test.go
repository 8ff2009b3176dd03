package httpfront_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"patchwork/broker"
	"patchwork/httpfront"
)

// patience is how long a test waits for what has to happen. It costs nothing
// where all is well.
const patience = time.Minute

// longest is how long a request may take: some wait for minutes.
const longest = 3 * time.Minute

// Secrets that tests send; none may be in the log.
const (
	secretToken  = "tok-5f1e0c9a77"
	secretSecret = "sec-b82d4410ee"
)

// logged collects what all relays of all tests log, at level debug.
var logged lockedBuffer

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestMain runs the tests and then judges what they left behind: no goroutine,
// no panic in the log, no secret in the log.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, "goroutines were left behind:", err)
		code = 1
	}
	log := logged.String()
	for _, bad := range []string{"panic", secretToken, secretSecret} {
		for line := range strings.Lines(log) {
			if strings.Contains(line, bad) {
				fmt.Fprintf(os.Stderr, "the log holds %q: %s", bad, line)
				code = 1
				break
			}
		}
	}
	os.Exit(code)
}

// relay is a server under test on a real port.
type relay struct {
	t      testing.TB
	broker *broker.Broker
	server *httpfront.Server
	addr   string
	url    string
	client *http.Client
	served chan error
	once   sync.Once
}

// start runs a relay until the test ends.
func start(t testing.TB, change ...func(*httpfront.Config)) *relay {
	t.Helper()
	return startWith(t, broker.Options{}, change...)
}

func startWith(t testing.TB, o broker.Options, change ...func(*httpfront.Config)) *relay {
	t.Helper()
	b := broker.New(o)
	cfg := httpfront.Config{
		Broker:       b,
		Logger:       slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Heartbeat:    100 * time.Millisecond,
		WriteTimeout: 10 * time.Second,
	}
	for _, f := range change {
		f(&cfg)
	}
	s, err := httpfront.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{
		t: t, broker: b, server: s, addr: l.Addr().String(), url: "http://" + l.Addr().String(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
		served: make(chan error, 1),
	}
	go func() { r.served <- s.Serve(l) }()
	t.Cleanup(func() { r.stop(0) })
	return r
}

// stop shuts the relay down, giving transfers under way so much time.
func (r *relay) stop(drain time.Duration) {
	r.once.Do(func() {
		r.client.CloseIdleConnections()
		r.broker.Close()
		begun := time.Now()
		r.server.Shutdown(within(r.t, drain)) //nolint:errcheck // cut off is fine here
		if took := time.Since(begun); took > drain+5*time.Second {
			r.t.Errorf("the shutdown took %v", took)
		}
		if err := <-r.served; err != nil {
			r.t.Errorf("Serve: %v", err)
		}
	})
}

// until waits for a fact.
func until(t testing.TB, what string, fact func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !fact(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		<-tick.C
	}
}

func name(t testing.TB, s string) broker.Name {
	t.Helper()
	n, err := broker.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (r *relay) producers(topic string, n int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%d producers on %s", n, topic), func() bool {
		return r.broker.Peek(name(r.t, "public/"+topic)).Producers == n
	})
}

func (r *relay) consumers(topic string, n int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%d consumers on %s", n, topic), func() bool {
		return r.broker.Peek(name(r.t, "public/"+topic)).Consumers == n
	})
}

func (r *relay) followers(topic string, n int) {
	r.t.Helper()
	until(r.t, fmt.Sprintf("%d followers on %s", n, topic), func() bool {
		return r.broker.Peek(name(r.t, "public/"+topic)).Subscribers == n
	})
}

// empty waits until nothing is left in the broker.
func (r *relay) empty() {
	r.t.Helper()
	until(r.t, "an empty broker", func() bool {
		s := r.broker.Stats()
		return s.Channels+s.Producers+s.Consumers+s.Subscribers+s.Publishers+s.Transfers+s.Calls == 0
	})
}

// answer is a whole response.
type answer struct {
	code   int
	body   string
	header http.Header
	err    error // of the request, or of reading its body
}

func (r *relay) do(method, path string, body io.Reader, headers ...string) answer {
	req, err := http.NewRequestWithContext(within(r.t, longest), method, r.url+path, body)
	if err != nil {
		return answer{err: err}
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(text), res.Header, err}
}

func (r *relay) get(path string, headers ...string) answer {
	return r.do("GET", path, nil, headers...)
}

func (r *relay) post(path, body string, headers ...string) answer {
	return r.do("POST", path, strings.NewReader(body), headers...)
}

// later runs f beside the test and returns where its answer will be.
func later(f func() answer) <-chan answer {
	c := make(chan answer, 1)
	go func() { c <- f() }()
	return c
}

// soon waits for what must come.
func soon[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}

func want(t testing.TB, a answer, code int, body string) {
	t.Helper()
	if a.err != nil || a.code != code || a.body != body {
		t.Fatalf("got %d %.200q (%v), want %d %.200q", a.code, a.body, a.err, code, body)
	}
}

// wantLine checks an error: its status, and one plain line that holds part.
func wantLine(t testing.TB, a answer, code int, part string) {
	t.Helper()
	line := strings.TrimSuffix(a.body, "\n")
	if a.err != nil || a.code != code || line == "" || strings.ContainsAny(line, "\n\r<") || !strings.Contains(line, part) {
		t.Fatalf("got %d %.200q (%v), want %d and one line with %q", a.code, a.body, a.err, code, part)
	}
}

// wire is a client that speaks by hand.
type wire struct {
	*net.TCPConn
	t testing.TB
	r *bufio.Reader
}

func (r *relay) dial(text string) *wire {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(longest)) //nolint:errcheck // a fresh connection
	w := &wire{TCPConn: c.(*net.TCPConn), t: r.t, r: bufio.NewReaderSize(c, 64)}
	r.t.Cleanup(func() { w.Close() })
	w.say(text)
	return w
}

func (w *wire) say(text string) {
	w.t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		w.t.Fatal(err)
	}
}

// answer reads a response, skipping interim ones.
func (w *wire) answer() (*http.Response, int) {
	w.t.Helper()
	for interim := 0; ; interim++ {
		res, err := http.ReadResponse(w.r, nil)
		if err != nil {
			w.t.Fatalf("no response: %v", err)
		}
		if res.StatusCode != http.StatusContinue {
			return res, interim
		}
	}
}

// rest reads until the server ends the connection; an error means it was cut.
func (w *wire) rest() (string, error) {
	text, err := io.ReadAll(w.r)
	return string(text), err
}

// pattern is a reader of n bytes that are not all alike.
func pattern(n int64) io.Reader { return io.LimitReader(&counting{}, n) }

type counting struct{ at int64 }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c.at>>10) ^ byte(c.at)
		c.at++
	}
	return len(p), nil
}

// within is a context that ends with the test or after d.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), d)
	t.Cleanup(cancel)
	return ctx
}

// freePort returns a port of the loopback that nobody listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

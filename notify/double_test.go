package notify

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"gopkg.in/yaml.v3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// config reads YAML as the value of the ntfy key.
func config(t *testing.T, text string) Config {
	t.Helper()
	c, err := decodeText(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func decodeText(text string) (Config, error) {
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		return Config{}, err
	}
	return Decode(&node)
}

// asked is one request a double has seen.
type asked struct {
	method, path, query string
	header              http.Header
	body                []byte
}

// field reads one value of a JSON body: field("a", "b") is .a.b.
func (a asked) field(t *testing.T, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(a.body, &v); err != nil {
		t.Fatalf("the body is not JSON: %v: %s", err, a.body)
	}
	for _, key := range path {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[key]
	}
	return v
}

// double is a service on a real wire that remembers what it was asked.
type double struct {
	*httptest.Server
	mu   sync.Mutex // guards seen
	seen []asked
}

func newDouble(t *testing.T, answer http.HandlerFunc) *double {
	t.Helper()
	d := &double{}
	d.Server = httptest.NewServer(d.record(answer))
	t.Cleanup(d.Close)
	return d
}

// record keeps each request before it is answered.
func (d *double) record(answer http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		d.mu.Lock()
		d.seen = append(d.seen, asked{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Clone(), body})
		d.mu.Unlock()
		answer(w, r)
	}
}

func (d *double) all() []asked {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]asked(nil), d.seen...)
}

// one is the only request there was.
func (d *double) one(t *testing.T) asked {
	t.Helper()
	if seen := d.all(); len(seen) != 1 {
		t.Fatalf("the service was asked %d times, want once: %+v", len(seen), seen)
	}
	return d.all()[0]
}

// sender is one whose dialer leads every host name to the double.
func (d *double) sender(t *testing.T) *Sender {
	return newSender(t, Options{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.Listener.Addr().String())
	}})
}

func newSender(t *testing.T, o Options) *Sender {
	s := New(o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// send sends and expects every target to succeed.
func send(t *testing.T, s *Sender, c Config, m Message) Result {
	t.Helper()
	result, err := s.Send(t.Context(), c, m, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return result
}

// answerJSON answers every request with one JSON object.
func answerJSON(status int, object string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, object)
	}
}

// byHost is a transport without a network, for fake time: it calls the handler of
// the host that is asked. A handler that outlives the request's context is what a
// service that hangs looks like.
type byHost map[string]http.HandlerFunc

func (h byHost) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	answer := h[r.URL.Hostname()]
	if answer == nil {
		return nil, &dialError{&net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
	}
	answer(recorder, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func hookTo(name string) string {
	return "{type: webhook, name: " + name + ", config: {url: 'http://" + name + ".test/hook'}}"
}

func list(targets ...string) string { return "[" + strings.Join(targets, ", ") + "]" }

package tunnel

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/yamux"
)

// foreign is the other end of SendIt as the public programs are known to behave,
// on nothing but net/http and yamux with its defaults: the pair's lines one by
// one, an answer to open that stays, a stream that is switched by hand.
type foreign struct {
	mu  sync.Mutex // held while in or out is changed, or out is used
	in  []*bufio.Reader
	out io.WriteCloser
}

func (f *foreign) Read(p []byte) (int, error) {
	for {
		f.mu.Lock()
		in := f.in[0]
		f.mu.Unlock()
		n, err := in.Read(p)
		if err != io.EOF {
			return n, err
		}
		f.mu.Lock()
		if len(f.in) == 1 {
			f.mu.Unlock()
			return 0, io.EOF
		}
		f.in = f.in[1:]
		f.mu.Unlock()
	}
}

func (f *foreign) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Write(p)
}

func (f *foreign) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Close()
}

func (f *foreign) take(in io.Reader, out io.WriteCloser) error {
	b := bufio.NewReader(in)
	locked := false
	defer func() {
		if locked {
			f.mu.Unlock()
		}
	}()
	for i, line := range []string{"SYN\n", "SYNACK\n"} {
		if _, err := io.WriteString(out, line); err != nil {
			return err
		}
		if got, err := b.ReadString('\n'); got != line {
			return fmt.Errorf("%q, %v; want %q", got, err, line)
		}
		if i == 0 {
			f.mu.Lock() // nothing is written between here and the switch
			locked = true
			f.in = append(f.in, b)
		}
	}
	if f.out != nil {
		f.out.Close()
	}
	f.out = out
	return nil
}

func TestAForeignClientIsServed(t *testing.T) {
	r := newRelay(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	response, err := r.client.PostForm(r.URL+SendItPath+"open", url.Values{"prefix": {"web-demo"}, "token": {token(t, 0)}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	connect, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	f := &foreign{}
	pair := func() {
		t.Helper()
		u := SendItPath + "%s?token=" + url.QueryEscape(strings.TrimSpace(connect))
		read := r.foreignPost(ctx, fmt.Sprintf(u, "read"), nil)
		pr, pw := io.Pipe()
		wg.Go(func() {
			q, _ := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+fmt.Sprintf(u, "write"), pr)
			q.Header.Set("Transfer-Encoding", "chunked")
			response, err := r.client.Do(q)
			if err == nil {
				response.Body.Close()
			}
		})
		if err := f.take(read.Body, pw); err != nil {
			t.Fatal(err)
		}
	}
	pair()
	config := yamux.DefaultConfig()
	config.KeepAliveInterval = 3 * time.Second
	config.LogOutput = io.Discard
	mux, err := yamux.Client(f, config)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.URL.Path) })}
	wg.Go(func() { server.Serve(mux) })
	defer server.Close()
	defer mux.Close()
	for i := range 5 {
		for j := range 20 {
			path := fmt.Sprintf("/web-demo/%d/%d", i, j)
			response, err := r.client.Get(r.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(response.Body); string(b) != path {
				t.Errorf("%s: %s %q", path, response.Status, b)
			}
			response.Body.Close()
		}
		pair()
	}
}

func (r *relay) foreignPost(ctx context.Context, path string, body io.Reader) *http.Response {
	r.t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Transfer-Encoding", "chunked")
	response, err := r.client.Do(q)
	if err != nil || response.StatusCode != http.StatusOK {
		r.t.Fatal(response, err)
	}
	r.t.Cleanup(func() { response.Body.Close() })
	return response
}

// flushing is a response as a WriteCloser; its Close lets the handler return.
type flushing struct {
	http.ResponseWriter
	closed chan struct{}
}

func (f *flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	http.NewResponseController(f.ResponseWriter).Flush()
	return n, err
}

func (f *flushing) Close() error {
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	return nil
}

func TestOurClientServesAForeignServer(t *testing.T) {
	f := &foreign{}
	ready, pairs := make(chan struct{}), make(chan struct{}, 100)
	over := make(chan struct{})
	outs := make(chan *flushing)
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/base"+SendItPath) {
		case "open":
			if r.FormValue("prefix") != "web-demo" || r.FormValue("token") != "T" {
				http.Error(w, "no", http.StatusUnauthorized)
				return
			}
			io.WriteString(w, "connect-token\n")
			w.(http.Flusher).Flush()
			select { // the answer stays until the first pair is there
			case <-ready:
			case <-r.Context().Done():
			}
		case "read":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			out := &flushing{w, make(chan struct{})}
			select {
			case outs <- out:
			case <-r.Context().Done():
				return
			}
			select {
			case <-out.closed:
			case <-over:
			}
		case "write":
			if r.URL.Query().Get("token") != "connect-token" {
				t.Error("a write stream without the connect token")
			}
			eof := make(chan struct{})
			if err := f.take(&untilEOF{r.Body, eof}, <-outs); err != nil {
				t.Error(err)
				return
			}
			once.Do(func() { close(ready) })
			pairs <- struct{}{}
			select {
			case <-eof:
			case <-over:
			}
		default:
			t.Error(r.URL.Path)
		}
	}))
	defer server.Close()
	defer close(over)
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path, r.Host) }))
	defer local.Close()
	x := expose(t, ExposeOptions{Server: server.URL + "/base/", Local: local.URL + "/sub", Prefix: "web-demo", Token: "T", MaxTTL: 100 * time.Millisecond})
	if u := x.wait(t); u != server.URL+"/base/web-demo/" {
		t.Error(u)
	}
	config := yamux.DefaultConfig()
	config.LogOutput = io.Discard
	mux, err := yamux.Server(f, config)
	if err != nil {
		t.Fatal(err)
	}
	defer mux.Close()
	transport := &http.Transport{DialContext: dialMux(mux)}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for range 5 {
		for j := range 20 {
			response, err := client.Get(fmt.Sprintf("http://web.example/%d", j))
			if err != nil {
				t.Fatal(err)
			}
			if b, _ := io.ReadAll(response.Body); string(b) != fmt.Sprintf("/sub/%dweb.example", j) {
				t.Errorf("%s %q", response.Status, b)
			}
			response.Body.Close()
		}
		<-pairs
	}
	x.stop()
	if err := <-x.ended; err != nil {
		t.Error(err)
	}
	x.ended <- nil
}

package acl

import (
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// A forge is a double of a Forgejo: the paths of its API that are documented,
// with the status codes, headers and JSON that a real one was seen to send.
type forge struct {
	mu       sync.Mutex
	token    string
	files    map[string]string   // config.yaml by owner
	accounts map[string][]string // key lines by user; one who is not here is not there
	maxPage  int                 // entries to a page at most
	fault    func(w http.ResponseWriter, r *http.Request) bool
	calls    []string // method and path of each request
}

func newForge() *forge {
	return &forge{token: secret("forge-token-0123456789"), files: map[string]string{}, accounts: map[string][]string{}, maxPage: 50}
}

func (f *forge) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *forge) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.calls)
}

func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.calls = append(f.calls, r.Method+" "+r.URL.RequestURI())
	fault := f.fault
	f.mu.Unlock()
	if fault != nil && fault(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	given := r.Header.Get("Authorization")
	if given != "" && given != "token "+f.token {
		f.message(w, http.StatusUnauthorized, "user does not exist [uid: 0, name: ]")
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/")
	switch {
	case len(parts) == 5 && parts[0] == "repos" && parts[2] == ".patchwork" && parts[3] == "media":
		f.media(w, r, parts[1], parts[4], given != "")
	case len(parts) == 3 && parts[0] == "users" && parts[2] == "keys":
		f.keys(w, r, parts[1], given != "")
	case r.URL.Path == "/api/v1/repos/search":
		f.search(w, r)
	default:
		f.message(w, http.StatusNotFound, "The target couldn't be found.")
	}
}

func (f *forge) message(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"message":%q,"url":"https://git.example.com/api/swagger"}`+"\n", text)
}

func (f *forge) media(w http.ResponseWriter, r *http.Request, owner, file string, known bool) {
	data, ok := f.files[owner]
	switch {
	case r.Method != http.MethodGet:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !ok || !known || file != "config.yaml":
		f.message(w, http.StatusNotFound, "The target couldn't be found.")
	default:
		etag := fmt.Sprintf(`"%x"`, sha1.Sum([]byte(fmt.Sprintf("blob %d\x00%s", len(data), data))))
		w.Header().Set("ETag", etag)
		w.Header().Set("Cache-Control", "private, max-age=300")
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2026 15:04:05 GMT")
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(data)))
		io.WriteString(w, data)
	}
}

func (f *forge) keys(w http.ResponseWriter, r *http.Request, user string, known bool) {
	lines, ok := f.accounts[user]
	switch {
	case !known:
		f.message(w, http.StatusUnauthorized, "token is required")
	case !ok:
		f.message(w, http.StatusNotFound, "user redirect does not exist")
	default:
		var entries []any
		for i, line := range lines {
			entries = append(entries, map[string]any{"id": i + 1, "key": line, "title": "key", "fingerprint": "SHA256:x", "key_type": "user"})
		}
		f.page(w, r, entries, func(page []any) any { return page })
	}
}

func (f *forge) search(w http.ResponseWriter, r *http.Request) {
	var entries []any
	id := 0
	add := func(owner, name string) {
		id++
		if strings.Contains(name, r.FormValue("q")) {
			entries = append(entries, map[string]any{"id": id, "name": name, "full_name": owner + "/" + name, "owner": map[string]any{"login": owner}})
		}
	}
	for owner := range f.files {
		add(owner, ".patchwork")
		add(owner, "website")
	}
	add("Mallory", ".patchwork-backup")
	add("key-abcdefghijklmnop", ".patchwork")
	add("public", ".patchwork")
	f.page(w, r, entries, func(page []any) any { return map[string]any{"ok": true, "data": page} })
}

func (f *forge) page(w http.ResponseWriter, r *http.Request, entries []any, wrap func([]any) any) {
	number, _ := strconv.Atoi(r.FormValue("page"))
	size, _ := strconv.Atoi(r.FormValue("limit"))
	size = min(size, f.maxPage)
	from := min((max(number, 1)-1)*size, len(entries))
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.Header().Set("X-Total-Count", strconv.Itoa(len(entries)))
	page := entries[from:min(from+size, len(entries))]
	if page == nil {
		page = []any{}
	}
	json.NewEncoder(w).Encode(wrap(page))
}

// serve opens the forge in memory, so that it works in a bubble of fake time, and
// returns a source that reads from it.
func (f *forge) serve(t testing.TB) *Forgejo {
	t.Helper()
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: f, ErrorLog: log.New(io.Discard, "", 0)}}
	server.Start()
	source, err := NewForgejo("http://git.example.com", f.token)
	if err != nil {
		t.Fatal(err)
	}
	transport := source.client.Transport.(*http.Transport)
	transport.Proxy = nil
	transport.DialContext = l.dial
	t.Cleanup(func() {
		source.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return source
}

type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *memoryListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case l.conns <- there:
		return here, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

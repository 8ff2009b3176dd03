package tunnel

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

func TestRequestsArriveAsTheyWere(t *testing.T) {
	r := newRelay(t, "tunnel.example")
	public := publish(t, r, "web-demo", 0, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprintf(w, "%s %s %s|%s|%s|%s|%s|%s", q.Method, q.RequestURI, q.Host, q.Header.Get("X-Forwarded-For"),
			q.Header.Get("X-Forwarded-Proto"), q.Header.Get("X-Forwarded-Host"), q.Header.Get("X-Real-Ip")+q.Header.Get("X-Forwarded-Port"), q.Header.Get("Accept-Encoding"))
	}))
	relayHost := strings.TrimPrefix(r.URL, "http://")
	base := strings.TrimSuffix(public, "/web-demo/")
	for _, c := range []struct {
		host, path string
		header     http.Header
		want       string
	}{
		{"", "/web-demo", nil, "GET /web-demo " + relayHost + "|127.0.0.1|http|" + relayHost + "||"},
		{"", "/web-demo/a%2Fb//c?x=1;y&&%zz", nil, "GET /web-demo/a%2Fb//c?x=1;y&&%zz " + relayHost + "|127.0.0.1|http|" + relayHost + "||"},
		{"", "/web-demo/", http.Header{"X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Port": {"1"}, "X-Real-Ip": {"1.2.3.4"}},
			"GET /web-demo/ " + relayHost + "|127.0.0.1|http|" + relayHost + "||"},
		{"", "/web-demo/", http.Header{"X-Trust": {"yes"}, "X-Forwarded-For": {"1.2.3.4"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"public.example"}},
			"GET /web-demo/ " + relayHost + "|1.2.3.4, 127.0.0.1|https|public.example||"},
		{"web-demo.tunnel.example", "/public/x", nil, "GET /public/x web-demo.tunnel.example|127.0.0.1|http|web-demo.tunnel.example||"},
		{"WEB-DEMO.Tunnel.Example.:8080", "/", nil, "GET / WEB-DEMO.Tunnel.Example.:8080|127.0.0.1|http|WEB-DEMO.Tunnel.Example.:8080||"},
	} {
		q, err := http.NewRequest(http.MethodGet, base+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Host = c.host
		for name, v := range c.header {
			q.Header[name] = v
		}
		q.Header.Set("Accept-Encoding", "identity")
		response, err := r.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if string(got) != c.want+"identity" {
			t.Errorf("%s%s: %s\nwant %s", c.host, c.path, got, c.want)
		}
	}
}

func TestWhatIsNotPublishedIsNotFound(t *testing.T) {
	r := newRelay(t, "tunnel.example")
	publish(t, r, "web-demo", 0, http.NotFoundHandler())
	for path, match := range map[string]bool{"/web-demo": true, "/web-demo/x": true, "/web-dem": false, "/web-demo2/": false, "/web%2Ddemo/": false, "//web-demo/": false, "/": false, "/x/web-demo/": false} {
		q, err := http.NewRequest(http.MethodGet, r.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.proxy.Match(q); got != match {
			t.Errorf("%s: %v; want %v", path, got, match)
		}
	}
	for host, match := range map[string]bool{"gone-one.tunnel.example": true, "tunnel.example": false, "a.b.tunnel.example": false, "web-demo.tunnel.example.org": false, "ab.tunnel.example": false} {
		q := &http.Request{Host: host, URL: mustURL(t, "/")}
		if got := r.proxy.Match(q); got != match || r.proxy.MatchHost(q) != match {
			t.Errorf("%s: %v; want %v", host, got, match)
		}
	}
	response, err := r.client.Get(r.URL + "/nothing/")
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("%v %v; want 404", response, err)
	}
	response.Body.Close()
}

// Where prefixes have hosts of their own, no page of theirs is shown under the relay's,
// where its scripts could read what is typed into the relay's pages. Scripts and
// webhooks go on using the path.
func TestPagesAreShownUnderTheHostOfTheirPrefix(t *testing.T) {
	r := newRelay(t, "tunnel.example")
	publish(t, r, "web-demo", 0, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	port := mustURL(t, r.URL).Port()
	for _, test := range []struct {
		method, name, value string
		redirected          bool
	}{
		{"GET", "Sec-Fetch-Dest", "document", true},
		{"GET", "Sec-Fetch-Dest", "iframe", true},
		{"HEAD", "Accept", "text/html,*/*", true},
		{"GET", "Sec-Fetch-Dest", "empty", false},
		{"GET", "Accept", "*/*", false},
		{"POST", "Accept", "text/html", false},
	} {
		q, err := http.NewRequest(test.method, r.URL+"/web-demo/a%2Fb?x=y", nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set(test.name, test.value)
		response, err := client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		want := ""
		if test.redirected {
			want = "//web-demo.tunnel.example:" + port + "/web-demo/a%2Fb?x=y"
		}
		if got := response.Header.Get("Location"); got != want || test.redirected != (response.StatusCode == http.StatusTemporaryRedirect) {
			t.Errorf("%s with %s: %s is %d to %q; want %q", test.method, test.name, test.value, response.StatusCode, got, want)
		}
	}
}

func TestASiteThatDoesNotAnswerIsABadGateway(t *testing.T) {
	r := newRelay(t, "")
	x := expose(t, ExposeOptions{Server: r.URL, Local: "http://127.0.0.1:1", Prefix: "web-demo", Token: token(t, 0)})
	response, err := r.client.Get(x.wait(t))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if line, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusBadGateway || strings.Count(string(line), "\n") != 1 {
		t.Errorf("%s %q; want 502 and one line", response.Status, line)
	}
}

func TestAnswersSpeakForTheirPrefixOnly(t *testing.T) {
	r := newRelay(t, "tunnel.example")
	public := publish(t, r, "web-demo", 0, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = []string{
			"a=1", "b=2; Path=/; HttpOnly", "c=3; Domain=relay.example; path=/web-demo/sub; SameSite=Lax", "d=4; Path=/web-demon", "e=5; Path=/web-demo/../x; Path=/",
			"f=6;PATH=\"/\";Partitioned", "g=7; Path=/web-demo/..", "h=8; Path=/web-demo%2f",
		}
		h.Set("Service-Worker-Allowed", q.URL.Query().Get("scope"))
		for _, name := range originWide {
			h.Set(name, "x")
		}
		h.Set("X-Own", "kept")
	}))
	get := func(url, host string) http.Header {
		q, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Host = host
		response, err := r.client.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.Header
	}
	h := get(public+"?scope=/", "")
	if want := []string{
		"a=1; Path=/web-demo", "b=2; HttpOnly; Path=/web-demo", "c=3; SameSite=Lax; Path=/web-demo/sub", "d=4; Path=/web-demo", "e=5; Path=/web-demo",
		"f=6;Partitioned; Path=/web-demo", "g=7; Path=/web-demo", "h=8; Path=/web-demo",
	}; !slices.Equal(h["Set-Cookie"], want) {
		t.Errorf("cookies:\n%s\nwant\n%s", strings.Join(h["Set-Cookie"], "\n"), strings.Join(want, "\n"))
	}
	for _, name := range append([]string{"Service-Worker-Allowed"}, originWide...) {
		if h.Get(name) != "" {
			t.Errorf("%s passed", name)
		}
	}
	if h.Get("X-Own") != "kept" {
		t.Error("a header of the site's own did not pass")
	}
	if got := get(public+"?scope=/web-demo/app", "").Get("Service-Worker-Allowed"); got != "/web-demo/app" {
		t.Errorf("a scope within the prefix became %q", got)
	}
	h = get(r.URL+"/?scope=/", "web-demo.tunnel.example")
	if c := h["Set-Cookie"]; c[0] != "a=1" || c[1] != "b=2; Path=/; HttpOnly" || strings.Contains(strings.Join(c, ""), "omain=") {
		t.Errorf("on a host of its own: %q", c)
	}
	if h.Get("Service-Worker-Allowed") != "/" {
		t.Error("on a host of its own the scope is cut")
	}
}

func TestAWebSocketGoesThroughATunnel(t *testing.T) {
	r := newRelay(t, "")
	up := websocket.Upgrader{}
	public := publish(t, r, "web-demo", 0, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		c, err := up.Upgrade(w, q, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for {
			kind, m, err := c.ReadMessage()
			if err != nil {
				return
			}
			c.WriteMessage(kind, append([]byte("you said "), m...))
		}
	}))
	c, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(public, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 100 {
		c.WriteMessage(websocket.TextMessage, fmt.Append(nil, i))
		if _, m, err := c.ReadMessage(); string(m) != fmt.Sprint("you said ", i) {
			t.Fatalf("%q, %v", m, err)
		}
	}
}

func TestALineOfASlowAnswerIsSeenAtOnce(t *testing.T) {
	r := newRelay(t, "")
	next := make(chan string)
	gone := make(chan struct{})
	public := publish(t, r, "web-demo", 0, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		defer close(gone)
		for {
			select {
			case line := <-next:
				io.WriteString(w, line)
				w.(http.Flusher).Flush()
			case <-q.Context().Done():
				return
			}
		}
	}))
	first := make(chan *http.Response)
	go func() {
		response, err := r.client.Get(public)
		if err != nil {
			t.Error(err)
		}
		first <- response
	}()
	next <- "0\n"
	response := <-first
	b := bufio.NewReader(response.Body)
	for i := range 10 {
		if line, err := b.ReadString('\n'); line != fmt.Sprintln(i) {
			t.Fatalf("%q, %v", line, err)
		}
		next <- fmt.Sprintln(i + 1)
	}
	response.Body.Close()
	<-gone // the local server hears that the visitor left
}

// TestAVisitorWhoLeavesDoesNotBlockTheSiteOrTheTunnel: an endless answer is cut
// off at its source although nobody empties its window any more.
func TestAVisitorWhoLeavesDoesNotBlockTheSiteOrTheTunnel(t *testing.T) {
	r := newRelay(t, "")
	gone := make(chan struct{}, 8)
	public := publish(t, r, "web-demo", 0, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b := make([]byte, 64<<10)
		for {
			if _, err := w.Write(b); err != nil {
				gone <- struct{}{}
				return
			}
		}
	}))
	for range 8 {
		response, err := r.client.Get(public)
		if err != nil {
			t.Fatal(err)
		}
		io.CopyN(io.Discard, response.Body, 1<<20)
		response.Body.Close()
	}
	for range 8 {
		<-gone
	}
	c := r.registry.Lookup("web-demo").Opener.(*session)
	eventually(t, "the streams are closed", func() bool { return c.mux.NumStreams() == 0 })
}

// TestATunnelGoesOverHTTP2 has both halves of each pair on one connection.
func TestATunnelGoesOverHTTP2(t *testing.T) {
	r := newRelay(t, "")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.ProtoMajor != 2 {
			t.Error(q.Proto)
		}
		r.Config.Handler.ServeHTTP(w, q)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	local := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { io.Copy(w, q.Body) }))
	t.Cleanup(local.Close)
	x := expose(t, ExposeOptions{Server: server.URL, Local: local.URL, Prefix: "web-demo", Token: token(t, 0), MaxTTL: 100 * time.Millisecond, Transport: server.Client().Transport})
	public := x.wait(t)
	body := make([]byte, 1<<20)
	fill(body, 1)
	for r.pairs.Load() < 4 {
		response, err := server.Client().Post(public, "text/plain", byteReader(body))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes came back, %v", len(got), err)
		}
	}
	x.stop()
	r.empty()
}

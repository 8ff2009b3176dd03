package tunnel

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// open asks for a prefix as any SendIt client does.
func (r *relay) open(prefix, token string) (status int, line string) {
	r.t.Helper()
	return r.ask("open", url.Values{"prefix": {prefix}, "token": {token}}.Encode(), "", nil)
}

// ask posts to one of the three paths and reads the whole answer.
func (r *relay) ask(what, form, connect string, body io.Reader) (status int, line string) {
	r.t.Helper()
	if body == nil {
		body = strings.NewReader(form)
	}
	q, err := http.NewRequest(http.MethodPost, r.URL+SendItPath+what+"?token="+url.QueryEscape(connect), body)
	if err != nil {
		r.t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := r.client.Do(q)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(b)
}

// empty waits until the relay holds no prefix and no session.
func (r *relay) empty() {
	r.t.Helper()
	eventually(r.t, "the prefix is free", func() bool {
		r.sendit.mu.Lock()
		defer r.sendit.mu.Unlock()
		return r.registry.Stats().Prefixes == 0 && len(r.sendit.sessions) == 0
	})
}

// must opens a prefix and returns the connect token.
func (r *relay) must(prefix string) string {
	r.t.Helper()
	status, line := r.open(prefix, token(r.t, 0))
	if status != http.StatusOK || !strings.HasSuffix(line, "\n") {
		r.t.Fatalf("open: %d %s", status, line)
	}
	return strings.TrimSpace(line)
}

func signed(t *testing.T, key any, method jwt.SigningMethod, c jwt.RegisteredClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTokensThatDoNotOpenAreAnsweredWithOneLine(t *testing.T) {
	r := newRelay(t, "")
	good := jwt.RegisteredClaims{Issuer: "sendit", Audience: jwt.ClaimStrings{"auth"}}
	expired, other, connect, later := good, good, good, good
	expired.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute))
	other.Issuer = "somebody"
	connect.Audience = jwt.ClaimStrings{"connect"}
	later.NotBefore = jwt.NewNumericDate(time.Now().Add(time.Hour))
	for name, c := range map[string]struct {
		token  string
		status int
	}{
		"none at all":      {"", 401},
		"no token":         {"hello", 401},
		"expired":          {signed(t, secret, jwt.SigningMethodHS256, expired), 401},
		"of tomorrow":      {signed(t, secret, jwt.SigningMethodHS256, later), 401},
		"another key":      {signed(t, []byte("another"), jwt.SigningMethodHS256, good), 401},
		"the empty key":    {signed(t, []byte(""), jwt.SigningMethodHS256, good), 401},
		"alg none":         {signed(t, jwt.UnsafeAllowNoneSignatureType, jwt.SigningMethodNone, good), 401},
		"another HMAC":     {signed(t, secret, jwt.SigningMethodHS512, good), 401},
		"another issuer":   {signed(t, secret, jwt.SigningMethodHS256, other), 401},
		"another audience": {signed(t, secret, jwt.SigningMethodHS256, connect), 401},
		"another prefix":   {"user:alice", 403},
	} {
		status, line := r.open("web-demo", c.token)
		if status != c.status || strings.Count(line, "\n") != 1 || c.token != "" && strings.Contains(line, c.token) {
			t.Errorf("%s: %d %q; want %d and one line", name, status, line, c.status)
		}
	}
	r.empty()
}

func TestATokenOfThePublicGeneratorOpens(t *testing.T) {
	r := newRelay(t, "")
	now := time.Now() // without an end, and good a while before it was made
	status, line := r.open("web-demo", signed(t, secret, jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer: "sendit", Audience: jwt.ClaimStrings{"auth"}, IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-15 * time.Minute)),
	}))
	if status != http.StatusOK {
		t.Errorf("%d %s", status, line)
	}
}

func TestWithNothingConfiguredOpenIsRefused(t *testing.T) {
	for _, empty := range [][]byte{nil, {}} {
		tok := signed(t, []byte{}, jwt.SigningMethodHS256, jwt.RegisteredClaims{Issuer: "sendit", Audience: jwt.ClaimStrings{"auth"}})
		if _, err := Authorize(empty, nil)(t.Context(), tok, "web"); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "--tunnel-secret") {
			t.Errorf("%v; want a refusal that names the flag", err)
		}
	}
	if _, err := GenerateToken(nil, "", 0); err == nil {
		t.Error("a token was made with an empty secret")
	}
}

func TestPrefixesOfWrongShapeAndFixedPathsAreRefused(t *testing.T) {
	r := newRelay(t, "")
	for _, p := range []string{"", "ab", "public", "Web", "web/demo", "web demo", "..", "../x", "web%2f", "wéb", strings.Repeat("a", 65), ".well-known"} {
		if status, line := r.open(p, token(t, 0)); status != http.StatusBadRequest || strings.Count(line, "\n") != 1 {
			t.Errorf("prefix %q: %d %q; want 400 and one line", p, status, line)
		}
	}
	for _, p := range []string{"abc", "a-b", "123", strings.Repeat("a", 64)} {
		if err := CheckPrefix(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	if n := r.registry.Stats().Prefixes; n != 0 {
		t.Errorf("%d prefixes are left behind", n)
	}
}

func TestAPrefixHeldBySomebodyElseIsRefused(t *testing.T) {
	r := newRelay(t, "")
	if status, line := r.open("alice-web", "user:alice"); status != http.StatusOK {
		t.Fatal(status, line)
	}
	if status, line := r.open("alice-web", "user:a"); status != http.StatusBadRequest || line != ErrTaken.Error()+"\n" {
		t.Errorf("%d %q; want 400", status, line)
	}
	if status, line := r.open("alice-web", token(t, time.Hour)); status != http.StatusBadRequest {
		t.Errorf("%d %q; want 400", status, line)
	}
}

func TestConnectTokensOfNobodyAreRefused(t *testing.T) {
	r := newRelay(t, "")
	for name, tok := range map[string]string{"none": "", "an auth token": token(t, 0), "garbage": "x.y.z"} {
		for _, half := range []string{"read", "write"} {
			if status, line := r.ask(half, "", tok, nil); status != http.StatusUnauthorized || strings.Count(line, "\n") != 1 {
				t.Errorf("%s with %s: %d %q; want 401 and one line", half, name, status, line)
			}
		}
	}
	over, err := sign(r.sendit.secret, audienceConnect, "a session that was", 0)
	if err != nil {
		t.Fatal(err)
	}
	if status, line := r.ask("read", "", over, nil); status != http.StatusNotFound || strings.Count(line, "\n") != 1 {
		t.Errorf("a session that is over: %d %q; want 404 and one line", status, line)
	}
	response, err := r.client.Get(r.URL + SendItPath + "open")
	if err != nil || response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET open: %v %v; want 405", response, err)
	}
	response.Body.Close()
}

// reading begins a read stream and returns its body.
func (r *relay) reading(ctx context.Context, connect string) *http.Response {
	r.t.Helper()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL+SendItPath+"read?token="+connect, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := r.client.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { response.Body.Close() })
	return response
}

func TestASecondReadStreamIsRefused(t *testing.T) {
	t.Parallel()
	r := newRelay(t, "")
	connect := r.must("web-demo")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if first := r.reading(ctx, connect); first.StatusCode != http.StatusOK {
		t.Fatal(first.Status)
	}
	if status, line := r.ask("read", "", connect, nil); status != http.StatusConflict || strings.Count(line, "\n") != 1 {
		t.Errorf("%d %q; want 409 and one line", status, line)
	}
	cancel() // the first gives up: its place is free again
	eventually(t, "another read stream is taken", func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return r.reading(ctx, connect).StatusCode == http.StatusOK
	})
	r.empty() // nobody came, so it ends by itself
}

func TestGarbageInsteadOfSYNIsAnsweredAndLeavesNothing(t *testing.T) {
	r := newRelay(t, "")
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "SYNACK\n", "SYN\r\n", "S", "", strings.Repeat("x", 1<<20), "SYN\nSYN\n", "SYN\n", "SYN\nSYNACK\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"} {
		connect := r.must("web-demo")
		read := r.reading(t.Context(), connect)
		status, line := r.ask("write", "", connect, strings.NewReader(garbage))
		if !strings.HasPrefix(garbage, "SYN\nSYNACK\n") && (status != http.StatusBadRequest || strings.Count(line, "\n") != 1) {
			t.Errorf("%.20q: %d %q; want 400 and one line", garbage, status, line)
		}
		if _, err := io.Copy(io.Discard, read.Body); err == nil && !strings.HasPrefix(garbage, "SYN\nSYNACK\n") {
			t.Errorf("%.20q: the read stream ended as if nothing had been wrong", garbage)
		}
		r.empty()
	}
}

func TestGarbageInAReplacementDoesNotEndTheSession(t *testing.T) {
	r := newRelay(t, "")
	public := publish(t, r, "web-demo", time.Minute, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	connect := ""
	r.sendit.mu.Lock()
	for id := range r.sendit.sessions {
		connect, _ = sign(r.sendit.secret, audienceConnect, id, 0)
	}
	r.sendit.mu.Unlock()
	r.reading(t.Context(), connect)
	if status, line := r.ask("write", "", connect, strings.NewReader("garbage")); status != http.StatusBadRequest {
		t.Errorf("%d %q; want 400", status, line)
	}
	if response, err := r.client.Get(public); err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("a request afterwards: %v, %v", response, err)
	}
}

func TestAClientThatIsCutOffFreesItsPrefixAtOnce(t *testing.T) {
	r := newRelay(t, "")
	x := expose(t, ExposeOptions{Server: r.URL, Local: "http://127.0.0.1:1", Prefix: "web-demo", Token: token(t, 0)})
	x.wait(t)
	x.stop()
	r.empty()
	if err := <-x.ended; err != nil {
		t.Errorf("Expose: %v; want nil when it was asked to end", err)
	}
	x.ended <- nil
}

// TestASilentClientFreesItsPrefixWithinFifteenSeconds has a client whose machine
// vanished: its connections are there and nothing comes.
func TestASilentClientFreesItsPrefixWithinFifteenSeconds(t *testing.T) {
	t.Parallel()
	r := newRelay(t, "")
	connect := r.must("web-demo")
	conn, err := net.Dial("tcp", strings.TrimPrefix(r.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	read := r.reading(t.Context(), connect)
	io.WriteString(conn, "POST "+SendItPath+"write?token="+connect+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nSYN\nSYNACK\n\r\n")
	b := bufio.NewReader(read.Body)
	for _, want := range []string{"SYN\n", "SYNACK\n"} {
		if line, err := b.ReadString('\n'); line != want {
			t.Fatalf("%q %v; want %q", line, err, want)
		}
	}
	began := time.Now()
	r.empty()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestTheSameIdentityTakesItsPrefixOverAndTheOlderHearsOfIt(t *testing.T) {
	r := newRelay(t, "")
	first := expose(t, ExposeOptions{Server: r.URL, Local: "http://127.0.0.1:1", Prefix: "alice-web", Token: "user:alice"})
	first.wait(t)
	second := expose(t, ExposeOptions{Server: r.URL, Local: "http://127.0.0.1:1", Prefix: "alice-web", Token: "user:alice"})
	second.wait(t)
	select {
	case err := <-first.ended:
		if !errors.Is(err, ErrTakenOver) {
			t.Errorf("the older session ended with: %v", err)
		}
	case <-time.After(time.Minute):
		t.Error("the older session goes on")
	}
	if s := r.registry.Stats(); s.Prefixes != 1 || s.TakenOver != 1 || s.Opened != 2 {
		t.Errorf("%+v", s)
	}
}

func TestRefusalsEndAnExpose(t *testing.T) {
	r := newRelay(t, "")
	for name, o := range map[string]ExposeOptions{
		"a bad token":     {Server: r.URL, Local: "http://h", Prefix: "web", Token: "hello"},
		"a fixed path":    {Server: r.URL, Local: "http://h", Prefix: "public", Token: token(t, 0)},
		"a bad prefix":    {Server: r.URL, Local: "http://h", Prefix: "x", Token: token(t, 0)},
		"no server":       {Server: "relay", Local: "http://h", Prefix: "web"},
		"a strange local": {Server: r.URL, Local: "localhost:3000", Prefix: "web"},
		"a short ttl":     {Server: r.URL, Local: "http://h", Prefix: "web", MaxTTL: time.Millisecond},
	} {
		if err := Expose(t.Context(), o); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v; want one line", name, err)
		}
	}
}

func TestAnExposeComesBackAfterARestartUnderTheSamePrefix(t *testing.T) {
	r := newRelay(t, "")
	address := r.Listener.Addr().String()
	x := expose(t, ExposeOptions{Server: r.URL, Local: "http://127.0.0.1:1", Prefix: "web-demo", Token: token(t, 0)})
	x.wait(t)
	r.registry.Close()
	r.sendit.Close()
	r.CloseClientConnections()
	r.Close()

	again := newRelay(t, "")
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: again.Config.Handler}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(l) }()
	defer func() { x.stop(); server.Close(); <-done }()
	x.wait(t)
	if again.registry.Lookup("web-demo") == nil {
		t.Error("the prefix is not there")
	}
}

package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A forge is a double of a Forgejo for whole relays: the API paths that a relay
// asks, as they are documented. package acl tests what it makes of their faults.
type forge struct {
	token string

	mu    sync.Mutex
	rules map[string]string // config.yaml by user
	keys  map[string]string // key line by user
	files int               // requests for files that were answered
}

func (f *forge) push(user, rules string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules[user] = rules
}

func (f *forge) read() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.files
}

func (f *forge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := strings.Split(r.URL.Path, "/")[1:]
	answer := func(code int, body any) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(body) // the relay may be gone
	}
	missing := map[string]string{"message": "The target couldn't be found."}
	switch {
	case r.Header.Get("Authorization") != "token "+f.token:
		answer(http.StatusUnauthorized, map[string]string{"message": "token is required"})
	case r.URL.Path == "/api/v1/repos/search":
		found := []any{}
		for user := range f.rules {
			found = append(found, map[string]any{"id": len(found) + 1, "name": ".patchwork", "owner": map[string]any{"login": user}})
		}
		w.Header().Set("X-Total-Count", strconv.Itoa(len(found)))
		answer(http.StatusOK, map[string]any{"ok": true, "data": found})
	case len(parts) == 7 && parts[2] == "repos" && strings.Join(parts[4:], "/") == ".patchwork/media/config.yaml":
		f.files++
		rules, ok := f.rules[parts[3]]
		if !ok {
			answer(http.StatusNotFound, missing)
			return
		}
		etag := fmt.Sprintf(`"%x"`, sha256.Sum256([]byte(rules)))
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = io.WriteString(w, rules) // the relay may be gone
	case len(parts) == 5 && parts[2] == "users" && parts[4] == "keys":
		if _, ok := f.rules[parts[3]]; !ok {
			answer(http.StatusNotFound, missing)
			return
		}
		keys := []any{}
		if line := f.keys[parts[3]]; line != "" {
			keys = append(keys, map[string]any{"id": 1, "key": line, "title": "laptop"})
		}
		w.Header().Set("X-Total-Count", strconv.Itoa(len(keys)))
		answer(http.StatusOK, keys)
	default:
		answer(http.StatusNotFound, missing)
	}
}

// A forgeRelay is a relay that reads its users' rules from a forge.
type forgeRelay struct {
	*relay
	t      *testing.T
	forge  *forge
	server *httptest.Server
	ssh    *clientSSH
	hook   string // the webhook's secret
	words  []string
}

// startWithForge starts a forge that knows alice, by the key of 'ssh alice', and a
// relay that asks it.
func startWithForge(t *testing.T, ttl string) *forgeRelay {
	t.Helper()
	needTools(t)
	ssh, err := newSSH(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	key, err := os.ReadFile(filepath.Join(ssh.dir, "alice.pub"))
	if err != nil {
		t.Fatal(err)
	}
	f := &forge{token: "hunter2-forge", rules: map[string]string{}, keys: map[string]string{"alice": strings.TrimSpace(string(key))}}
	s := &forgeRelay{t: t, forge: f, server: httptest.NewServer(f), ssh: ssh, hook: "hunter2-hook"}
	t.Cleanup(s.server.Close)
	f.push("alice", s.rules("hunter2-one"))
	binary, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "FORGEJO_URL="+s.server.URL, "FORGEJO_TOKEN="+f.token, "ACL_TTL="+ttl, "LOG_LEVEL=debug", "METRICS_TOKEN=")
	s.relay, err = startRelay(binary, t.TempDir(), env)
	if s.relay != nil {
		t.Cleanup(func() {
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			s.logIsClean(append(s.words, strings.Fields(string(key))[1])...)
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.relay.ssh)
	if err := ssh.point(port); err != nil {
		t.Fatal(err)
	}
	return s
}

// rules are alice's: one token may send.
func (s *forgeRelay) rules(token string) string {
	s.words = append(s.words, fmt.Sprintf("%x", sha256.Sum256([]byte(token))))
	return fmt.Sprintf("webhook_secret: %s\ntokens:\n  %s: {POST: '*'}\n", s.hook, token)
}

// logIsClean looks through the log, which is at debug level, for secrets.
func (s *forgeRelay) logIsClean(words ...string) {
	s.t.Helper()
	if !strings.Contains(s.logged(), "level=DEBUG") {
		s.t.Error("the log is not at debug level")
	}
	for _, word := range append(words, "hunter2", "SHA256:") {
		if strings.Contains(s.logged(), word) {
			s.t.Errorf("the log holds %q:\n%s", word, s.logged())
		}
	}
}

// send sends to a user's channel with a token, and returns the status.
func (s *forgeRelay) send(user, token string) int {
	s.t.Helper()
	return s.post("/u/"+user+"/x?pubsub", "hello", http.Header{"Authorization": {"Bearer " + token}})
}

func (s *forgeRelay) post(path, body string, header http.Header) int {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// webhook is what the forge sends after a push.
func (s *forgeRelay) webhook(secret string) int {
	s.t.Helper()
	body := `{"ref":"refs/heads/main","repository":{"full_name":"alice/.patchwork"}}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	signature := hex.EncodeToString(mac.Sum(nil))
	s.words = append(s.words, signature)
	return s.post("/u/alice/_/forgejo", body, http.Header{"X-Forgejo-Event": {"push"}, "X-Forgejo-Signature": {signature}})
}

// pub sends to a topic of her own as alice, by her key, and returns what ssh says.
func (s *forgeRelay) pub(args ...string) (string, error) {
	s.t.Helper()
	command := exec.CommandContext(s.t.Context(), filepath.Join(s.ssh.bin, "ssh"), append(args, "pub", "-b=false", "alice/x")...)
	command.Stdin = strings.NewReader("hello")
	out, err := command.CombinedOutput()
	return string(out), err
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !so() {
		select {
		case <-again.C:
		case <-late:
			t.Fatal(what)
		}
	}
}

func TestAPushIsInForceAtOnce(t *testing.T) {
	t.Parallel()
	s := startWithForge(t, "1h")
	if code := s.send("alice", "hunter2-one"); code != http.StatusOK {
		t.Fatal(code)
	}
	s.forge.push("alice", s.rules("hunter2-two"))
	if code := s.send("alice", "hunter2-two"); code != http.StatusUnauthorized {
		t.Errorf("%d before the webhook came", code)
	}
	before := s.forge.read()
	if code := s.webhook("hunter2-guess"); code != http.StatusUnauthorized {
		t.Errorf("%d for a webhook that somebody else signed", code)
	}
	if code := s.send("alice", "hunter2-two"); code != http.StatusUnauthorized || s.forge.read() != before {
		t.Errorf("%d after it, %d reads", code, s.forge.read()-before)
	}
	pushed := time.Now()
	if code := s.webhook(s.hook); code != http.StatusOK {
		t.Fatal(code)
	}
	if code := s.send("alice", "hunter2-two"); code != http.StatusOK {
		t.Errorf("%d for the new token", code)
	}
	if code := s.send("alice", "hunter2-one"); code != http.StatusUnauthorized {
		t.Errorf("%d for the old token", code)
	}
	if took := time.Since(pushed); took > time.Second {
		t.Errorf("it took %v", took)
	}
	// A push with a mistake takes nothing away.
	s.forge.push("alice", s.rules("hunter2-three")+"  hunter2-four: {GTE: '*'}\n")
	if code := s.webhook(s.hook); code != http.StatusOK {
		t.Fatal(code)
	}
	if code := s.send("alice", "hunter2-two"); code != http.StatusOK {
		t.Errorf("%d after a push with a mistake", code)
	}
	if err := s.waitLog(`level=WARN .*user=alice line=4 column=18`); err != nil {
		t.Error(err)
	}
}

func TestAChangeIsInForceWithinTheTTL(t *testing.T) {
	t.Parallel()
	s := startWithForge(t, "300ms")
	if code := s.send("alice", "hunter2-one"); code != http.StatusOK {
		t.Fatal(code)
	}
	s.forge.push("alice", s.rules("hunter2-two"))
	changed := time.Now()
	eventually(t, "the change is not in force", func() bool { return s.send("alice", "hunter2-two") == http.StatusOK })
	if took := time.Since(changed); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if code := s.send("alice", "hunter2-one"); code != http.StatusUnauthorized {
		t.Errorf("%d for the old token", code)
	}
}

func TestWhoIsKnownIsServedWhileTheForgeIsDown(t *testing.T) {
	t.Parallel()
	s := startWithForge(t, "300ms")
	if code := s.send("alice", "hunter2-one"); code != http.StatusOK {
		t.Fatal(code)
	}
	for _, host := range []string{"alice", "alice@alice"} {
		if out, err := s.pub(host); err != nil {
			t.Fatal(err, out)
		}
	}
	if code := s.send("nobody", "hunter2-one"); code != http.StatusUnauthorized {
		t.Errorf("%d for nobody", code)
	}
	s.server.CloseClientConnections()
	s.server.Close()

	down := regexp.MustCompile(`(?m)^patchwork_acl_source_down_seconds (\S+)$`)
	eventually(t, "no metric tells of the outage", func() bool {
		if code := s.send("alice", "hunter2-one"); code != http.StatusOK {
			t.Fatal(code)
		}
		page, err := fetch("http://" + s.http + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		found := down.FindSubmatch(page)
		return found != nil && !bytes.Equal(found[1], []byte("0"))
	})
	for _, host := range []string{"alice", "alice@alice", "someone@alice"} {
		if out, err := s.pub(host); err != nil {
			t.Errorf("%s: %v, %s", host, err, out)
		}
	}
	if code := s.send("nobody", "hunter2-one"); code != http.StatusUnauthorized {
		t.Errorf("%d for nobody, of whom it is known that there is nothing", code)
	}
	if code := s.send("carol", "hunter2-one"); code != http.StatusServiceUnavailable {
		t.Errorf("%d for a user of whom nothing is known", code)
	}
	if n := strings.Count(s.logged(), "source of users' rules cannot be read"); n != 1 {
		t.Errorf("%d log lines tell of the outage, want one:\n%s", n, s.logged())
	}
}

package httpfront_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"patchwork/acl"
	"patchwork/httpfront"
)

// said is all that a client sees of an answer, but the time, and with the names that
// it gave itself left out.
func said(a answer, user string) string {
	var lines []string
	for k, v := range a.header {
		if k != "Date" {
			lines = append(lines, k+": "+strings.Join(v, ", "))
		}
	}
	slices.Sort(lines)
	return strings.ReplaceAll(fmt.Sprint(a.code, a.body, lines, a.err), user, "USER")
}

func TestAStrangerCannotTellUsersFromNames(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "alice/config.yaml", `{tokens: {T: {GET: "*", POST: "*", is_admin: true}}, webhook_secret: s}`)
	write(t, dir, "broken/config.yaml", "tokens: [")
	if err := os.Mkdir(filepath.Join(dir, "bare"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := start(t, withStore(t, acl.Config{Source: folder(t, dir)}), func(c *httpfront.Config) {
		c.Signer = acl.NewSigner([]byte("secret"))
	})
	if a := r.get("/u/alice/x?token=T&timeout=1ms"); a.code != 408 {
		t.Fatalf("she has no rights: %+v", a)
	}
	tokens := map[string][]string{
		"none": nil, "wrong": {"Authorization", "Bearer wrong"}, "Basic": {"Authorization", "Basic YTpi"},
		"a JWT": {"Authorization", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.AAAA"},
	}
	for _, path := range []string{"/u/USER/x", "/u/USER/req/x", "/u/USER/res/x?switch=true", "/u/USER/_/config", "/u/USER/_/channels",
		"/u/USER/_/keys", "/u/USER/_/ntfy", "/u/USER/_/forgejo", "/u/USER/_/invalidate_cache", "/huproxy/USER/localhost/22"} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} {
			for token, header := range tokens {
				ask := func(user string) string {
					header := append(slices.Clone(header), "X-Gitea-Signature", strings.Repeat("0", 64), "Origin", "https://x.example")
					a := r.do(method, strings.Replace(path, "USER", user, 1), http.NoBody, header...)
					if a.err != nil || a.code < 400 || a.code > 405 {
						t.Errorf("%s %s with %s: %+v", method, path, token, a)
					}
					return said(a, user)
				}
				nobody := ask("nobody")
				for _, user := range []string{"alice", "broken", "bare"} {
					if got := ask(user); got != nobody {
						t.Errorf("%s %s with %s: %s hears\n%s\nand nobody\n%s", method, path, token, user, got, nobody)
					}
				}
			}
		}
	}
	r.empty()
}

func TestGuessesAtTokensHaveALimitAndGoodTokensHaveNone(t *testing.T) {
	r := start(t, withUsers(t, map[string]string{"alice": `tokens: {T: {POST: "*"}}`}), func(c *httpfront.Config) { c.RateLimit = 0.01 })
	for range 300 {
		want(t, r.post("/u/alice/x?pubsub&token=T", ""), 200, "")
	}
	heard := map[int]int{}
	for i := range 300 {
		heard[r.post(fmt.Sprintf("/u/user-%d/x?pubsub", i), "").code]++
	}
	if heard[401] == 0 || heard[401] > 210 || heard[401]+heard[429] != 300 {
		t.Errorf("guesses are answered %v", heard)
	}
	// Nothing is looked up any more: a good token is not told from a wrong one.
	if a := r.post("/u/alice/x?pubsub&token=T", ""); a.code != 429 {
		t.Errorf("%+v", a)
	}
}

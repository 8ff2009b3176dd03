package httpfront_test

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/httpfront"
)

// withUsers gives a relay users from a folder: rules by name.
func withUsers(t testing.TB, rules map[string]string) func(*httpfront.Config) {
	t.Helper()
	dir := t.TempDir()
	for user, text := range rules {
		write(t, dir, user+"/config.yaml", text)
	}
	return withStore(t, acl.Config{Source: folder(t, dir)})
}

// write writes a file into a folder of the folder of users.
func write(t testing.TB, dir, path, text string) {
	t.Helper()
	path = filepath.Join(dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func folder(t testing.TB, dir string) *acl.Dir {
	t.Helper()
	source, err := acl.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func withStore(t testing.TB, cfg acl.Config) func(*httpfront.Config) {
	t.Helper()
	store, err := acl.NewStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return func(c *httpfront.Config) { c.Users = store }
}

// held puts an access list on a channel of alice's, as she does with sub -a.
func (r *relay) held(full string, list ...string) {
	r.t.Helper()
	s, err := r.broker.Subscribe(name(r.t, full), broker.SubscribeOptions{
		Stay: true, As: broker.Identity{User: "alice"}, Access: list,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(s.Close)
}

// The rules give everybody something of alice's, and she may still close a topic to
// all but those on a list: then who brings no token is not she.
func TestWhoBringsNoTokenIsNotTheUserOnAccessLists(t *testing.T) {
	r := start(t, withUsers(t, map[string]string{"alice": `tokens: {public: {GET: "*", POST: "*"}, hers: {POST: "*"}}`}))
	r.held("alice/plans", "bob")
	for _, a := range []answer{r.post("/u/alice/plans?pubsub", "x"), r.get("/u/alice/plans?timeout=9s"), r.do("HEAD", "/u/alice/plans", nil)} {
		if a.err != nil || a.code != 403 {
			t.Errorf("%+v", a)
		}
	}
	want(t, r.post("/u/alice/plans?pubsub&token=hers", "x"), 200, "")
	r.held("alice/news", "bob", broker.AccessWeb)
	want(t, r.post("/u/alice/news?pubsub", "x"), 200, "")
	want(t, r.post("/u/alice/other?pubsub", "x"), 200, "")
}

// A token that was signed for a key is worth what the key is: bob, whom alice lets in
// to a part of her namespace, is not alice at this door either.
func TestASignedTokenIsItsKeyOnAccessLists(t *testing.T) {
	hers, herLine := sshKey(t)
	his, hisLine := sshKey(t)
	dir := t.TempDir()
	write(t, dir, "alice/config.yaml", `ssh_keys: {"`+hisLine+`": {GET: "*", POST: "*"}}`)
	write(t, dir, "alice/authorized_keys", herLine+"\n")
	store, err := acl.NewStore(acl.Config{Source: folder(t, dir)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	signer := acl.NewSigner([]byte("secret"))
	r := start(t, func(c *httpfront.Config) { c.Users, c.Signer = store, signer })
	token := func(key acl.Fingerprint) string {
		p, err := store.Key(t.Context(), key, "alice")
		if err != nil {
			t.Fatal(err)
		}
		text, err := signer.Sign(p, []string{"*"}, []string{"*"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	r.held("alice/plans", "carol")
	r.held("alice/shared", his.String())
	send := func(topic string, key acl.Fingerprint) answer {
		return r.post("/u/alice/"+topic+"?pubsub", "x", "Authorization", token(key))
	}
	wantLine(t, send("plans", his), 403, "access list")
	want(t, send("plans", hers), 200, "")
	want(t, send("shared", his), 200, "")
	want(t, send("other", his), 200, "")
}

func sshKey(t testing.TB) (acl.Fingerprint, string) {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return acl.FingerprintOf(key), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

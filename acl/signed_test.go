package acl

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const day = 24 * time.Hour

// signedStore is a relay where alice's own key is key 1, and where she lets key 2
// have some rights.
func signedStore(t *testing.T) (*Store, *fakeSource, *Signer) {
	t.Helper()
	_, guest := testKey(2)
	source := newFake(map[string]string{
		"alice": "tokens: {T: {GET: '*', POST: '*'}}\nssh_keys:\n  '" + guest + "': {GET: ['/shared/*', '!*/secret'], POST: /drop}\n",
		"bob":   "tokens: {}",
	})
	own, _ := testKey(1)
	source.keys["alice"] = []Fingerprint{own}
	source.keys["bob"] = nil
	return newTestStore(t, Config{Source: source, Admins: []string{"alice"}}), source, NewSigner([]byte(secret("the relay's secret")))
}

func (s *Store) byKey(t *testing.T, n byte, asked string) *Principal {
	t.Helper()
	f, _ := testKey(n)
	p, err := s.Key(t.Context(), f, asked)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signFor(t *testing.T, by *Signer, p *Principal, get, post []string, ttl time.Duration) string {
	t.Helper()
	token, err := by.Sign(p, get, post, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return secret(token)
}

// wantChecks compares what a principal may receive from and send to.
func wantChecks(t *testing.T, p *Principal, a Action, want map[string]bool) {
	t.Helper()
	for name, allowed := range want {
		err := p.Check(t.Context(), a, "", name)
		if (err == nil) != allowed || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("%v %s: %v, want %v", a, name, err, allowed)
		}
	}
}

func TestASignedTokenHasTheRightsItWasSignedFor(t *testing.T) {
	s, _, by := signedStore(t)
	token := signFor(t, by, s.byKey(t, 1, ""), []string{"/builds/*", "!/builds/x"}, []string{"jobs"}, day)
	if strings.ContainsAny(token, " \n=") || strings.Count(token, ".") != 2 {
		t.Errorf("%q is no token for a header", token)
	}
	p, ok, err := s.Signed(t.Context(), by, "alice", token)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if p.Namespace() != "alice" || p.Identity() != "alice" {
		t.Error(p.Namespace(), p.Identity())
	}
	wantChecks(t, p, Receive, map[string]bool{"alice/builds/1": true, "alice/builds/x": false, "alice/jobs": false, "bob/builds/1": false, "public/x": true})
	wantChecks(t, p, Send, map[string]bool{"alice/jobs": true, "alice/builds/1": false, "bob/jobs": false})
	for _, a := range []Action{Admin, Forward, Tunnel} {
		wantChecks(t, p, a, map[string]bool{"": false, "localhost:22": false, "web": false})
	}
	if p.ServerAdmin() {
		t.Error("it rules the server")
	}
	if f := p.Filter(t.Context(), Receive, "alice"); f == nil || !f("alice/builds/1") || f("alice/jobs") {
		t.Error("its filter is another")
	}
}

func TestASignedTokenIsNeverWiderThanItsKey(t *testing.T) {
	s, source, by := signedStore(t)
	token := signFor(t, by, s.byKey(t, 2, "alice"), []string{"*", "**", "/admin"}, []string{"*"}, day)
	p, ok, err := s.Signed(t.Context(), by, "alice", token)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	wantChecks(t, p, Receive, map[string]bool{
		"alice/shared/1": true, "alice/shared/secret": false, "alice/admin": false, "alice/drop": false, "bob/x": false,
	})
	wantChecks(t, p, Send, map[string]bool{"alice/drop": true, "alice/shared/1": false})

	// The rights are those of now, not those of when it was signed.
	_, guest := testKey(2)
	source.set(func() { source.files["alice"] = "ssh_keys:\n  '" + guest + "': {POST: '*', is_admin: true}\n" })
	s.Invalidate("alice")
	wantChecks(t, p, Receive, map[string]bool{"alice/shared/1": false})
	wantChecks(t, p, Send, map[string]bool{"alice/shared/1": true})
	wantChecks(t, p, Admin, map[string]bool{"": false})
}

// The key of nobody signs for its own namespace.
func TestAnUnknownKeySignsForItself(t *testing.T) {
	s, _, by := signedStore(t)
	f, _ := testKey(3)
	token := signFor(t, by, s.byKey(t, 3, "alice"), []string{"*"}, nil, day)
	p, ok, err := s.Signed(t.Context(), by, f.Namespace(), token)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	wantChecks(t, p, Receive, map[string]bool{f.Namespace() + "/x": true, "alice/x": false})
	wantChecks(t, p, Send, map[string]bool{f.Namespace() + "/x": false})

	// Unless such keys are turned away by now.
	closed := newTestStore(t, Config{KeysOnly: true})
	p, ok, err = closed.Signed(t.Context(), by, f.Namespace(), token)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	wantChecks(t, p, Receive, map[string]bool{f.Namespace() + "/x": false})
}

func TestASignedTokenIsForItsNamespaceOnly(t *testing.T) {
	s, source, by := signedStore(t)
	token := signFor(t, by, s.byKey(t, 1, ""), []string{"*"}, []string{"*"}, day)
	f, _ := testKey(1)
	// Her key is let in by bob as well; the token she took for her own is not.
	source.set(func() { source.files["bob"] = "ssh_keys: {'" + f.String() + "': {GET: '*'}}" })
	s.InvalidateAll()
	for _, user := range []string{"bob", "public", "", "nobody", f.Namespace(), "../alice", "ALICE"} {
		if p, ok, err := s.Signed(t.Context(), by, user, token); p != nil || !ok || !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("%q: %v, %v, want ErrTokenNotFound", user, ok, err)
		}
	}
	p, _, err := s.Signed(t.Context(), by, "alice", token)
	if err != nil {
		t.Fatal(err)
	}
	wantChecks(t, p, Receive, map[string]bool{"alice/x": true})
}

func TestASignedTokenEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, by := signedStore(t)
		token := signFor(t, by, s.byKey(t, 1, ""), []string{"*"}, nil, time.Hour)
		p, _, err := s.Signed(t.Context(), by, "alice", token)
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Hour - time.Second)
		wantChecks(t, p, Receive, map[string]bool{"alice/x": true})
		pass(2 * time.Second)
		// Neither for who brings it now, nor for who brought it in time and stays.
		if _, ok, err := s.Signed(t.Context(), by, "alice", token); !ok || !errors.Is(err, ErrTokenExpired) {
			t.Error(ok, err)
		}
		if err := p.Check(t.Context(), Receive, "", "alice/x"); !errors.Is(err, ErrTokenExpired) {
			t.Error(err)
		}
		if f := p.Filter(t.Context(), Receive, "alice"); f != nil && f("alice/x") {
			t.Error("the filter serves on")
		}
		// That it once was good is said to its owner only.
		if _, ok, err := s.Signed(t.Context(), NewSigner([]byte("another")), "alice", token); ok || err != nil {
			t.Error(ok, err)
		}
	})
}

func TestAKeyThatLostItsRightsLosesItsTokens(t *testing.T) {
	s, source, by := signedStore(t)
	own := signFor(t, by, s.byKey(t, 1, ""), []string{"*"}, nil, day)
	guest := signFor(t, by, s.byKey(t, 2, "alice"), []string{"*"}, nil, day)
	before, _, err := s.Signed(t.Context(), by, "alice", guest)
	if err != nil {
		t.Fatal(err)
	}
	source.set(func() {
		source.keys["alice"] = nil
		source.files["alice"] = "tokens: {}"
	})
	s.InvalidateAll()
	for _, token := range []string{own, guest} {
		if p, ok, err := s.Signed(t.Context(), by, "alice", token); p != nil || !ok || !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("%v, %v, want ErrTokenNotFound", ok, err)
		}
	}
	wantChecks(t, before, Receive, map[string]bool{"alice/shared/1": false})
}

// While the source is down nobody knows whether the key still has its rights.
func TestASignedTokenDuringAnOutage(t *testing.T) {
	s, source, by := signedStore(t)
	token := signFor(t, by, s.byKey(t, 1, ""), []string{"*"}, nil, day)
	source.set(func() { source.down = errDown })
	fresh := newTestStore(t, Config{Source: source})
	if _, ok, err := fresh.Signed(t.Context(), by, "alice", token); !ok || !errors.Is(err, ErrUnavailable) {
		t.Error(ok, err)
	}
	if _, ok, err := s.Signed(t.Context(), by, "alice", token); !ok || err != nil {
		t.Errorf("who is known is turned away: %v", err)
	}
}

func TestOnlyOurOwnSignatureCounts(t *testing.T) {
	s, source, by := signedStore(t)
	f, _ := testKey(1)
	pair, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	claims := func(change func(*signedClaims)) signedClaims {
		c := signedClaims{Key: f.String(), Get: []string{"*"}, RegisteredClaims: jwt.RegisteredClaims{
			Issuer: signedBy, Audience: jwt.ClaimStrings{signedBy}, Subject: "alice",
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(time.Hour)),
		}}
		if change != nil {
			change(&c)
		}
		return c
	}
	fake := func(m jwt.SigningMethod, key any, c signedClaims) string {
		token, err := jwt.NewWithClaims(m, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := fake(jwt.SigningMethodHS256, by.key, claims(nil))
	if _, ok, err := s.Signed(t.Context(), by, "alice", good); !ok || err != nil {
		t.Fatal("what the others differ from is not good itself:", ok, err)
	}
	parts := strings.Split(good, ".")
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	wider := encode(`{"key":"` + f.String() + `","get":["*"],"post":["*"],"iss":"patchwork","sub":"alice","aud":["patchwork"],"exp":99999999999}`)

	calls := source.calls.Load()
	for what, token := range map[string]string{
		"another key":               fake(jwt.SigningMethodHS256, NewSigner([]byte("another")).key, claims(nil)),
		"the relay's secret itself": fake(jwt.SigningMethodHS256, []byte("the relay's secret"), claims(nil)),
		"the empty key":             fake(jwt.SigningMethodHS256, []byte{}, claims(nil)),
		"no signature":              fake(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)),
		"alg none, our signature":   encode(`{"alg":"none","typ":"JWT"}`) + "." + parts[1] + "." + parts[2],
		"alg None":                  encode(`{"alg":"None"}`) + "." + parts[1] + ".",
		"no alg":                    encode(`{}`) + "." + parts[1] + "." + parts[2],
		"RS256":                     fake(jwt.SigningMethodRS256, pair, claims(nil)),
		"RS256 of our key":          encode(`{"alg":"RS256"}`) + "." + parts[1] + "." + parts[2],
		"HS512":                     fake(jwt.SigningMethodHS512, by.key, claims(nil)),
		"another issuer":            fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Issuer = "sendit" })),
		"no issuer":                 fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Issuer = "" })),
		"another audience":          fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Audience = jwt.ClaimStrings{"tunnel"} })),
		"no audience":               fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Audience = nil })),
		"no end":                    fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.ExpiresAt = nil })),
		"wider claims":              parts[0] + "." + wider + "." + parts[2],
		"no claims":                 parts[0] + ".." + parts[2],
		"cut":                       good[:len(good)-1],
		"dots":                      "..",
		"no JSON":                   encode("x") + "." + encode("y") + "." + encode("z"),
		"a long one":                strings.Repeat("a", 1<<20) + "." + parts[1] + "." + parts[2],
	} {
		if p, ok, err := s.Signed(t.Context(), by, "alice", token); p != nil || ok || err != nil {
			t.Errorf("%s: %v, %v, %v; want a token that is none of ours", what, p, ok, err)
		}
	}
	for what, token := range map[string]string{
		"no key":            fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Key = "" })),
		"no such key":       fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Key = "SHA256:x" })),
		"no namespace":      fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Subject = "" })),
		"another namespace": fake(jwt.SigningMethodHS256, by.key, claims(func(c *signedClaims) { c.Subject = "bob" })),
	} {
		if p, ok, err := s.Signed(t.Context(), by, "alice", token); p != nil || !ok || !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("%s: %v, %v, %v; want ErrTokenNotFound", what, p, ok, err)
		}
	}
	if now := source.calls.Load(); now != calls {
		t.Errorf("%d reads of the source for tokens that are no good", now-calls)
	}
	if p, ok, err := s.Signed(t.Context(), nil, "alice", good); p != nil || ok || err != nil {
		t.Error("a relay that signs nothing reads what is signed:", p, ok, err)
	}
}

func TestWhatCannotBeSigned(t *testing.T) {
	s, _, by := signedStore(t)
	own := s.byKey(t, 1, "")
	for _, ttl := range []time.Duration{0, -1, -time.Hour, maxSigned + 1, 1 << 62} {
		if token, err := by.Sign(own, []string{"*"}, nil, ttl); err == nil || token != "" {
			t.Errorf("a token for %v is given out", ttl)
		}
	}
	signFor(t, by, own, nil, nil, maxSigned)
	for _, patterns := range [][]string{{"!"}, {"a", "b\nc"}, {strings.Repeat("x", 1<<20)}} {
		for _, lists := range [][2][]string{{patterns, nil}, {nil, patterns}} {
			token, err := by.Sign(own, lists[0], lists[1], day)
			if err == nil || token != "" || strings.Contains(err.Error(), "\n") {
				t.Errorf("the patterns %.20q: %v", patterns, err)
			}
		}
	}
	for _, token := range []string{"T", ""} {
		p, err := s.Token(t.Context(), "alice", token)
		if err != nil {
			continue // there is no public token
		}
		if token, err := by.Sign(p, []string{"*"}, nil, day); err == nil || token != "" {
			t.Error("a token has a token signed")
		}
	}
	narrow, _, err := s.Signed(t.Context(), by, "alice", signFor(t, by, own, []string{"/a"}, nil, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if token, err := by.Sign(narrow, []string{"*"}, nil, day); err == nil || token != "" {
		t.Error("a signed token has a longer one signed")
	}
}

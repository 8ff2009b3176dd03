package acl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// seedNewer and seedOlder are the files of the document the product started from.
const seedNewer = `
# Unified config.yaml structure - tokens directly at root level
tokens:
  "my_token_name":
    is_admin: false
    POST:
      - "/projects/*/data"     # Can POST to any project's data endpoint
      - "/_/ntfy"              # Can send notifications
    GET:
      - "/projects/myproject/*"
      - "!/projects/myproject/secret/*"
    huproxy:
      - "*.example.com:*"
      - "localhost:*"
  "restricted_token":
    is_admin: false
    POST: []
    GET:
      - "*"
  "admin_token":
    is_admin: true
    POST: ["*"]
    GET: ["*"]
ntfy:
  type: matrix
  config:
    access_token: "your_matrix_access_token"
    user: "@bot:matrix.org"
    endpoint: "https://matrix.org"
    room_id: "!roomid:matrix.org"
`

const seedOlder = `
some_token_name:
  POST: "projects/*/data"
  GET: "projects/myproject/**"
restricted_token:
  POST: ""
  GET: "**"
webhook_token:
  POST: "webhooks/*"
  GET: "status"
`

func decode(t testing.TB, s string) *Document {
	t.Helper()
	doc, err := Decode([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestBothFormsOfTheSeedAreRead(t *testing.T) {
	newer, older := decode(t, seedNewer), decode(t, seedOlder)
	for _, c := range []struct {
		doc                 *Document
		token, method, path string
		want                bool
	}{
		{newer, "my_token_name", "POST", "/projects/web/data", true},
		{newer, "my_token_name", "POST", "/_/ntfy", true},
		{newer, "my_token_name", "POST", "/projects/web", false},
		{newer, "my_token_name", "GET", "/projects/myproject/x", true},
		{newer, "my_token_name", "GET", "/projects/myproject/secret/x", false},
		{newer, "restricted_token", "POST", "/x", false},
		{newer, "restricted_token", "GET", "/x", true},
		{older, "some_token_name", "POST", "/projects/web/data", true},
		{older, "some_token_name", "GET", "/projects/myproject/a/b", true},
		{older, "some_token_name", "GET", "/projects/other", false},
		{older, "restricted_token", "POST", "/x", false},
		{older, "restricted_token", "GET", "/x/y", true},
		{older, "webhook_token", "GET", "/status", true},
		{older, "webhook_token", "GET", "/status/x", false},
		{older, "tokens", "GET", "/status", false},
	} {
		a, request, err := ParseAction(c.method)
		if err != nil {
			t.Fatal(err)
		}
		if d := c.doc.Can(c.token, nil, a, request, c.path); d.Allowed != c.want {
			t.Errorf("%s %s %s: %s", c.token, c.method, c.path, d)
		}
	}
	if newer.Notifications().Empty() {
		t.Error("the ntfy key was lost")
	}
}

func TestTheDecidingRuleIsToldWithItsLine(t *testing.T) {
	doc := decode(t, seedNewer)
	for path, want := range map[string]string{
		"/projects/myproject/secret/x": `denied by line 11: "!/projects/myproject/secret/*"`,
		"/projects/myproject/x":        `allowed by line 10: "/projects/myproject/*"`,
		"/other":                       `denied: no GET pattern matches`,
	} {
		if got := doc.Can("my_token_name", nil, Receive, "GET", path).String(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	if got := doc.Can("nobody", nil, Receive, "GET", "/x").String(); got != "denied: token not found" {
		t.Error(got)
	}
}

func TestTokensAreFoundByTheirHashAndOnlyByTheToken(t *testing.T) {
	token := secret("correct horse battery staple")
	sum := digestOf(token)
	doc := decode(t, fmt.Sprintf("tokens:\n  \"sha256:%X\": {GET: a}\n", sum[:]))
	now := time.Now()
	if _, err := doc.Token(token, now); err != nil {
		t.Error(err)
	}
	for _, other := range []string{"", "x", fmt.Sprintf("sha256:%X", sum[:]), fmt.Sprintf("%x", sum[:]), token + " ", string(sum[:])} {
		if _, err := doc.Token(other, now); !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("%q: %v", other, err)
		}
	}
}

func TestWhatIsExpiredIsExpired(t *testing.T) {
	key, line := testKey(1)
	doc := decode(t, `
tokens:
  soon: {GET: "*", expires_at: 2027-01-01T00:00:00+01:00}
  date: {GET: "*", expires_at: 2027-01-01}
  year0: {GET: "*", expires_at: "0001-01-01T00:00:00Z"}
  public: {GET: "*", expires_at: 2027-01-01T00:00:00Z}
ssh_keys:
  "`+line+`": {GET: "*", expires_at: 2027-01-01T00:00:00Z}
`)
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		token string
		at    time.Time
		want  error
	}{
		{"soon", end.Add(-time.Hour - time.Second), nil},
		{"soon", end.Add(-time.Hour), ErrTokenExpired},
		{"date", end.Add(-time.Nanosecond), nil},
		{"date", end, ErrTokenExpired},
		{"year0", end.AddDate(-20, 0, 0), ErrTokenExpired},
		{"", end.Add(-time.Second), nil},
		{"", end, ErrTokenExpired},
		{"none", end, ErrTokenNotFound},
	} {
		if _, err := doc.Token(c.token, c.at); !errors.Is(err, c.want) {
			t.Errorf("%q at %v: %v, want %v", c.token, c.at, err, c.want)
		}
	}
	if doc.Key(key, end.Add(-time.Second)) == nil || doc.Key(key, end) != nil {
		t.Error("the key's end is not kept")
	}
}

func TestWhatIsNotUnderstoodIsRefusedWithItsPlace(t *testing.T) {
	key, line := testKey(1)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1, c-1)
	}
	for _, c := range []struct{ file, want string }{
		{"tokens: [a]", "1:9: tokens must be a mapping"},
		{"just text", "1:1: the file must be a mapping"},
		{"<html><body>Sign in</body></html>", "1:1: the file must be a mapping"},
		{"- a", "1:1: the file must be a mapping"},
		{"tokens:\n  T: {GETT: x}", "2:7: unknown key"},
		{"tokens:\n  T: {get: x}", "2:7: unknown key"},
		{"tokens:\n  T: {}\nother: x", "3:1: unknown key"},
		{"T: {GET: x}\ntokens: {}", "1:1: unknown key"},
		{"T: {GET: x}\nwebhok_secret: x", "2:16: the rights of a token must be a mapping"},
		{"tokens:\n  T: {GET: a}\n  T: {GET: b}", "3:3: this key is in tokens twice, first on line 2"},
		{"tokens:\n  T: {GET: a, GET: b}", "2:15: this key is in the rights of a token twice"},
		{"tokens: {}\ntokens: {}", "2:1: this key is in the file twice"},
		{"tokens:\n  T: {GET: 5}", "2:12: a pattern of GET must be text"},
		{"tokens:\n  T: {GET: [a, true]}", "2:16: a pattern of GET must be text"},
		{"tokens:\n  T: {GET: [a, [b]]}", "2:16: a pattern of GET must be text"},
		{"tokens:\n  T: {GET: {a: b}}", "2:12: GET must be a pattern or a list"},
		{"tokens:\n  T: {GET: [a, \"!\"]}", "2:16: GET: nothing stands behind the !"},
		{"tokens:\n  T: {GET: [\"! a\"]}", "2:13: GET: a space after the !"},
		{"tokens:\n  T: {huproxy: [\"!db.:*\"]}", "2:17: huproxy: the dot"},
		{"tokens:\n  T: x", "2:6: the rights of a token must be a mapping"},
		{"tokens:\n  T: {is_admin: \"true\"}", "2:17: is_admin must be true or false"},
		{"tokens:\n  T: {is_admin: 1}", "2:17: is_admin must be true or false"},
		{"tokens:\n  public: {is_admin: true}", "2:3: public is everybody"},
		{"tokens:\n  T: {expires_at: tomorrow}", "2:19: expires_at must be a time"},
		{"tokens:\n  T: {expires_at: }", "2:19: expires_at must be a time"},
		{"tokens:\n  T: {expires_at: 2027-02-30}", "2:19: expires_at must be a time"},
		{"tokens:\n  T: {expires_at: 2027-01-01 00:00:00}", "2:19: expires_at must be a time"},
		{"tokens:\n  \"\": {}", "2:3: a key of tokens must be one value"},
		{"tokens:\n  ~: {}", "2:3: a key of tokens must be one value"},
		{"tokens:\n  [a]: {}", "2:3: a key of tokens must be one value"},
		{"tokens:\n  \"sha256:abc\": {}", "2:3: a hashed token is sha256:"},
		{"tokens:\n  \"SHA256:abc\": {}", "2:3: a hashed token is sha256:"},
		{"tokens:\n  a: {}\n  \"sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\": {}", "3:3: this token is there twice, first on line 2"},
		{"ssh_keys:\n  laptop: {GET: a}", "2:3: not a public key line"},
		{"ssh_keys:\n  \"ssh-ed25519 AAAA laptop\": {}", "2:3: not a public key line"},
		{"ssh_keys:\n  \"SHA256:abc\": {}", "2:3: not a fingerprint"},
		{"ssh_keys:\n  \"MD5:00:11\": {}", "2:3: not a public key line"},
		{"ssh_keys:\n  'restrict " + line + "': {}", "2:3: options in front of a key"},
		{"ssh_keys:\n  '" + line + "': {}\n  '" + key.String() + "': {}", "3:3: this key is there twice, first on line 2"},
		{"webhook_secret: 5", "1:17: webhook_secret must be text"},
		{"webhook_secret: [a]", "1:17: webhook_secret must be text"},
		{"ntfy: x", "1:7: ntfy"},
		{"ntfy: {type: pigeon}", "1:14: ntfy.type"},
		{"tokens:\n\tT: {}", "2:1: a tab cannot indent"},
		{"tokens:\n  T:\n  \tGET: a", "3:3: a tab cannot indent"},
		{"tokens:\n  T: {GET: [a}", "2:3: this is not YAML"},
		{"tokens:\n  T: {GET: *}", "2:3: this is not YAML"},
		{"tokens:\n  T:\n    GET: !/secret/*\n", "3:10: tags and merge keys"},
		{"tokens:\n  T:\n    GET: !/secret/*x*\n    POST: *\n", "4:5: this is not YAML: did not find expected alphabetic or numeric character (a pattern that"},
		{"tokens:\n  T: &t {GET: a}\n  U: {<<: *t}", "3:7: tags and merge keys"},
		{"tokens:\n  T:\n    GET: *secret\n", "3:10: this is not YAML: a pattern that begins with * needs quotes"},
		{"tokens:\n  T: !!binary aGk=", "2:6: tags and merge keys"},
		{"tokens: &t\n  T: *t", "2:6: the rights of a token|nested|unknown key"},
		{bomb, ": aliases make the file too large"},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), "1:33: nested more than"},
		{"tokens: {}\n---\ntokens: {}", "2:1|3:1: there is a second document"},
		{"tokens: {}\n\x00", "2:1: control characters"},
		{"a: \xff", "1:4: this is not UTF-8"},
		{"\xff\xfea\x00", "1:1: this is not UTF-8"},
		{"# " + strings.Repeat("x", MaxDocument), "1:1048577: the file is larger"},
		{"tokens: {T: {GET: [" + strings.Repeat("a,", 300) + "]}}", "1:532: GET has more than 256 patterns"},
		{"tests: x", "1:8: tests must be a list"},
		{"tests:\n- {action: GET, path: /x}", "2:3: a test needs action, path and expect"},
		{"tests:\n- {action: GET, path: /x, expect: maybe}", "2:35: expect must be"},
		{"tests:\n- {action: FLY, path: /x, expect: deny}", `2:12: "FLY" is neither`},
		{"tests:\n- {token: T, action: GET, path: /x, expect: deny}", "2:11: the file has no such token"},
		{"tests:\n- {key: SHA256:x, action: GET, path: /x, expect: deny}", "2:9: not a fingerprint"},
		{"tests:\n- {token: T, key: k, action: GET, path: /x, expect: deny}", "2:11: the file has no such|2:14: a test has"},
		{"tests:\n- {action: GET, path: /x, expect: deny, why: x}", "2:41: unknown key"},
	} {
		_, err := Decode([]byte(c.file))
		var mistake *DecodeError
		if !errors.As(err, &mistake) {
			t.Errorf("%.60q is not refused: %v", c.file, err)
			continue
		}
		got := fmt.Sprintf("%d:%d: %s", mistake.Line, mistake.Column, mistake.Reason)
		ok := false
		for _, want := range strings.Split(c.want, "|") {
			ok = ok || strings.Contains(got, want)
		}
		if !ok || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.60q: %s, want %s", c.file, got, c.want)
		}
	}
}

func TestWhatSaysNothingAllowsNothing(t *testing.T) {
	for _, file := range []string{
		"", "\n", "# only a comment\n", "null", "---\n", "{}", "tokens:", "tokens: {}", "tokens: ~\nssh_keys: ~\ntests: ~\nntfy: ~\nwebhook_secret: ~",
		"tokens: {T: }", "tokens: {T: {}}", `tokens: {T: {GET: []}}`, `tokens: {T: {GET: ""}}`, `tokens: {T: {GET: ["", ""]}}`, `tokens: {T: {GET: }}`,
		`tokens: {T: {GET: "/"}}`,
	} {
		doc := decode(t, file)
		for _, token := range []string{"", "T", "tokens", "null"} {
			if d := doc.Can(token, nil, Receive, "GET", "x"); d.Allowed {
				t.Errorf("%q lets %q in: %s", file, token, d)
			}
		}
	}
}

func TestHarmlessAliasesAreWrittenOut(t *testing.T) {
	doc := decode(t, "tokens:\n  T: {GET: &all [\"*\", \"!x\"], POST: *all}\n  U: &u {GET: a}\n  V: *u\n")
	if !doc.Can("T", nil, Send, "", "y").Allowed || doc.Can("T", nil, Send, "", "x").Allowed || !doc.Can("V", nil, Receive, "", "a").Allowed {
		t.Error("an alias is not what it stands for")
	}
}

func TestAFileIsHeldToItsOwnTests(t *testing.T) {
	key, line := testKey(1)
	file := `
tokens:
  T: {GET: ["/a*", "!/ab"], huproxy: "h:22", is_admin: true, expires_at: 2001-01-01}
ssh_keys:
  "` + line + `": {POST: "/k"}
tests:
  - {token: T, action: GET, path: /a, expect: allow}
  - {token: T, action: receive, path: /ab, expect: deny}
  - {token: T, action: POST, path: /a, expect: deny}
  - {token: T, action: forward, path: "h:22", expect: allow}
  - {token: T, action: admin, expect: allow}
  - {key: "` + key.String() + `", action: send, path: /k, expect: allow}
  - {action: GET, path: /a, expect: deny}
`
	decode(t, file)
	_, err := Decode([]byte(strings.Replace(file, "/ab, expect: deny", "/ab, expect: allow", 1)))
	if want := `line 8, column 5: this test fails: it is denied by line 3: "!/ab"`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestWhatIsShownHoldsNoSecret(t *testing.T) {
	token, hook, matrix := secret("a-token-of-mine"), secret("hook-secret"), secret("matrix-access")
	_, line := testKey(1)
	doc := decode(t, `
tokens:
  "`+token+`": {GET: ["/a", "!b"], is_admin: true, expires_at: 2030-01-01T00:00:00.5+02:00}
  public: {GET: status}
ssh_keys:
  "`+line+` my laptop": {POST: "*", tunnel: "web-*", huproxy: "*:22"}
webhook_secret: "`+hook+`"
ntfy: {type: matrix, config: {access_token: "`+matrix+`", user: "@bot:m.org", endpoint: "https://m.org", room_id: "!r:m.org"}}
`)
	out, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{token, hook, matrix, strings.Fields(line)[1]} {
		if strings.Contains(string(out), word) {
			t.Errorf("%q is in\n%s", word, out)
		}
	}
	for _, word := range []string{"public", "my laptop", "set, not shown", "matrix", "!b", "2030-01-01T00:00:00.5+02:00", "web-*"} {
		if !strings.Contains(string(out), word) {
			t.Errorf("%q is not in\n%s", word, out)
		}
	}
	again := decode(t, string(out))
	if len(again.webhook) != 0 {
		t.Error("what is shown has a webhook secret that anybody could know")
	}
	sameRights(t, doc, again)
}

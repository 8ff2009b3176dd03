package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const exampleRules = `tokens:
  "long-token":
    GET:  ["/projects/*", "!/projects/secret/*"]
    POST: ["/x", "/_/ntfy"]
    PUT:  /put
    huproxy: ["*.example.com:*"]
    tunnel: web-*
  "boss": {is_admin: true, POST: "*"}
  "sha256:%x": {POST: /hashed}
  "old": {GET: "*", expires_at: 2001-01-01T00:00:00Z}
  "public": {GET: ["/status"]}
ssh_keys:
  "%s": {GET: ["/builds/*"]}
tests:
  - {token: long-token, action: POST, path: /x, expect: allow}
`

func TestAclCanTellsTheDecidingRule(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	for _, comment := range []string{"", ".other"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key+comment).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	public, err := os.ReadFile(key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	line := strings.TrimSpace(string(public))
	f, err := readKey(line)
	if err != nil {
		t.Fatal(err)
	}
	file := writeFile(t, fmt.Sprintf(exampleRules, sha256.Sum256([]byte("hashed")), line))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{file, "--token", "long-token", "POST", "/x"}, 0, `allowed by line 4: "/x"`},
		{[]string{"--token", "long-token", file, "POST", "x"}, 0, `allowed by line 4: "/x"`},
		{[]string{file, "POST", "/x", "--token=long-token"}, 0, `allowed by line 4: "/x"`},
		{[]string{file, "--token", "long-token", "POST", "/./x"}, 0, `allowed by line 4: "/x"`},
		{[]string{file, "--token", "long-token", "send", "/x"}, 0, `allowed by line 4: "/x"`},
		{[]string{file, "--token", "long-token", "GET", "/projects/web"}, 0, `allowed by line 3: "/projects/*"`},
		{[]string{file, "--token", "long-token", "GET", "/projects/secret/a"}, 1, `denied by line 3: "!/projects/secret/*"`},
		{[]string{file, "--token", "long-token", "POST", "/put"}, 1, "denied: no POST pattern matches"},
		{[]string{file, "--token", "long-token", "PUT", "/put"}, 0, `allowed by line 5: "/put"`},
		{[]string{file, "--token", "long-token", "PUT", "/x"}, 0, `allowed by line 4: "/x"`},
		{[]string{file, "--token", "long-token", "DELETE", "/x"}, 1, `denied: "DELETE" is no way to send there`},
		{[]string{file, "--token", "long-token", "POST", "/_/ntfy"}, 0, `allowed by line 4: "/_/ntfy"`},
		{[]string{file, "--token", "long-token", "forward", "db.example.com:22"}, 0, `allowed by line 6: "*.example.com:*"`},
		{[]string{file, "--token", "long-token", "tunnel", "web-1"}, 0, `allowed by line 7: "web-*"`},
		{[]string{file, "--token", "boss", "admin"}, 0, "allowed by line 8: is_admin"},
		{[]string{file, "--token", "boss", "POST", "/_/invalidate_cache"}, 0, "allowed by line 8: is_admin"},
		{[]string{file, "--token", "long-token", "admin"}, 1, "denied: it is not is_admin"},
		{[]string{file, "--token", "hashed", "POST", "/hashed"}, 0, `allowed by line 9: "/hashed"`},
		{[]string{file, "--token", "old", "GET", "/x"}, 1, "denied: token expired"},
		{[]string{file, "--token", "wrong", "GET", "/x"}, 1, "denied: token not found"},
		{[]string{file, "GET", "/status"}, 0, `allowed by line 11: "/status"`},
		{[]string{file, "GET", "/x"}, 1, "denied: no GET pattern matches"},
		{[]string{file, "--key", f.String(), "GET", "/builds/1"}, 0, `allowed by line 13: "/builds/*"`},
		{[]string{file, "--key", key + ".pub", "GET", "/builds/1"}, 0, `allowed by line 13: "/builds/*"`},
		{[]string{file, "--key", line, "POST", "/builds/1"}, 1, "denied: no POST pattern matches"},
		{[]string{file, "--key", key + ".other.pub", "GET", "/builds/1"}, 1, "denied: the key is not in ssh_keys, or expired"},
	} {
		code, out, talk := command(t, t.Context(), append([]string{"acl", "can"}, c.args...)...)
		if code != c.code || talk != "" {
			t.Errorf("%q: exit code %d, want %d; stderr %q", c.args, code, c.code, talk)
		}
		if out != c.want+"\n" {
			t.Errorf("%q: %q, want %q", c.args, out, c.want)
		}
	}
	if code, _, talk := command(t, t.Context(), "acl", "can", file, "--key", key, "GET", "/x"); code != exitUsage || strings.Contains(talk, "PRIVATE") {
		t.Errorf("a private key: exit code %d, %q", code, talk)
	} else {
		wantLine(t, talk, "is it the one that ends in .pub?")
	}
}

func TestAclCheckTellsWhereTheMistakeIs(t *testing.T) {
	good := writeFile(t, "tokens: {T: {GET: '*'}}\n")
	if code, out, talk := command(t, t.Context(), "acl", "check", good); code != exitDone || out != good+": a relay would take it\n" || talk != "" {
		t.Errorf("exit code %d, %q, %q", code, out, talk)
	}
	for rules, want := range map[string]string{
		"tokens:\n  T: {GTE: x}\n":                           ":2:7: unknown key",
		"tokens:\n  T: {}\n  T: {}\n":                        ":3:3: ",
		"tokens:\n\tT: {}\n":                                 ":2:1: a tab cannot indent",
		"tokens:\n  T: {GET: *x}\n":                          ":2:12: this is not YAML",
		"tokens:\n  T: {expires_at: soon}\n":                 ":2:19: ",
		"ssh_keys:\n  'ssh-ed25519 AAAA': {}\n":              ":2:3: not a public key line",
		"tests:\n  - {action: GET, path: /x, expect: allow}": ":2:5: this test fails: it is denied: no GET pattern matches",
		strings.Repeat("#\n", 1<<19) + "#":                   ":524289:1: the file is larger than 1 MiB",
	} {
		file := writeFile(t, rules)
		code, out, talk := command(t, t.Context(), "acl", "check", file)
		if code != exitFailed || out != "" || !strings.HasPrefix(talk, file+want) || strings.Count(talk, "\n") != 1 {
			t.Errorf("%.40q: exit code %d, %q, %q, want %q", rules, code, out, talk, want)
		}
		// It is no answer to a question about rights.
		code, out, talk = command(t, t.Context(), "acl", "can", file, "GET", "/x")
		if code != exitUsage || out != "" || !strings.HasPrefix(talk, "patchwork: "+file+want) {
			t.Errorf("%.40q: exit code %d, %q, %q", rules, code, out, talk)
		}
	}
}

func TestAclMistakesOnTheCommandLine(t *testing.T) {
	good := writeFile(t, "tokens: {T: {GET: '*'}}\n")
	gone := filepath.Join(t.TempDir(), "gone.yaml")
	for line, want := range map[string]string{
		"acl chekc x":                                          `unknown command "acl chekc"`,
		"acl check":                                            "takes one file",
		"acl check a b":                                        "takes one file",
		"acl check --strict a":                                 "unknown flag --strict; see 'patchwork acl check --help'",
		"acl can " + good + " GET":                             "takes a path after the action",
		"acl can " + good + " GET /x /y":                       "takes a file, an action and a path",
		"acl can " + good + " GTE /x":                          `"GTE" is neither a method`,
		"acl can " + good + " GET /a//b":                       "empty",
		"acl can " + good + " GET /../b":                       "..",
		"acl can " + good + " GET /x --tokn T":                 "unknown flag --tokn; see 'patchwork acl can --help'",
		"acl can " + good + " GET /x --token":                  "--token needs a value",
		"acl can " + good + " GET /x --token T --key SHA256:x": "not both",
		"acl can " + good + " GET /x --key SHA256:x":           "--key: not a fingerprint",
		"acl can " + good + " GET /x --key " + gone:            "gone.yaml",
		"acl can " + gone + " GET /x":                          "gone.yaml",
	} {
		code, out, talk := command(t, t.Context(), strings.Fields(line)...)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, stdout %q", line, code, out)
		}
		wantLine(t, talk, want)
	}
	if code, out, talk := command(t, t.Context(), "acl", "check", gone); code != exitFailed || out != "" {
		t.Errorf("exit code %d, %q", code, out)
	} else {
		wantLine(t, talk, "gone.yaml")
	}
}

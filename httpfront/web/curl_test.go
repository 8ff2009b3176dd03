package web

import (
	"os/exec"
	"strings"
	"testing"
)

// TestCopiedCommandsAreHarmless writes commands for messages of strangers, as the page
// that inspects channels does, and reads what somebody would paste.
func TestCopiedCommandsAreHarmless(t *testing.T) {
	for name, test := range map[string]struct {
		entry, body string // in JavaScript
		want        []string
	}{
		"a key that ends the command": {
			`{path: "/r/x", headers: {"Patch-Method": ["POST"], "Patch-Uri": ["/r/x"], "X-A": ["a\x1b[2Jb"]}}`, `"hi\x03\necho PWNED\n"`,
			[]string{"echo aGkDCmVjaG8gUFdORUQK | base64 -d | curl -g https://relay.example/r/x", "--data-binary @-"},
		},
		"an address that is a million": {
			`{path: "/r/x", headers: {"Patch-Method": ["POST"], "Patch-Uri": ["/r/x?n=[1-1000000]"]}}`, `"x"`,
			[]string{"curl -g 'https://relay.example/r/x?n=[1-1000000]'"},
		},
		"what came by SSH": {
			`{path: "/p/cc", headers: {}}`, `"from ssh\n"`,
			[]string{"curl -g 'https://relay.example/p/cc?pubsub=true' -H Content-Type: --data-raw 'from ssh\n'"},
		},
		"what came by a WebSocket": {
			`{path: "/p/cc", headers: {"Patch-Method": ["GET"], "Patch-Uri": ["/pipe/cc"]}}`, `"@file"`,
			[]string{"curl -g 'https://relay.example/p/cc?pubsub=true' -H Content-Type: --data-raw @file"},
		},
		"a link that sends": {
			`{path: "/p/cc", headers: {"Patch-Method": ["GET"], "Patch-Uri": ["/p/cc?body=it's"]}}`, `"it's"`,
			[]string{`curl -g 'https://relay.example/p/cc?body=it'\''s'`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			node := exec.Command("node", "--input-type=module", "-")
			node.Dir = "src"
			node.Stdin = strings.NewReader(`import { asCurl } from "./curl.js";
const body = new TextEncoder().encode(` + test.body + `);
process.stdout.write(asCurl(` + test.entry + `, "https://relay.example", body, body.length));`)
			out, err := node.CombinedOutput()
			if err != nil {
				t.Fatalf("%v; it needs node, which 'make test' installs\n%s", err, out)
			}
			for _, want := range test.want {
				if !strings.Contains(string(out), want) {
					t.Errorf("the command is %q, without %q", out, want)
				}
			}
			for _, c := range string(out) {
				if c < ' ' && c != '\n' || c == 0x7f {
					t.Errorf("the command has the control character %q: %q", c, out)
				}
			}
		})
	}
}

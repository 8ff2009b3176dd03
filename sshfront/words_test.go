package sshfront

import (
	"slices"
	"strings"
	"testing"
)

func TestWordsAreThoseOfAShell(t *testing.T) {
	for line, want := range map[string][]string{
		"":                       nil,
		"  \t\n ":                nil,
		"pub x":                  {"pub", "x"},
		`a'b c'd "e f"g`:         {"ab cd", "e fg"},
		`'' ""`:                  {"", ""},
		`a\ b \'c`:               {"a b", "'c"},
		`"a\"b\$\c" 'd\e'`:       {`a"b$\c`, `d\e`},
		"a\\\nb":                 {"ab"},
		`*?~$HOME;|&`:            {`*?~$HOME;|&`},
		"sub -a user,SHA256:x t": {"sub", "-a", "user,SHA256:x", "t"},
	} {
		got, err := splitWords(line)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`'`, `"`, `a "b`, `a 'b`, `"\"`, `a\`} {
		if got, err := splitWords(line); err == nil {
			t.Errorf("%q: %q", line, got)
		}
	}
}

// Whatever words are quoted, the same words come back; and what can be split can
// be quoted and split again.
func FuzzWords(f *testing.F) {
	f.Add(`pub -p "a b" c\ d 'e"f'`)
	f.Add(`"\$\\" '`)
	f.Fuzz(func(t *testing.T, line string) {
		words, err := splitWords(line)
		if err != nil {
			return
		}
		for _, quote := range []func(string) string{singly, doubly} {
			var quoted []string
			for _, w := range words {
				quoted = append(quoted, quote(w))
			}
			again, err := splitWords(strings.Join(quoted, " "))
			if err != nil || !slices.Equal(again, words) {
				t.Fatalf("%q: %q, then %q %v", line, words, again, err)
			}
		}
	})
}

func singly(w string) string { return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'" }

func doubly(w string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(w) + `"`
}

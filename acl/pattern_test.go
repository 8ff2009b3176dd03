package acl

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// reference matches by the book, in a table of all beginnings of both: slow, and
// too simple to be wrong in the same way.
func reference(pattern, s string) bool {
	reach := make([]bool, len(s)+1)
	reach[0] = true
	for i := range len(pattern) {
		next := make([]bool, len(s)+1)
		for j := range reach {
			switch {
			case pattern[i] == '*':
				next[j] = reach[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = reach[j-1] && (pattern[i] == '?' || pattern[i] == s[j-1])
			}
		}
		reach = next
	}
	return reach[len(s)]
}

var patternVectors = []struct {
	pattern, s string
	want       bool
}{
	{"*", "", true}, {"*", "a/b/c", true}, {"**", "a/b", true}, {"a*", "a", true},
	{"a", "a", true}, {"a", "b", false}, {"a", "ab", false}, {"ab", "a", false},
	{"?", "a", true}, {"?", "", false}, {"?", "ab", false}, {"??", "ab", true},
	{"?", "é", false}, {"??", "é", true}, // bytes, as OpenSSH counts
	{"projects/*/data", "projects/web/data", true}, {"projects/*/data", "projects/web/x/data", true},
	{"projects/*/data", "projects/data", false}, {"projects/*/data", "projects//data", true},
	{"/projects/*", "projects/web", true}, {"projects/*", "/projects/web", true},
	{"*/data", "data", false}, {"a*b*c", "abc", true}, {"a*b*c", "aXbYc", true}, {"a*b*c", "acb", false},
	{"*a*", "xax", true}, {"*ab*ab*", "ab", false}, {"*ab*ab*", "abab", true}, {"ab*ba", "aba", false},
	{"a?c*", "abc", true}, {"*?c", "bc", true}, {"*?c", "c", false}, {"*?b?*", "abc", true}, {"*?b?*", "ab", false},
	{"A", "a", false}, {"[ab]", "a", false}, {"[ab]", "[ab]", true}, {`a\*`, "a*", false}, {`a\*`, `a\b`, true},
	{"a,b", "a", false}, {"a,b", "a,b", true},
}

func TestPatternsMatchWhatOpenSSHMatches(t *testing.T) {
	for _, v := range patternVectors {
		p, err := parsePattern(v.pattern, paths)
		if err != nil {
			t.Errorf("%q: %v", v.pattern, err)
			continue
		}
		if got := p.matches(paths.normal(v.s)); got != v.want {
			t.Errorf("%q on %q: %v, want %v", v.pattern, v.s, got, v.want)
		}
	}
}

// TestPatternListsAgreeWithOpenSSHItself asks ssh-keygen, whose allowed signers
// have lists of patterns, about every vector and some lists.
func TestPatternListsAgreeWithOpenSSHItself(t *testing.T) {
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Fatal("there is no ssh-keygen; run make test, which installs it")
	}
	if out, _ := exec.Command(keygen, "-Y", "match-principals").CombinedOutput(); strings.Contains(string(out), "nsupported") {
		t.Skip("this ssh-keygen has no -Y match-principals")
	}
	_, line := testKey(1)
	lists := [][]string{
		{"*", "!secret*"}, {"!secret*", "*"}, {"!secret*"}, {"a*", "b*"}, {"a*", "!ab*", "abc"}, {"!!a", "*"}, {"?*", "!*c"},
	}
	subjects := []string{"a", "b", "ab", "abc", "aXbYc", "secret", "secret/x", "a/b/c", "projects/web/data", "xax", "!a", "A", "bc", "c"}
	for _, v := range patternVectors {
		if !strings.ContainsAny(v.pattern, `,\`) && v.pattern[0] != '/' {
			lists = append(lists, []string{v.pattern})
		}
		if v.s != "" && v.s[0] != '/' && !strings.ContainsAny(v.s, `,\`) {
			subjects = append(subjects, v.s)
		}
	}
	var signers strings.Builder
	for _, l := range lists {
		fmt.Fprintf(&signers, "%s %s\n", strings.Join(l, ","), line)
	}
	file := filepath.Join(t.TempDir(), "signers")
	if err := os.WriteFile(file, []byte(signers.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, subject := range subjects {
		// The exit status says whether any matched; the lines say which.
		out, _ := exec.Command(keygen, "-Y", "match-principals", "-I", subject, "-f", file).Output()
		theirs := map[string]bool{}
		for l := range strings.Lines(string(out)) {
			theirs[strings.TrimSpace(l)] = true
		}
		for _, l := range lists {
			var ours list
			for _, s := range l {
				p, err := parsePattern(s, prefixes) // as it is, no slash is optional
				if err != nil {
					t.Fatal(err)
				}
				ours = append(ours, p)
			}
			_, got := verdict(subject, ours)
			if want := theirs[strings.Join(l, ",")]; got != want {
				t.Errorf("%q on %q: %v, OpenSSH says %v", l, subject, got, want)
			}
		}
	}
}

func TestPatternsThatCannotBeMeantAreRefused(t *testing.T) {
	for _, s := range []string{"!", "!/", "! a", "a\x00b", "a\nb", strings.Repeat("a", 1025)} {
		if _, err := parsePattern(s, paths); err == nil {
			t.Errorf("%.20q is taken", s)
		}
	}
	if _, err := parsePattern("!db.example.com.:*", hosts); err == nil {
		t.Error("a host pattern that can never match is taken")
	}
}

func BenchmarkTheWorstPattern(b *testing.B) {
	p, err := parsePattern("*"+strings.Repeat("a?", 250)+"b*", paths)
	if err != nil {
		b.Fatal(err)
	}
	s := strings.Repeat("a", 1023)
	for b.Loop() {
		p.matches(s)
	}
}

func FuzzPattern(f *testing.F) {
	for _, v := range patternVectors {
		f.Add(v.pattern, v.s)
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 200 || len(s) > 200 {
			return
		}
		p, err := parsePattern(pattern, paths)
		if err != nil {
			return
		}
		body := strings.TrimPrefix(strings.TrimPrefix(pattern, "!"), "/")
		if got, want := p.matches(paths.normal(s)), reference(body, paths.normal(s)); got != want {
			t.Errorf("%q on %q: %v, want %v", pattern, s, got, want)
		}
	})
}

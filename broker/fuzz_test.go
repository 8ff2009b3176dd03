package broker

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func FuzzParseName(f *testing.F) {
	for _, s := range []string{
		"public/x", "public/./x", "alice/res/a b/ü", "h/0-1", "channels/v1/do_work", "public/x/", "public//x",
		"public/.", "public/..", "public/a/./b", "public/_/x", "public/_x", "u/x", "P/x", "", "/", "public", "public/",
		"public/a\x00b", "public/\u0085", "public/\xff", "public/%2F?#", "public/queue", "alice/res", "public/./_/x",
		"a/" + strings.Repeat("x", MaxName), "public/./././x", "public/\u2028", "-a/x", "alice/req/*",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			if !errors.Is(err, ErrName) || !n.IsZero() || strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Fatalf("%q: %q", s, err)
			}
			return
		}
		full := n.String()
		if again, err := ParseName(full); err != nil || again != n {
			t.Errorf("%q is read as %q, and that as %q, %v", s, full, again, err)
		}
		u, err := url.Parse("http://relay.example" + n.Path())
		if err != nil || u.Path != "/"+full || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: path %q is read as %+v, %v", full, n.Path(), u, err)
		}
		if back, err := url.PathUnescape(n.Path()); err != nil || back != "/"+full {
			t.Errorf("%q: path %q is decoded as %q, %v", full, n.Path(), back, err)
		}
		if len(full) > MaxName || !utf8.ValidString(full) || strings.ContainsFunc(full, unicode.IsControl) {
			t.Errorf("%q is accepted", full)
		}
		segments := strings.Split(full, "/")
		for _, segment := range segments {
			if segment == "" || segment == "." || segment == ".." {
				t.Errorf("%q is accepted", full)
			}
		}
		if len(segments) < 2 || segments[1] == "_" || n.Namespace()+"/"+n.Topic() != full || n.Namespace() != segments[0] {
			t.Errorf("%q is accepted", full)
		}
		r := n.Request()
		if again, err := ParseName(r.String()); err != nil || again != r || r.Request() != r || r.Kind() == Res {
			t.Errorf("%q: its request channel is %q, %v", full, r, err)
		}
	})
}

// matches is the slow and plain way to say what a star means.
func matches(pattern, s string) bool {
	if pattern == "" {
		return s == ""
	}
	if pattern[0] == '*' {
		for i := range len(s) + 1 {
			if matches(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	return s != "" && s[0] == pattern[0] && matches(pattern[1:], s[1:])
}

func FuzzPattern(f *testing.F) {
	for _, s := range [][2]string{
		{"public/*", "public/x/y"}, {"public/a*b*c", "public/abbc"}, {"public/a*a", "public/a"}, {"public/**", "public/x"},
		{"public/*x*", "public/x"}, {"public/x", "public/x"}, {"public/x", "public/xy"}, {"public/*b", "public/abab"},
		{"alice/*", "bob/x"}, {"*/x", "alice/x"}, {"public/a*ab", "public/aab"}, {"public/*a*a*", "public/aa"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if strings.Count(pattern, "*") > 3 || len(s) > 60 {
			return // the plain way is slow
		}
		p, err := ParsePattern(pattern)
		if err != nil {
			if p.Match(name("public/x")) {
				t.Error("a pattern that was refused matches")
			}
			return
		}
		n, err := ParseName(s)
		if err != nil {
			return
		}
		as, _ := ParseName(pattern)
		if got, want := p.Match(n), matches(as.String(), n.String()); got != want {
			t.Errorf("%q matches %q: %v", pattern, s, got)
		}
		if p.Match(n) && n.Namespace() != as.Namespace() {
			t.Errorf("%q reaches into another namespace: %q", pattern, s)
		}
	})
}

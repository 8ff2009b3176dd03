package notify

import (
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

func TestCut(t *testing.T) {
	flags := "🇩🇪🇫🇷🇮🇹" // two code points each, which make other flags if they are paired wrongly
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"", 5, ""}, {"hello", 5, "hello"}, {"hello!", 5, "hell…"}, {"x", 0, ""},
		{flags, 12, flags}, {flags, 11, "🇩🇪🇫🇷…"}, {flags, 8, "🇩🇪…"}, {flags, 4, "🇩…"},
		{"e\u0301e\u0301", 3, "e\u0301…"}, {strings.Repeat("\u0301", 9), 4, "\u0301\u0301\u0301…"},
	} {
		if got, cut := cutUTF16(test.in, test.limit); got != test.want || cut != (got != test.in) {
			t.Errorf("cutUTF16(%q, %d) = %q, %v; want %q", test.in, test.limit, got, cut, test.want)
		}
	}
	if got, cut := cutBytes("äöü", 5); got != "ä…" || !cut {
		t.Errorf("cutBytes gave %q, %v", got, cut)
	}
}

// FuzzCut: the result is within the limit, is UTF-8, is the beginning of what
// went in, ends where a character ends, and misses no character that would fit.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{"", "hello world", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "🇩🇪🇫🇷", "e\u0301\u0302\u0303x", "\r\n\r\n", "क्षि", strings.Repeat("\u0301", 50)} {
		f.Add(seed, uint16(4))
		f.Add(seed, uint16(1))
	}
	f.Fuzz(func(t *testing.T, in string, n uint16) {
		in, limit := strings.ToValidUTF8(in, "?"), int(n)
		for name, c := range map[string]struct {
			cut  func(string, int) (string, bool)
			size func(string) int
		}{
			"utf16": {cutUTF16, func(s string) int { return len(utf16.Encode([]rune(s))) }},
			"bytes": {cutBytes, func(s string) int { return len(s) }},
		} {
			out, cut := c.cut(in, limit)
			if c.size(out) > limit || !utf8.ValidString(out) {
				t.Fatalf("%s: %d of %q gave %q", name, limit, in, out)
			}
			if cut != (c.size(in) > limit) || !cut && out != in {
				t.Fatalf("%s: %d of %q gave %q, %v", name, limit, in, out, cut)
			}
			if !cut {
				continue
			}
			kept := strings.TrimSuffix(out, ellipsis)
			if !strings.HasPrefix(in, kept) {
				t.Fatalf("%s: %q is not how %q begins", name, out, in)
			}
			if limit < c.size(ellipsis) {
				continue
			}
			ends, at := map[int]bool{}, 0
			for clusters := uniseg.NewGraphemes(in); clusters.Next(); {
				at += len(clusters.Str())
				ends[at] = true
			}
			first, _, _, _ := uniseg.FirstGraphemeClusterInString(in, -1)
			if kept != "" && !ends[len(kept)] && c.size(first) <= limit-c.size(ellipsis) {
				t.Fatalf("%s: %d of %q cut a character: %q", name, limit, in, out)
			}
			next, _, _, _ := uniseg.FirstGraphemeClusterInString(in[len(kept):], -1)
			if ends[len(kept)] && c.size(kept)+c.size(next)+c.size(ellipsis) <= limit {
				t.Fatalf("%s: %d of %q left room for %q: %q", name, limit, in, next, out)
			}
		}
	})
}

package sshfront

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func cleaned(pieces ...string) string {
	var c cleaner
	var out []byte
	for _, p := range pieces {
		out = c.clean(out, []byte(p))
	}
	return string(c.flush(out))
}

func TestTextStaysAndControlSequencesGo(t *testing.T) {
	for text, want := range map[string]string{
		"plain\ttext\n":                          "plain\ttext\n",
		"grüße 日本 👍":                             "grüße 日本 👍",
		"\x1b[31mred\x1b[0m":                     "red",
		"\x1b[2J\x1b[1;1H\x1b[?25lx":             "x",
		"\x1b]0;title\x07a\x1b]52;c;aGk=\x1b\\b": "ab",
		"\x1bP+q544e\x1b\\x\x1b_G;\x1b\\y":       "xy",
		"\x1b(0x\x1b#8y\x1bcz\x1b%Gw":            "xyzw",
		"a\rb\bc\x00d\x7fe\x0e\x0f":              "abcde",
		"\u009b31mred\u009d0;t\u009cx\u0085":     "redx",
		"\x9b31mred":                             "red",
		"\x1b\x1b[31mx":                          "x",
		"\x1b[3\x1b[1mx":                         "x",
		"\x1b]never closed\nnext":                "\nnext",
		"\x1b[\nnext":                            "\nnext",
		"caf\xe9!":                               "caf\ufffd!",
		"\xf0\x9f":                               "\ufffd",
		"\xe2\x82A":                              "\ufffdA",
		"\xc2\x1b[mA":                            "\ufffdA",
		"\x1b]0;\xc2\x9ctext":                    "text",
	} {
		if got := cleaned(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What comes out is valid text without control characters, the same wherever the
// stream is cut, and clean text comes out as it is.
func FuzzSanitize(f *testing.F) {
	f.Add("a\x1b[31mred\x1b]0;t\x07 \xc2\x9b1m grüße\xe2\x82", 5)
	f.Add("\x1bP\x1b\\\x90x\x9c\r\n\xf0\x9f\x91\x8d", 3)
	f.Fuzz(func(t *testing.T, text string, at int) {
		out := cleaned(text)
		if !utf8.ValidString(out) {
			t.Fatalf("%q: not UTF-8: %q", text, out)
		}
		if i := strings.IndexFunc(out, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }); i >= 0 {
			t.Fatalf("%q: control character in %q", text, out)
		}
		if len(text) > 0 {
			at = int(uint(at) % uint(len(text)))
			if cut := cleaned(text[:at], text[at:]); cut != out {
				t.Fatalf("%q cut at %d: %q, whole: %q", text, at, cut, out)
			}
		}
		if bytewise := cleaned(strings.Split(text, "")...); utf8.ValidString(text) && bytewise != out {
			t.Fatalf("%q piece by piece: %q, whole: %q", text, bytewise, out)
		}
		if again := cleaned(out); again != out {
			t.Fatalf("%q: clean text changed to %q", out, again)
		}
	})
}

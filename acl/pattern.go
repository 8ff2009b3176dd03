package acl

import (
	"errors"
	"strings"
	"unicode"
)

// maxPattern is the longest pattern in bytes: as long as the longest name.
const maxPattern = 1024

// A Pattern is one pattern of OpenSSH's: `*` is any run of bytes, slashes too,
// `?` one byte, and a leading `!` forbids what the rest matches. There is no
// escape character, and upper and lower case differ.
type Pattern struct {
	text    string
	negated bool
	parts   []string // what stands between the stars
	place
}

// place is where something stands in its file, counted from 1; 0 is nowhere.
type place struct{ line, column int }

// parsePattern reads a pattern that is matched against what kind tells.
func parsePattern(text string, kind patternKind) (Pattern, error) {
	p := Pattern{text: text}
	if len(text) > maxPattern {
		return p, errors.New("a pattern of more than 1024 bytes matches no name")
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return p, errors.New("a pattern with a control character matches no name")
	}
	body := text
	if rest, ok := strings.CutPrefix(text, "!"); ok {
		p.negated, body = true, rest
		// A negation that never matches opens what its writer meant to close.
		if strings.HasPrefix(body, " ") {
			return p, errors.New("a space after the ! would be part of the pattern: take it out")
		}
	}
	body = kind.normal(body)
	if kind == hosts && strings.Contains(body, ".:") {
		return p, errors.New("the dot that ends a host name is left out of the comparison: take it out")
	}
	if p.negated && body == "" {
		return p, errors.New("nothing stands behind the !: say what it forbids")
	}
	for strings.Contains(body, "**") {
		body = strings.ReplaceAll(body, "**", "*")
	}
	p.parts = strings.Split(body, "*")
	return p, nil
}

// matches tells whether the pattern, without its `!`, matches the whole of s,
// which is in its normal form. What stands between two stars has a fixed length,
// so the leftmost place for it is as good as any: no backtracking.
func (p *Pattern) matches(s string) bool {
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if len(p.parts) == 1 {
		return len(s) == len(first) && same(s, first)
	}
	if len(s) < len(first)+len(last) || !same(s, first) || !same(s[len(s)-len(last):], last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		i := find(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}

// same tells whether s begins with part, which may hold question marks. s is at
// least as long.
func same(s, part string) bool {
	for i := range len(part) {
		if part[i] != '?' && part[i] != s[i] {
			return false
		}
	}
	return true
}

// find returns where part is first found in s, or -1.
func find(s, part string) int {
	if !strings.Contains(part, "?") {
		return strings.Index(s, part)
	}
	for i := 0; i+len(part) <= len(s); i++ {
		if same(s[i:], part) {
			return i
		}
	}
	return -1
}

// A patternKind is what a list of patterns is matched against.
type patternKind uint8

const (
	paths    patternKind = iota // of channels; a leading slash is optional
	hosts                       // HOST:PORT; host names know no case
	prefixes                    // of reverse tunnels
)

// normal gives a pattern's body, or what is matched against it, the form in
// which the two are compared.
func (k patternKind) normal(s string) string {
	switch k {
	case paths:
		return strings.TrimPrefix(s, "/")
	case hosts:
		return lower(s)
	}
	return s
}

// lower is for ASCII only, as OpenSSH's is: what Unicode would fold into an
// ASCII letter stays what it is.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

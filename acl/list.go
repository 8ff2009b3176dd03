package acl

import (
	"fmt"
	"strings"
)

// maxList is how many patterns one list may hold. With maxPattern it bounds
// what one check can cost.
const maxList = 256

// A list is what allows and forbids for one method or one kind of tunnel. The
// empty list allows nothing.
type list []Pattern

// verdict is what some lists say of a target: the pattern that decided, nil when
// none did, and whether it allows. A `!` in any of the lists goes before
// everything that allows.
func verdict(target string, lists ...list) (*Pattern, bool) {
	var allows *Pattern
	for _, l := range lists {
		for i := range l {
			p := &l[i]
			if !p.negated && allows != nil || !p.matches(target) {
				continue
			}
			if p.negated {
				return p, false
			}
			allows = p
		}
	}
	return allows, allows != nil
}

// opens tells whether a list could allow anything.
func (l list) opens() bool {
	for _, p := range l {
		if !p.negated {
			return true
		}
	}
	return false
}

// A Decision is the answer to a check and the rule that gave it.
type Decision struct {
	Allowed bool
	Pattern string // the deciding pattern as written, "" when none matched
	Line    int    // where it stands in the file, 0 when it stands in none
	Column  int
	Reason  string // one plain clause, for when no pattern decided
}

// String is for the owner of the rules.
func (d Decision) String() string {
	word := "denied"
	if d.Allowed {
		word = "allowed"
	}
	switch {
	case d.Pattern == "" && d.Line > 0:
		return fmt.Sprintf("%s by line %d: %s", word, d.Line, d.Reason)
	case d.Pattern == "":
		return fmt.Sprintf("%s: %s", word, d.Reason)
	case d.Line == 0:
		return fmt.Sprintf("%s by %q", word, d.Pattern)
	}
	return fmt.Sprintf("%s by line %d: %q", word, d.Line, d.Pattern)
}

// decide asks the lists about a target of the kind.
func decide(kind patternKind, target, reason string, lists ...list) Decision {
	p, allowed := verdict(kind.normal(target), lists...)
	if p == nil {
		return Decision{Reason: reason}
	}
	return Decision{Allowed: allowed, Pattern: p.text, Line: p.line, Column: p.column}
}

// methodWords names methods for a sentence: "POST or PUT".
func methodWords(ms []method) string {
	words := make([]string, len(ms))
	for i, m := range ms {
		words[i] = methodNames[m]
	}
	return strings.Join(words, " or ")
}

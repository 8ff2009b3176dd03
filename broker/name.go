package broker

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name in bytes, namespace included.
const MaxName = 1024

// Kind says how a channel behaves through every door.
type Kind uint8

// The kinds of channels. A Plain one is a queue or a broadcast as its producer
// says; the others are fixed by the first segment of their topic.
const (
	Plain Kind = iota
	Queue
	Pubsub
	Req
	Res
)

var kinds = map[string]Kind{"queue": Queue, "pubsub": Pubsub, "req": Req, "res": Res}

// A Name is the full name of a channel, namespace first: "public/jobs",
// "alice/queue/builds". A Name made by [ParseName] is always valid; the zero
// Name is not a name. Names are comparable.
type Name struct{ s string }

// ParseName reads a name from decoded text. One trailing slash and a "./" that
// begins the topic are dropped. It returns an error that wraps [ErrName] for
// anything the relay's contract refuses: names over [MaxName] bytes, broken
// UTF-8, control characters, empty, "." and ".." segments, a namespace that is
// neither a fixed one nor a user's, and topics under the reserved "_".
func ParseName(s string) (Name, error) {
	s, err := clean(s)
	if err != nil {
		return Name{}, err
	}
	space, topic, _ := strings.Cut(s, "/")
	if topic == "" {
		return Name{}, fmt.Errorf("%w: %q has no topic after its namespace", ErrName, short(s))
	}
	if first, _, _ := strings.Cut(topic, "/"); first == "_" {
		return Name{}, fmt.Errorf("%w: topics under \"_\" are reserved for control endpoints", ErrName)
	}
	if !fixedSpace[space] {
		if err := CheckUser(space); err != nil {
			return Name{}, err
		}
	}
	return Name{s}, nil
}

// fixedSpace holds the namespaces that belong to nobody; notUsers besides them
// the path words that must never be mistaken for one.
var (
	fixedSpace = map[string]bool{"public": true, "h": true, "r": true, "channels": true}
	notUsers   = map[string]bool{"p": true, "u": true}
)

// CheckUser says whether s can be the name of a user (and so of a namespace):
// [a-z0-9][a-z0-9._-]{0,63} and none of the fixed namespaces. The error wraps
// [ErrName].
func CheckUser(s string) error {
	if fixedSpace[s] || notUsers[s] {
		return fmt.Errorf("%w: %q is not a user", ErrName, s)
	}
	ok := len(s) >= 1 && len(s) <= 64
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		ok = letter || i > 0 && (c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%w: %q is not a user name (a-z, 0-9, then also . _ -, 64 at most)", ErrName, short(s))
	}
	return nil
}

// clean normalises the slashes and dots of s and refuses what no name may hold.
func clean(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: it is not valid UTF-8", ErrName)
	}
	s = strings.TrimSuffix(s, "/")
	if space, topic, ok := strings.Cut(s, "/"); ok {
		s = space + "/" + strings.TrimPrefix(topic, "./")
	}
	if len(s) > MaxName {
		return "", fmt.Errorf("%w: %d bytes is too long, at most %d with the namespace", ErrName, len(s), MaxName)
	}
	if i := strings.IndexFunc(s, unicode.IsControl); i >= 0 {
		return "", fmt.Errorf("%w: %q holds a control character", ErrName, short(s))
	}
	for segment := range strings.SplitSeq(s, "/") {
		switch segment {
		case "":
			return "", fmt.Errorf("%w: %q has an empty segment", ErrName, short(s))
		case ".", "..":
			return "", fmt.Errorf("%w: %q has a %q segment", ErrName, short(s), segment)
		}
	}
	return s, nil
}

// short keeps a name in an error message to one readable line.
func short(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:77], "") + "..."
}

// String returns the full name.
func (n Name) String() string { return n.s }

// IsZero tells whether n is not a name.
func (n Name) IsZero() bool { return n.s == "" }

// Namespace returns what stands before the first slash.
func (n Name) Namespace() string {
	space, _, _ := strings.Cut(n.s, "/")
	return space
}

// Topic returns what stands behind the first slash.
func (n Name) Topic() string {
	_, topic, _ := strings.Cut(n.s, "/")
	return topic
}

// Kind returns how the channel behaves. Hooks and httpipe channels are always
// Plain: there the first segment is an identifier.
func (n Name) Kind() Kind {
	space, topic, _ := strings.Cut(n.s, "/")
	if space == "h" || space == "r" || space == "channels" {
		return Plain
	}
	first, _, _ := strings.Cut(topic, "/")
	return kinds[first]
}

// Path returns the name as an URL path, every segment percent-encoded:
// "/public/a%20b". Decoding it gives the name again.
func (n Name) Path() string {
	var b strings.Builder
	for segment := range strings.SplitSeq(n.s, "/") {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(segment))
	}
	return b.String()
}

// Request returns the name under which both ends of a request/response channel
// meet: for "…/res/X" it is "…/req/X", any other name is itself.
func (n Name) Request() Name {
	if n.Kind() != Res {
		return n
	}
	return Name{n.Namespace() + "/req" + strings.TrimPrefix(n.Topic(), "res")}
}

// Response is the other way round: for "…/req/X" it is "…/res/X".
func (n Name) Response() Name {
	if n.Kind() != Req {
		return n
	}
	return Name{n.Namespace() + "/res" + strings.TrimPrefix(n.Topic(), "req")}
}

// A Pattern matches names: "alice/logs-*", where * is any run of characters,
// slashes too. A pattern never matches outside the namespace it is written for,
// which must not hold a star.
type Pattern struct{ parts []string }

// ParsePattern reads a pattern by the rules of [ParseName]; the error wraps
// [ErrName].
func ParsePattern(s string) (Pattern, error) {
	n, err := ParseName(s)
	if err != nil {
		return Pattern{}, err
	}
	return Pattern{strings.Split(n.s, "*")}, nil
}

// Match tells whether the pattern matches the whole of n.
func (p Pattern) Match(n Name) bool {
	if len(p.parts) == 0 {
		return false
	}
	rest, ok := strings.CutPrefix(n.s, p.parts[0])
	if !ok || len(p.parts) == 1 {
		return ok && rest == ""
	}
	last := len(p.parts) - 1
	for _, part := range p.parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, p.parts[last])
}

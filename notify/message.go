package notify

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a message may hold, in bytes where nothing else is said.
const (
	MaxMessage = 64 << 10
	MaxTitle   = 512
	MaxRoom    = 255
	MaxTags    = 16 // tags in one message
	MaxTag     = 64
)

// Format is how the text of a message is written. The zero value is Plain.
type Format string

const (
	Plain    Format = "plain"
	Markdown Format = "markdown"
	HTML     Format = "html"
)

// Priority is how urgent a message is, from 1 (min) to 5 (max) as ntfy counts.
// Zero says nothing about it, and the service decides.
type Priority int

// priorities are the names that ntfy's clients know.
var priorities = map[string]Priority{
	"": 0, "min": 1, "low": 2, "default": 3, "normal": 3, "high": 4, "max": 5, "urgent": 5,
	"1": 1, "2": 2, "3": 3, "4": 4, "5": 5,
}

// Message is one notification. Text is required; the rest is optional. Room is
// a Matrix room (`!id` or `#alias:server`) that takes the place of the
// configured one; services without rooms ignore it, as they ignore a priority or
// tags they have no word for.
type Message struct {
	Format   Format
	Title    string
	Text     string
	Room     string
	Priority Priority
	Tags     []string
}

// InputError is a message or a request that cannot be sent as it is: a 400. It
// names the field and says what is wrong with it, in one line.
type InputError struct {
	Field  string
	Reason string
}

func (e *InputError) Error() string { return e.Field + ": " + e.Reason }

func bad(field, format string, args ...any) error {
	return &InputError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// Check says what is wrong with the message, as an [*InputError]. Sender.Send
// asks it too, so that a message from any door is held to the same rules.
func (m Message) Check() error {
	switch m.Format {
	case "", Plain, Markdown, HTML:
	default:
		return bad("type", "%q is not one of plain, markdown, html", clip(string(m.Format), 40))
	}
	if len(m.Text) > MaxMessage {
		return bad("message", "longer than %d bytes", MaxMessage)
	}
	if !utf8.ValidString(m.Text) {
		return bad("message", "not UTF-8 text")
	}
	if strings.TrimSpace(m.Text) == "" {
		return bad("message", "missing; give one of message, content, body")
	}
	if err := checkLine("title", m.Title, MaxTitle); err != nil {
		return err
	}
	if err := checkRoom(m.Room); err != nil {
		return err
	}
	if m.Priority < 0 || m.Priority > 5 {
		return bad("priority", "not one of 1 to 5, min, low, default, high, max")
	}
	if len(m.Tags) > MaxTags {
		return bad("tags", "more than %d of them", MaxTags)
	}
	for _, tag := range m.Tags {
		if err := checkLine("tags", tag, MaxTag); err != nil {
			return err
		}
		if tag == "" || strings.Contains(tag, ",") {
			return bad("tags", "%q is not a tag; tags are words separated by commas", tag)
		}
	}
	return nil
}

func (m Message) format() Format {
	if m.Format == "" {
		return Plain
	}
	return m.Format
}

// checkLine keeps line ends out of what becomes a mail header or one line of a
// chat.
func checkLine(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return bad(field, "longer than %d bytes", limit)
	case !utf8.ValidString(s):
		return bad(field, "not UTF-8 text")
	case strings.ContainsFunc(s, unicode.IsControl):
		return bad(field, "has a line end or another control character")
	}
	return nil
}

// checkRoom knows the two forms of a room's name in the Matrix client-server
// API. Room ids have had no server part since room version 12.
func checkRoom(room string) error {
	if room == "" {
		return nil
	}
	if err := checkLine("room", room, MaxRoom); err != nil {
		return err
	}
	local, server, hasServer := strings.Cut(room[1:], ":")
	isRoom := room[0] == '!' && local != "" || room[0] == '#' && local != "" && hasServer
	if !isRoom || hasServer && server == "" || strings.ContainsFunc(room, unicode.IsSpace) {
		return bad("room", "%q is not a room; rooms are !id:server or #alias:server", room)
	}
	return nil
}

// clip keeps a value of the client's short enough to be repeated to it.
func clip(s string, limit int) string {
	s, _ = cutBytes(strings.ToValidUTF8(s, "�"), limit)
	return s
}

package notify

import (
	"html"
	"strings"

	"golang.org/x/net/html/atom"
)

// plainStyle is text without marks. A link's address follows its text.
type plainStyle struct{}

func (plainStyle) text(s string) string           { return s }
func (plainStyle) mark(atom.Atom, bool) string    { return "" }
func (plainStyle) link(href string) (a, b string) { return "", " (" + href + ")" }

// slackStyle is Slack's mrkdwn, in which only & < > are escaped.
type slackStyle struct{}

var slackEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

func (slackStyle) text(s string) string { return slackEscaper.Replace(s) }

func (slackStyle) mark(tag atom.Atom, _ bool) string {
	switch tag {
	case atom.B:
		return "*"
	case atom.I:
		return "_"
	case atom.S:
		return "~"
	case atom.Code:
		return "`"
	case atom.Pre:
		return "```"
	}
	return ""
}

func (slackStyle) link(href string) (before, after string) {
	// In <url|text> the bar is the separator, and & < > are escaped as in text.
	return "<" + strings.ReplaceAll(slackEscaper.Replace(href), "|", "%7C") + "|", ">"
}

// telegramStyle is the HTML that Telegram's Bot API reads.
type telegramStyle struct{}

func (telegramStyle) text(s string) string { return html.EscapeString(s) }

func (telegramStyle) mark(tag atom.Atom, start bool) string {
	switch tag {
	case atom.B, atom.I, atom.U, atom.S, atom.Code, atom.Pre:
		if start {
			return "<" + tag.String() + ">"
		}
		return "</" + tag.String() + ">"
	}
	return ""
}

func (telegramStyle) link(href string) (before, after string) {
	return `<a href="` + html.EscapeString(href) + `">`, "</a>"
}

// discordPlain keeps Discord from reading marks into a plain text. Addresses
// stay as they are: escaped, they would be other addresses.
func discordPlain(s string) string {
	var out strings.Builder
	for s != "" {
		i := strings.IndexAny(s, " \t\r\n")
		wordLen := i
		if i < 0 {
			wordLen = len(s)
		}
		word := s[:wordLen]
		if strings.HasPrefix(word, "http://") || strings.HasPrefix(word, "https://") {
			out.WriteString(word)
		} else {
			out.WriteString(discordEscaper.Replace(word))
		}
		s = s[wordLen:]
		if s != "" {
			out.WriteByte(s[0])
			s = s[1:]
		}
	}
	return out.String()
}

var discordEscaper = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "~", `\~`, "`", "\\`", "|", `\|`, ">", `\>`, "<", `\<`, "#", `\#`, "[", `\[`, "]", `\]`)

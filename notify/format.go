package notify

import (
	"bytes"
	"html"
	"strings"

	"github.com/microcosm-cc/bluemonday"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
)

// markdown renders what people write, tables and bare links included. Raw HTML
// is off, which is goldmark's default: it is left out of the result.
var markdown = goldmark.New(goldmark.WithExtensions(extension.GFM))

// policy is the HTML that may leave: text and its structure. No images, since
// loading one tells its host who reads; no style, class or id.
var policy = newPolicy()

func newPolicy() *bluemonday.Policy {
	p := bluemonday.NewPolicy()
	p.AllowElements("p", "br", "hr", "b", "strong", "i", "em", "u", "s", "strike", "del", "ins", "sub", "sup",
		"code", "pre", "blockquote", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6",
		"table", "thead", "tbody", "tr", "th", "td")
	p.AllowAttrs("href").OnElements("a")
	p.AllowURLSchemes("http", "https", "mailto")
	p.RequireParseableURLs(true)
	p.AllowRelativeURLs(false)
	p.RequireNoFollowOnLinks(true)
	p.AddSpaceWhenStrippingTag(false)
	return p
}

func sanitise(unsafe string) string { return policy.Sanitize(unsafe) }

// maxMarkdown is how long a text may be to be rendered, in bytes. Some texts take
// a time that grows with the square of their length, and one that long is a log
// and not prose: it goes out as it was written.
const maxMarkdown = 16 << 10

// html is the text as sanitised HTML without the title, "" for a plain message
// and for one of which sanitising left nothing.
func (m Message) html() string {
	var safe string
	switch m.Format {
	case HTML:
		safe = sanitise(m.Text)
	case Markdown:
		if len(m.Text) > maxMarkdown {
			return ""
		}
		var out bytes.Buffer
		if err := markdown.Convert([]byte(m.Text), &out); err != nil {
			return "" // the plain text still goes out
		}
		safe = sanitise(out.String())
	}
	return strings.TrimSpace(safe)
}

// plain is the text for those who see no HTML: markdown is readable as it was
// written, HTML is turned into text. It is never empty.
func (m Message) plain() string {
	if m.Format != HTML {
		return m.Text
	}
	if text := write(sanitise(m.Text), plainStyle{}); text != "" {
		return text
	}
	return "(a message without text)"
}

// titled puts the title before a text, as a line of its own.
func (m Message) titled(text string) string {
	if m.Title == "" {
		return text
	}
	return m.Title + "\n\n" + text
}

// titledHTML does the same in HTML. The title is plain text.
func (m Message) titledHTML(body string) string {
	if m.Title == "" || body == "" {
		return body
	}
	return "<p><strong>" + html.EscapeString(m.Title) + "</strong></p>\n" + body
}

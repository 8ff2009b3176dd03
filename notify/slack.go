package notify

import (
	"context"
	"strings"
	"unicode/utf16"
)

// A Slack incoming webhook, or what speaks like one (Mattermost, Rocket.Chat).
var slackBackend = backend{
	name:   "slack",
	fields: []field{{name: "webhook_url", kind: fullURL, required: true, secret: true}},
	open:   func(v values) (courier, error) { return slackHook{v.text("webhook_url")}, nil },
}

type slackHook struct{ url string }

// maxSlack is where Slack itself would cut a text, in the middle of a mark if
// there is one. What is longer goes out without marks, and short enough to be
// within the limit when every character of it is escaped.
const (
	maxSlack      = 40000
	maxSlackPlain = maxSlack / len("&amp;")
)

func (s slackHook) deliver(ctx context.Context, w *wire, p *parcel) error {
	style := slackStyle{}
	text := style.text(p.plain())
	marked := false
	if html := p.html(); html != "" {
		text, marked = write(html, style), true
	}
	if p.Title != "" {
		title := style.text(p.Title)
		if marked {
			title = "*" + title + "*"
		}
		text = title + "\n" + text
	}
	if len(utf16.Encode([]rune(text))) > maxSlack {
		text, marked = style.text(p.cutTo(cutUTF16, p.titled(p.plain()), maxSlackPlain)), false
	}
	a, err := w.postJSON(ctx, s.url, nil, map[string]any{
		"text":   text,
		"mrkdwn": marked, // off, a plain text keeps its stars and underscores
	})
	if err != nil {
		return err
	}
	if said := strings.TrimSpace(string(a.body)); isHTML(a) || said != "ok" && said != "" && !strings.HasPrefix(said, "{") {
		return unexpected(a, "Slack")
	}
	return nil
}

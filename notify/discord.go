package notify

import (
	"context"
	"net/url"
)

// A Discord webhook ("Execute Webhook"). Markdown is what it speaks itself.
var discordBackend = backend{
	name:   "discord",
	fields: []field{{name: "webhook_url", kind: fullURL, required: true, secret: true}},
	open: func(v values) (courier, error) {
		u, err := url.Parse(v.text("webhook_url"))
		if err != nil {
			return nil, &fieldError{"webhook_url", "is not a URL"}
		}
		query := u.Query() // may hold a thread_id
		query.Set("wait", "true")
		u.RawQuery = query.Encode()
		return discordHook{u.String()}, nil
	},
}

// discordHook posts with wait=true: without it, Discord says yes before it knows
// whether it can keep the message.
type discordHook struct{ url string }

// maxDiscord is Discord's limit on a message's characters.
const maxDiscord = 2000

func (d discordHook) deliver(ctx context.Context, w *wire, p *parcel) error {
	text := p.plain()
	if p.Format != Markdown {
		text = discordPlain(text)
	}
	if p.Title != "" {
		text = "**" + discordPlain(p.Title) + "**\n" + text
	}
	a, err := w.postJSON(ctx, d.url, nil, map[string]any{
		"content":          p.cutTo(cutUTF16, text, maxDiscord),
		"allowed_mentions": map[string]any{"parse": []string{}}, // nobody is pinged by what a script prints
	})
	if err != nil || a.status == 204 {
		return err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := answeredJSON(a, "Discord", &made); err != nil {
		return err
	}
	if made.ID == "" {
		return unexpected(a, "Discord")
	}
	return nil
}

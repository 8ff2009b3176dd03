package notify

import (
	"context"
	"html"
	"strings"
	"unicode/utf16"
)

// A bot of Telegram's Bot API ("sendMessage").
var telegramBackend = backend{
	name: "telegram",
	fields: []field{
		{name: "token", kind: word, required: true, secret: true},
		{name: "chat_id", kind: word, required: true},
		{name: "endpoint", kind: baseURL, value: "https://api.telegram.org"},
	},
	open: func(v values) (courier, error) {
		if strings.ContainsAny(v.text("token"), "/?# %") {
			return nil, &fieldError{"token", "is not a bot's token, 123456:ABC-DEF"}
		}
		return telegramBot{
			url:  strings.TrimRight(v.text("endpoint"), "/") + "/bot" + v.text("token") + "/sendMessage",
			chat: v.text("chat_id"),
		}, nil
	},
}

type telegramBot struct{ url, chat string }

// maxTelegram is the limit on a message's characters, counted without its marks.
const maxTelegram = 4096

func (t telegramBot) deliver(ctx context.Context, w *wire, p *parcel) error {
	message := map[string]any{"chat_id": t.chat}
	if p.Priority == 1 || p.Priority == 2 {
		message["disable_notification"] = true // arrives without a sound
	}
	plain := p.titled(p.plain())
	message["text"] = p.cutTo(cutUTF16, plain, maxTelegram)
	if marked := p.html(); marked != "" {
		text := write(marked, telegramStyle{})
		if p.Title != "" {
			text = "<b>" + html.EscapeString(p.Title) + "</b>\n\n" + text
		}
		// HTML cannot be cut: what is too long goes out as plain text. The length
		// with marks is never less than the one that counts.
		if text != "" && len(utf16.Encode([]rune(text))) <= maxTelegram {
			message["text"], message["parse_mode"] = text, "HTML"
			p.cut = false
		}
	}
	a, err := w.postJSON(ctx, t.url, nil, message)
	if err != nil {
		return err
	}
	var said struct {
		OK bool `json:"ok"`
	}
	if err := answeredJSON(a, "Telegram", &said); err != nil {
		return err
	}
	if !said.OK {
		return refused(a)
	}
	return nil
}

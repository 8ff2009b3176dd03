package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Any HTTP endpoint of the user's own: a POST of one JSON object.
var webhookBackend = backend{
	name: "webhook",
	fields: []field{
		{name: "url", kind: fullURL, required: true, secret: true},
		{name: "secret", kind: word, secret: true},
		{name: "headers", kind: headers, secret: true},
	},
	open: func(v values) (courier, error) {
		h := webhook{url: v.text("url"), secret: []byte(v.text("secret")), header: http.Header{}}
		for _, item := range v.list("headers") {
			name, value, _ := strings.Cut(item, ": ")
			h.header.Set(name, value)
		}
		return h, nil
	},
}

type webhook struct {
	url    string
	secret []byte
	header http.Header
}

// signatureHeader carries "sha256=" and the hex HMAC-SHA256 of the body, as
// GitHub's webhooks do: the relay's own /h channels take it as the credential.
const signatureHeader = "X-Hub-Signature-256"

// hook is what arrives. ID and Time stay the same when it is sent again, so that
// a receiver can tell, and a replay is old.
type hook struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Type     Format    `json:"type"`
	Title    string    `json:"title,omitempty"`
	Message  string    `json:"message"`
	Text     string    `json:"text"`           // the message without HTML
	HTML     string    `json:"html,omitempty"` // sanitised
	Priority Priority  `json:"priority,omitempty"`
	Tags     []string  `json:"tags,omitempty"`
}

func (h webhook) deliver(ctx context.Context, w *wire, p *parcel) error {
	said := hook{
		ID: p.id, Time: time.Now().UTC().Truncate(time.Second),
		Type: p.Format, Title: p.Title, Message: p.Text, Text: p.plain(), HTML: p.html(),
		Priority: p.Priority, Tags: p.Tags,
	}
	if p.Format == HTML {
		said.Message = said.HTML // raw HTML leaves the relay nowhere
	}
	body, err := json.Marshal(said)
	if err != nil {
		return err
	}
	header := jsonHeader(h.header)
	if len(h.secret) > 0 {
		mac := hmac.New(sha256.New, h.secret)
		mac.Write(body)
		header.Set(signatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	_, err = w.do(ctx, call{method: http.MethodPost, url: h.url, header: header, body: body})
	return err
}

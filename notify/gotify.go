package notify

import (
	"context"
	"net/http"
	"strings"
)

// An application of a Gotify server ("createMessage").
var gotifyBackend = backend{
	name: "gotify",
	fields: []field{
		{name: "endpoint", kind: baseURL, required: true},
		{name: "token", kind: word, required: true, secret: true},
	},
	open: func(v values) (courier, error) {
		return gotifyApp{
			url:    strings.TrimRight(v.text("endpoint"), "/") + "/message",
			header: http.Header{"X-Gotify-Key": {v.text("token")}}, // a header stays out of logs, ?token= does not
		}, nil
	},
}

type gotifyApp struct {
	url    string
	header http.Header
}

// gotifyPriorities are Gotify's 0 to 10 for ours: 0 is silent, from 4 it makes a
// sound, from 8 it pops up.
var gotifyPriorities = [...]int{1: 0, 2: 2, 3: 5, 4: 8, 5: 10}

func (g gotifyApp) deliver(ctx context.Context, w *wire, p *parcel) error {
	message := map[string]any{"message": p.plain()}
	if p.Title != "" {
		message["title"] = p.Title
	}
	if p.Priority != 0 {
		message["priority"] = gotifyPriorities[p.Priority]
	}
	if p.Format == Markdown {
		message["extras"] = map[string]any{"client::display": map[string]any{"contentType": "text/markdown"}}
	}
	a, err := w.postJSON(ctx, g.url, g.header, message)
	if err != nil {
		return err
	}
	var made struct {
		ID int `json:"id"`
	}
	if err := answeredJSON(a, "a Gotify server", &made); err != nil {
		return err
	}
	if made.ID == 0 {
		return unexpected(a, "a Gotify server")
	}
	return nil
}

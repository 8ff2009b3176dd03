package notify

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
)

// A topic of an ntfy server. The message goes as JSON ("Publish as JSON"), since
// headers hold no line ends and no other alphabets.
var ntfyBackend = backend{
	name: "ntfy",
	fields: []field{
		{name: "topic", kind: word, required: true, secret: true}, // on a public server whoever knows it can read it
		{name: "endpoint", kind: baseURL, value: "https://ntfy.sh"},
		{name: "token", kind: word, secret: true},
		{name: "username", kind: word},
		{name: "password", kind: word, secret: true},
	},
	open: func(v values) (courier, error) {
		n := ntfyTopic{url: strings.TrimRight(v.text("endpoint"), "/") + "/", topic: v.text("topic"), header: http.Header{}}
		switch {
		case v.has("token") && v.has("username"):
			return nil, &fieldError{"token", "is there as well as username; give one of them"}
		case v.has("username") != v.has("password"):
			return nil, &fieldError{"username", "goes with a password"}
		case v.has("token"):
			n.header.Set("Authorization", "Bearer "+v.text("token"))
		case v.has("username"):
			n.header.Set("Authorization", basicAuth(v.text("username"), v.text("password")))
		}
		return n, nil
	},
}

type ntfyTopic struct {
	url, topic string
	header     http.Header
}

// maxNtfy is the server's limit in bytes; a longer message becomes a file.
const maxNtfy = 4096

func (n ntfyTopic) deliver(ctx context.Context, w *wire, p *parcel) error {
	message := map[string]any{"topic": n.topic, "message": p.cutTo(cutBytes, p.plain(), maxNtfy)}
	if p.Title != "" {
		message["title"] = p.Title
	}
	if p.Priority != 0 {
		message["priority"] = int(p.Priority)
	}
	if len(p.Tags) > 0 {
		message["tags"] = p.Tags
	}
	if p.Format == Markdown {
		message["markdown"] = true
	}
	a, err := w.postJSON(ctx, n.url, n.header, message)
	if err != nil {
		return err
	}
	var made struct {
		ID string `json:"id"`
	}
	if err := answeredJSON(a, "an ntfy server", &made); err != nil {
		return err
	}
	if made.ID == "" {
		return unexpected(a, "an ntfy server")
	}
	return nil
}

func basicAuth(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// The Matrix client-server API, v1.11: sending is a PUT under a transaction id,
// and a server that sees one twice delivers once.
var matrixBackend = backend{
	name: "matrix",
	fields: []field{
		{name: "access_token", kind: word, required: true, secret: true},
		{name: "endpoint", kind: baseURL, value: "https://matrix.org"},
		{name: "user", kind: matrixID},
		{name: "room_id", kind: roomID},
	},
	open: func(v values) (courier, error) {
		return &matrix{
			api:   strings.TrimRight(v.text("endpoint"), "/") + "/_matrix/client/v3",
			token: v.text("access_token"),
			user:  v.text("user"),
			room:  v.text("room_id"),
		}, nil
	},
}

type matrix struct{ api, token, user, room string }

// maxEvent is what the content of an event may come to as JSON. The whole event,
// with what the server adds, is refused beyond 65,536 bytes.
const maxEvent = 60 << 10

func (x *matrix) check(m Message) error {
	if m.Room == "" && x.room == "" && x.user == "" {
		return bad("room", "needed; the Matrix target has neither room_id nor user")
	}
	return nil
}

type matrixEvent struct {
	MsgType       string `json:"msgtype"`
	Body          string `json:"body"`
	Format        string `json:"format,omitempty"`
	FormattedBody string `json:"formatted_body,omitempty"`
}

func (x *matrix) deliver(ctx context.Context, w *wire, p *parcel) error {
	content, err := x.content(p)
	if err != nil {
		return err
	}
	room := p.Room
	if room == "" {
		room = x.room
	}
	if room != "" {
		id, err := x.resolve(ctx, w, room)
		if err != nil {
			return err
		}
		return x.send(ctx, w, id, p.id, content)
	}
	id, err := x.direct(ctx, w, anyRoom)
	if err != nil {
		return err
	}
	err = x.send(ctx, w, id, p.id, content)
	if no := (*refusal)(nil); errors.As(err, &no) && (no.status == http.StatusForbidden || no.status == http.StatusNotFound) {
		// The account is no longer in that room: make another, once.
		if id, err = x.direct(ctx, w, newRoom); err != nil {
			return err
		}
		return x.send(ctx, w, id, p.id, content)
	}
	return err
}

// content is the event as JSON, always small enough: an end too much is cut from
// the text, and HTML, which cannot be cut, is left out then.
func (x *matrix) content(p *parcel) ([]byte, error) {
	event := matrixEvent{MsgType: "m.text", Body: p.titled(p.plain())}
	if formatted := p.titledHTML(p.html()); formatted != "" {
		event.Format, event.FormattedBody = "org.matrix.custom.html", formatted
	}
	content, err := json.Marshal(event)
	if err != nil || len(content) <= maxEvent {
		return content, err
	}
	event.Format, event.FormattedBody = "", ""
	// In JSON a byte may become six, so that the limit is looked for by halves.
	for limit := maxEvent; ; limit = limit * 3 / 4 {
		event.Body = p.cutTo(cutBytes, p.titled(p.plain()), limit)
		if content, err = json.Marshal(event); err != nil || len(content) <= maxEvent {
			return content, err
		}
	}
}

func (x *matrix) send(ctx context.Context, w *wire, room, txn string, content []byte) error {
	path := "/rooms/" + url.PathEscape(room) + "/send/m.room.message/" + url.PathEscape(txn)
	var sent struct {
		EventID string `json:"event_id"`
	}
	a, err := x.call(ctx, w, http.MethodPut, path, content, &sent)
	if err == nil && sent.EventID == "" {
		return unexpected(a, "a Matrix server")
	}
	return err
}

// resolve asks for the room behind an alias; an id is one already.
func (x *matrix) resolve(ctx context.Context, w *wire, room string) (string, error) {
	if room[0] != '#' {
		return room, nil
	}
	var found struct {
		RoomID string `json:"room_id"`
	}
	a, err := x.call(ctx, w, http.MethodGet, "/directory/room/"+url.PathEscape(room), nil, &found)
	if err == nil && found.RoomID == "" {
		return "", unexpected(a, "a Matrix server")
	}
	return found.RoomID, err
}

// call makes one call of the API. All that are made here but creating a room do
// the same when they are made twice.
func (x *matrix) call(ctx context.Context, w *wire, method, path string, content []byte, object any) (answer, error) {
	header := jsonHeader(http.Header{"Authorization": {"Bearer " + x.token}})
	a, err := w.do(ctx, call{method, x.api + path, header, content, method != http.MethodPost})
	if err != nil {
		return a, err
	}
	return a, answeredJSON(a, "a Matrix server", object)
}

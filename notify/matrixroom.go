package notify

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"
)

// rooms remembers the direct rooms that were found or made. Losing one costs two
// questions to the server, so that a full table is simply emptied.
type rooms struct {
	mu    sync.Mutex // guards known
	known map[roomKey]string
}

type roomKey struct{ api, token, user string }

const maxRooms = 4096

func (r *rooms) get(key roomKey) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[key]
}

func (r *rooms) put(key roomKey, room string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil || len(r.known) >= maxRooms {
		r.known = map[roomKey]string{}
	}
	r.known[key] = room
}

func (x *matrix) roomKey() roomKey { return roomKey{x.api, x.token, x.user} }

// which says whether a room that is known will do.
type which bool

const (
	anyRoom which = false
	newRoom which = true
)

// direct is the room in which the account of the token talks to `user`: the one
// remembered here, the one the account itself remembers (m.direct in its account
// data, so that a restart of the relay makes no second room), or a new one. Only
// one message of a target is under way at a time, so that two never make two.
func (x *matrix) direct(ctx context.Context, w *wire, wanted which) (string, error) {
	if room := w.rooms.get(x.roomKey()); room != "" && wanted == anyRoom {
		return room, nil
	}
	self, known, err := x.account(ctx, w)
	if err != nil {
		return "", err
	}
	if of := known[x.user]; len(of) > 0 && wanted == anyRoom {
		room := of[len(of)-1]
		w.rooms.put(x.roomKey(), room)
		return room, nil
	}
	return x.makeDirect(ctx, w, self, known)
}

// account asks who the token is, and which direct rooms the account has by user.
func (x *matrix) account(ctx context.Context, w *wire) (self string, known map[string][]string, err error) {
	var who struct {
		UserID string `json:"user_id"`
	}
	a, err := x.call(ctx, w, http.MethodGet, "/account/whoami", nil, &who)
	if err != nil {
		return "", nil, err
	}
	if who.UserID == "" {
		return "", nil, unexpected(a, "a Matrix server")
	}
	if who.UserID == x.user {
		return "", nil, errors.New("user is the account of access_token itself; set room_id, or user to whoever is to be told")
	}
	_, err = x.call(ctx, w, http.MethodGet, accountData(who.UserID), nil, &known)
	if no := (*refusal)(nil); errors.As(err, &no) && no.status == http.StatusNotFound {
		return who.UserID, map[string][]string{}, nil
	}
	if known == nil {
		known = map[string][]string{}
	}
	return who.UserID, known, err
}

func accountData(self string) string {
	return "/user/" + url.PathEscape(self) + "/account_data/m.direct"
}

// makeDirect makes the room and writes it into the account's data.
func (x *matrix) makeDirect(ctx context.Context, w *wire, self string, known map[string][]string) (string, error) {
	wish, err := json.Marshal(map[string]any{
		"is_direct": true, "invite": []string{x.user}, "preset": "trusted_private_chat",
	})
	if err != nil {
		return "", err
	}
	var made struct {
		RoomID string `json:"room_id"`
	}
	a, err := x.call(ctx, w, http.MethodPost, "/createRoom", wish, &made)
	if err != nil {
		return "", err
	}
	if made.RoomID == "" {
		return "", unexpected(a, "a Matrix server")
	}
	w.rooms.put(x.roomKey(), made.RoomID)
	if known[x.user] = append(known[x.user], made.RoomID); len(known[x.user]) > 16 {
		known[x.user] = slices.Delete(known[x.user], 0, len(known[x.user])-16)
	}
	all, err := json.Marshal(known)
	if err != nil {
		return "", err
	}
	// The message matters more than the account's own note of the room.
	_, _ = x.call(ctx, w, http.MethodPut, accountData(self), all, &struct{}{})
	return made.RoomID, nil
}

package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
)

// A Hook is a channel that the relay has made, and what opens it.
type Hook struct {
	Channel string `json:"channel"`
	Secret  string `json:"secret"`
}

// HookWord is what channels and secrets are made of. They are checked, for a shell
// may evaluate them.
var HookWord = regexp.MustCompile(`^[0-9A-Za-z-]{1,256}$`)

// MakeHook has the relay make a hook: h, to which only its secret can send, or r, from
// which only its secret can receive.
func (c *Client) MakeHook(ctx context.Context, space string) (Hook, error) {
	var h Hook
	resp, err := c.Do(ctx, Call{Method: http.MethodGet, Path: "/" + space})
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&h)
	if err != nil || !HookWord.MatchString(h.Channel) || !HookWord.MatchString(h.Secret) {
		return Hook{}, c.NoRelay()
	}
	return h, nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/urfave/cli/v2"
)

func getHookCommand() *cli.Command {
	return &cli.Command{
		Name:      "get-hook",
		Usage:     "make a new channel and its secret",
		UsageText: "patchwork get-hook [--json] h|r",
		Description: "h is a forward hook: whoever has the secret sends, everybody may receive.\n" +
			"r is a reverse hook: everybody may send, whoever has the secret receives.\n" +
			"The answer is two lines for the shell: eval \"$(patchwork get-hook h)\" sets $channel and $secret.",
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write a JSON object"}}, serverFlags()...),
		Action: clientAction(getHook),
	}
}

// A hook is a channel that the relay has made, and what opens it.
type hook struct {
	Channel string `json:"channel"`
	Secret  string `json:"secret"`
}

// hookWord is what channels and secrets are made of. They are checked, for a shell
// may evaluate them.
var hookWord = regexp.MustCompile(`^[0-9A-Za-z-]{1,256}$`)

func (c *client) makeHook(ctx context.Context, space string) (hook, error) {
	var h hook
	resp, err := c.do(ctx, call{method: http.MethodGet, path: "/" + space})
	if err != nil {
		return h, err
	}
	defer resp.Body.Close()
	err = json.NewDecoder(io.LimitReader(resp.Body, 4<<10)).Decode(&h)
	if err != nil || !hookWord.MatchString(h.Channel) || !hookWord.MatchString(h.Secret) {
		return hook{}, fmt.Errorf("%s does not answer as a relay does; look at PATCHWORK_SERVER", c.base)
	}
	return h, nil
}

func getHook(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 1, 1)
	if err != nil {
		return err
	}
	if args[0] != "h" && args[0] != "r" {
		return usagef("get-hook: %q is no sort of hook; there are h and r", args[0])
	}
	h, err := cl.makeHook(c.Context, args[0])
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(cl.stdout).Encode(h)
	}
	_, err = fmt.Fprintf(cl.stdout, "channel=%s\nsecret=%s\n", h.Channel, h.Secret)
	return err
}

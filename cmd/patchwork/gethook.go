package main

import (
	"encoding/json"
	"fmt"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func getHookCommand() *cli.Command {
	return &cli.Command{
		Name:      "get-hook",
		Usage:     "make a new channel and its secret",
		UsageText: "patchwork get-hook [--json] h|r",
		Description: "h is a forward hook: whoever has the secret sends, everybody may receive.\n" +
			"r is a reverse hook: everybody may send, whoever has the secret receives.\n" +
			"The answer is two lines for the shell: eval \"$(patchwork get-hook h)\" sets $channel and $secret.",
		Flags:  append([]cli.Flag{&cli.BoolFlag{Name: "json", Usage: "write a JSON object"}}, client.ServerFlags()...),
		Action: client.Action(getHook),
	}
}

func getHook(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 1, 1)
	if err != nil {
		return err
	}
	if args[0] != "h" && args[0] != "r" {
		return cmdline.Usagef("get-hook: %q is no sort of hook; there are h and r", args[0])
	}
	h, err := cl.MakeHook(c.Context, args[0])
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return json.NewEncoder(cl.Stdout).Encode(h)
	}
	_, err = fmt.Fprintf(cl.Stdout, "channel=%s\nsecret=%s\n", h.Channel, h.Secret)
	return err
}

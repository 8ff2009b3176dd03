package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func notifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "notify",
		Usage:     "send a notification through a user's services",
		UsageText: "patchwork notify [--user USER] [-t TOKEN] [--type plain|markdown|html] [--title TITLE] [--room ROOM] [MESSAGE]",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`USER` whose services are used", DefaultText: "$PATCHWORK_USER"},
			&cli.StringFlag{Name: "type", Value: "plain", Usage: "`TYPE` of MESSAGE: plain, markdown or html"},
			&cli.StringFlag{Name: "title", Usage: "`TITLE` of the notification"},
			&cli.StringFlag{Name: "room", Usage: "`ROOM` it goes to, where the service has rooms"},
		}, client.ServerFlags()...),
		Action: client.Action(notifyUser),
	}
}

// longestMessage is how long a notification from standard input may be.
const longestMessage = 1 << 20

func notifyUser(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 0, 1)
	if err != nil {
		return err
	}
	user := cmdline.FirstOf(c.String("user"), os.Getenv("PATCHWORK_USER"))
	if user == "" {
		return cmdline.Usagef("notify: say whose services are meant with --user, or set PATCHWORK_USER")
	}
	if strings.Contains(user, "/") {
		return cmdline.Usagef("notify: %q is no name of a user", user)
	}
	switch c.String("type") {
	case "plain", "markdown", "html":
	default:
		return cmdline.Usagef("--type %q is none of plain, markdown and html", c.String("type"))
	}
	body, _, done, err := input(cl, args, "")
	if err != nil {
		return err
	}
	defer done()
	text, err := io.ReadAll(io.LimitReader(body, longestMessage+1))
	if err != nil {
		return err
	}
	if len(text) > longestMessage {
		return fmt.Errorf("the message is longer than %s; share a file instead", cmdline.Sized(longestMessage))
	}
	m := map[string]string{"type": c.String("type"), "title": c.String("title"), "room": c.String("room"), "message": string(text)}
	for name, value := range m {
		if value == "" {
			delete(m, name)
		}
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return err
	}
	resp, err := cl.Do(c.Context, client.Call{
		Method: http.MethodPost, Path: "/u/" + client.Escaped(user) + "/_/ntfy", Header: http.Header{"Content-Type": {"application/json"}},
		Body: bytes.NewReader(payload), Size: int64(len(payload)),
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

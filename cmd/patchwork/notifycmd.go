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
		}, serverFlags()...),
		Action: clientAction(notifyUser),
	}
}

// longestMessage is how long a notification from standard input may be.
const longestMessage = 1 << 20

func notifyUser(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 0, 1)
	if err != nil {
		return err
	}
	user := firstOf(c.String("user"), os.Getenv("PATCHWORK_USER"))
	if user == "" {
		return usagef("notify: say whose services are meant with --user, or set PATCHWORK_USER")
	}
	if strings.Contains(user, "/") {
		return usagef("notify: %q is no name of a user", user)
	}
	switch c.String("type") {
	case "plain", "markdown", "html":
	default:
		return usagef("--type %q is none of plain, markdown and html", c.String("type"))
	}
	body, _, done, err := cl.input(args, "")
	if err != nil {
		return err
	}
	defer done()
	text, err := io.ReadAll(io.LimitReader(body, longestMessage+1))
	if err != nil {
		return err
	}
	if len(text) > longestMessage {
		return fmt.Errorf("the message is longer than %s; share a file instead", sized(longestMessage))
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
	resp, err := cl.do(c.Context, call{
		method: http.MethodPost, path: "/u/" + escaped(user) + "/_/ntfy", header: http.Header{"Content-Type": {"application/json"}},
		body: bytes.NewReader(payload), size: int64(len(payload)),
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

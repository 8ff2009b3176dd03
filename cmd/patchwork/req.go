package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/urfave/cli/v2"
)

func reqCommand() *cli.Command {
	return &cli.Command{
		Name:      "req",
		Usage:     "put a request to a channel's responders and write the answer",
		UsageText: "patchwork req [-X METHOD] [-n p|h|r|u] [-t TOKEN] [-H NAME:VALUE] [-f FILE] [-T SECONDS] CHANNEL[?QUERY] [DATA]",
		Description: "The method is POST when there is DATA or FILE, else GET. An answer of 400 and above is written as well;\n" +
			"its status goes to standard error, and the exit code is 1.",
		Flags: channelFlags(
			&cli.StringFlag{Name: "method", Aliases: []string{"X"}, Usage: "`METHOD` of the request", DefaultText: "GET, with data POST"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "send this `FILE`; - is standard input"},
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "`NAME:VALUE` of a header; may be repeated"},
			timeoutFlag("for the answer"),
		),
		Action: clientAction(request),
	}
}

// under puts a channel below one of the words that fix how it behaves: req/X, or
// USER/req/X in the users' namespace.
func (c *client) under(word, channel string) (path string, err error) {
	if c.space != "u" {
		return "/" + c.space + "/" + word + "/" + escaped(channel), nil
	}
	user, rest, ok := strings.Cut(channel, "/")
	if !ok || user == "" || rest == "" {
		return "", usagef("with -n u a channel is USER/CHANNEL, not %q", channel)
	}
	return "/u/" + escaped(user) + "/" + word + "/" + escaped(rest), nil
}

func request(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 1, 2)
	if err != nil {
		return err
	}
	query, err := timeoutQuery(c)
	if err != nil {
		return err
	}
	channel, asked, _ := strings.Cut(args[0], "?")
	header, err := headerFlags(c)
	if err != nil {
		return err
	}
	path, err := cl.under("req", channel)
	if err != nil {
		return err
	}
	if len(args) == 2 && c.IsSet("file") {
		return usagef("req takes DATA or -f FILE, not both")
	}
	r := call{method: http.MethodGet, path: path, query: query, asked: asked, header: header, any: true}
	if len(args) == 2 || c.IsSet("file") {
		var done func()
		if r.body, r.size, done, err = cl.input(args[1:], c.String("file")); err != nil {
			return err
		}
		defer done()
		r.method = http.MethodPost
	}
	if c.IsSet("method") {
		r.method = strings.ToUpper(c.String("method"))
	}
	resp, err := cl.do(c.Context, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := &output{w: cl.stdout}
	if _, err = io.Copy(out, resp.Body); err != nil && out.err == nil {
		return cl.errBroken(err)
	}
	if err := out.failure(); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	return nil
}

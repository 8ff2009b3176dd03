package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func reqCommand() *cli.Command {
	return &cli.Command{
		Name:      "req",
		Usage:     "put a request to a channel's responders and write the answer",
		UsageText: "patchwork req [-X METHOD] [-n p|h|r|u] [-t TOKEN] [-H NAME:VALUE] [-f FILE] [-T SECONDS] CHANNEL[?QUERY] [DATA]",
		Description: "The method is POST when there is DATA or FILE, else GET. An answer of 400 and above is written as well;\n" +
			"its status goes to standard error, and the exit code is 1.",
		Flags: client.ChannelFlags(
			&cli.StringFlag{Name: "method", Aliases: []string{"X"}, Usage: "`METHOD` of the request", DefaultText: "GET, with data POST"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "send this `FILE`; - is standard input"},
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "`NAME:VALUE` of a header; may be repeated"},
			&cli.StringFlag{Name: "timeout", Aliases: []string{"T"}, Usage: "wait this many `SECONDS` for the answer, or a duration such as 5m", DefaultText: "for a responder without end, for its answer 30"},
		),
		Action: client.Action(request),
	}
}

func request(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 1, 2)
	if err != nil {
		return err
	}
	query, err := client.TimeoutQuery(c)
	if err != nil {
		return err
	}
	channel, asked, _ := strings.Cut(args[0], "?")
	header, err := headerFlags(c)
	if err != nil {
		return err
	}
	path, err := cl.Under("req", channel)
	if err != nil {
		return err
	}
	if len(args) == 2 && c.IsSet("file") {
		return cmdline.Usagef("req takes DATA or -f FILE, not both")
	}
	r := client.Call{Method: http.MethodGet, Path: path, Query: query, Asked: asked, Header: header, Any: true}
	if len(args) == 2 || c.IsSet("file") {
		var done func()
		if r.Body, r.Size, done, err = input(cl, args[1:], c.String("file")); err != nil {
			return err
		}
		defer done()
		r.Method = http.MethodPost
	}
	if c.IsSet("method") {
		r.Method = strings.ToUpper(c.String("method"))
	}
	resp, err := cl.Do(c.Context, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := &output{w: cl.Stdout}
	if _, err = io.Copy(out, resp.Body); err != nil && out.err == nil {
		return client.Broken(err)
	}
	if err := out.failure(); err != nil {
		return err
	}
	if resp.StatusCode >= 400 {
		return fmt.Errorf("the answer is %s", resp.Status)
	}
	return nil
}

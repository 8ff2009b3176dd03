package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/urfave/cli/v2"
)

func receiveCommand() *cli.Command {
	return &cli.Command{
		Name:      "receive",
		Aliases:   []string{"sub", "get"},
		Usage:     "wait for one message, or with -k for all, and write it to standard output",
		UsageText: "patchwork receive [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-T SECONDS] [-k [--json]] CHANNEL",
		Flags: channelFlags(
			&cli.BoolFlag{Name: "keep", Aliases: []string{"k"}, Usage: "stay and write message after message; reconnect when the connection breaks"},
			&cli.BoolFlag{Name: "json", Usage: "with -k: one JSON object a line for each message, with its headers"},
			timeoutFlag("for a message"),
		),
		Action: clientAction(receive),
	}
}

func receive(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 1, 1)
	if err != nil {
		return err
	}
	query, err := timeoutQuery(c)
	if err != nil {
		return err
	}
	path := cl.path(args[0])
	if !c.Bool("keep") {
		if c.Bool("json") {
			return usagef("--json goes with -k")
		}
		return cl.copyFrom(c, call{method: http.MethodGet, path: path, query: query})
	}
	if c.IsSet("timeout") {
		return usagef("-T and -k exclude each other: one waits for one message, the other for all")
	}
	if err := cl.check(c.Context, path, ""); err != nil {
		return err
	}
	r := call{method: http.MethodGet, path: path, header: http.Header{}}
	if c.Bool("json") {
		r.header.Set("Accept", "application/x-ndjson")
	} else {
		query.Set("follow", "true")
		r.query = query
	}
	l := &link{c: cl, up: true}
	return l.hold(c.Context, path, func() error {
		if err := cl.copyFrom(c, r); err != nil {
			return err
		}
		return &linkError{"the relay ended the stream", io.EOF}
	})
}

// copyFrom writes the answer to a request to standard output.
func (c *client) copyFrom(ctx *cli.Context, r call) error {
	resp, err := c.do(ctx.Context, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := &output{w: c.stdout}
	if _, err = io.Copy(out, resp.Body); err != nil && out.err == nil {
		return c.errBroken(err)
	}
	return out.failure()
}

// output tells the errors of standard output from those of the connection.
type output struct {
	w   io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.err = errors.Join(o.err, err)
	return n, err
}

func (o *output) failure() error {
	if o.err != nil {
		return fmt.Errorf("standard output takes no more: %w", fileError(o.err))
	}
	return nil
}

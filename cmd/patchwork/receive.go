package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func receiveCommand() *cli.Command {
	return &cli.Command{
		Name:      "receive",
		Aliases:   []string{"sub", "get"},
		Usage:     "wait for one message, or with -k for all, and write it to standard output",
		UsageText: "patchwork receive [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-T SECONDS] [-k [--json]] CHANNEL",
		Flags: client.ChannelFlags(
			&cli.BoolFlag{Name: "keep", Aliases: []string{"k"}, Usage: "stay and write message after message; reconnect when the connection breaks"},
			&cli.BoolFlag{Name: "json", Usage: "with -k: one JSON object a line for each message, with its headers"},
			client.TimeoutFlag("for a message"),
		),
		Action: client.Action(receive),
	}
}

func receive(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 1, 1)
	if err != nil {
		return err
	}
	query, err := client.TimeoutQuery(c)
	if err != nil {
		return err
	}
	path := cl.Path(args[0])
	if !c.Bool("keep") {
		if c.Bool("json") {
			return cmdline.Usagef("--json goes with -k")
		}
		return copyFrom(c.Context, cl, client.Call{Method: http.MethodGet, Path: path, Query: query})
	}
	if c.IsSet("timeout") {
		return cmdline.Usagef("-T and -k exclude each other: one waits for one message, the other for all")
	}
	if err := cl.Check(c.Context, path, ""); err != nil {
		return err
	}
	r := client.Call{Method: http.MethodGet, Path: path, Header: http.Header{}}
	if c.Bool("json") {
		r.Header.Set("Accept", "application/x-ndjson")
	} else {
		query.Set("follow", "true")
		r.Query = query
	}
	l := client.NewLink(cl, "")
	return l.Hold(c.Context, path, func() error {
		if err := copyFrom(c.Context, cl, r); err != nil {
			return err
		}
		return &client.LinkError{Text: "the relay ended the stream", Cause: io.EOF}
	})
}

// copyFrom writes the answer to a request to standard output.
func copyFrom(ctx context.Context, c *client.Client, r client.Call) error {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	out := &output{w: c.Stdout}
	if _, err = io.Copy(out, resp.Body); err != nil && out.err == nil {
		return client.Broken(err)
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
		return fmt.Errorf("standard output takes no more: %w", client.FileError(o.err))
	}
	return nil
}

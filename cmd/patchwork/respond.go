package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func respondCommand() *cli.Command {
	return &cli.Command{
		Name:      "respond",
		Usage:     "answer each request of a channel with the output of a command",
		UsageText: "patchwork respond [--parallel N] [-n p|h|r|u] [-t TOKEN] CHANNEL -- COMMAND…",
		Description: "COMMAND gets the request's body as standard input and its method, path, query and headers as a CGI program does\n" +
			"(REQUEST_METHOD, REQUEST_URI, QUERY_STRING, CONTENT_TYPE, HTTP_…). Its output is the answer, streamed. It may begin\n" +
			"with CGI headers, Content-Type, Status or Location among them, and an empty line. A COMMAND that fails before\n" +
			"any output makes a 500; one that fails later cuts the answer off.",
		Flags: client.ChannelFlags(
			&cli.IntFlag{Name: "parallel", Value: 1, Usage: "answer up to `N` requests at once"},
		),
		Action: client.Action(respond),
	}
}

func respond(c *cli.Context, cl *client.Client) error {
	before, command := cmdline.Words(c)
	if len(before) != 1 || before[0] == "" || len(command) == 0 {
		return cmdline.Usagef("respond: say one CHANNEL, and a command after --; usage: %s", c.Command.UsageText)
	}
	if err := runnable(command[0]); err != nil {
		return err
	}
	workers := c.Int("parallel")
	if workers < 1 || workers > 1000 {
		return cmdline.Usagef("--parallel %d is not between 1 and 1000", workers)
	}
	path, err := cl.Under("res", before[0])
	if err != nil {
		return err
	}
	if err := cl.Check(c.Context, path, ""); err != nil {
		return err
	}
	l := client.NewLink(cl, "")
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	var wait sync.WaitGroup
	failed := make(chan error, workers)
	for range workers {
		wait.Go(func() {
			r := responder{c: cl, path: path, command: command}
			if err := l.Hold(ctx, path, func() error { return r.one(ctx) }); err != nil {
				failed <- err
				cancel() // what is final for one is final for all
			}
		})
	}
	wait.Wait()
	return <-failed
}

// A responder answers one request after another.
type responder struct {
	c       *client.Client
	path    string
	command []string
}

// one takes a request and answers it. What goes wrong with that request alone is
// said and over; an error is about the connection.
func (r *responder) one(ctx context.Context) error {
	asked, err := r.c.Do(ctx, client.Call{Method: http.MethodGet, Path: r.path})
	if err != nil {
		return err
	}
	defer asked.Body.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	run := exec.Command(r.command[0], r.command[1:]...)
	run.Env = append(os.Environ(), cgi(asked.Header)...)
	run.Stderr = r.c.Stderr
	stdin, err := run.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := run.StdoutPipe()
	if err != nil {
		return err
	}
	stop, err := startGroup(ctx, run, stdout)
	if err != nil {
		r.c.Say("%v", err)
		return r.answer(ctx, asked.Header, http.Header{"Patch-Status": {"500"}}, strings.NewReader("the command cannot be run\n"))
	}
	defer stop()
	var reading sync.WaitGroup
	reading.Go(func() {
		io.Copy(stdin, asked.Body) //nolint:errcheck // a command need not read it all; a request that breaks off ends it
		stdin.Close()
	})
	out := newAnswerBody(stdout, run.Wait)
	header, begun, err := out.head()
	answer := io.Reader(out)
	switch {
	case err != nil:
		r.c.Say("%s: %v", r.command[0], err)
		header = http.Header{"Patch-Status": {"500"}}
		answer = strings.NewReader("the command failed\n")
	case !begun:
		if err := out.end(); err != nil {
			r.c.Say("%s: %v", r.command[0], err)
			header.Set("Patch-Status", "500")
			answer = strings.NewReader("the command failed\n")
		}
	}
	err = r.answer(ctx, asked.Header, header, answer)
	if ended := out.failed(); begun && ended != nil && ctx.Err() == nil {
		r.c.Say("%s: %v; its answer was cut off", r.command[0], ended)
		err = nil
	}
	if out.ended() {
		stop() // what it has left running is meant to run
	}
	cancel()
	asked.Body.Close()
	out.end() //nolint:errcheck // it was said, or it was stopped from here
	reading.Wait()
	return err
}

// answer posts the answer to the request that header came with. That its
// requester is gone is that one's business.
func (r *responder) answer(ctx context.Context, asked, header http.Header, body io.Reader) error {
	header.Set("Patch-Reply", asked.Get("Patch-Reply"))
	resp, err := r.c.Do(ctx, client.Call{Method: http.MethodPost, Path: r.path, Header: header, Body: body, Size: -1})
	var answer *client.AnswerError
	var command *client.SourceError
	switch {
	case errors.As(err, &answer) && (answer.Status == http.StatusGone || answer.Status == http.StatusBadGateway || answer.Status == http.StatusBadRequest):
		r.c.Say("a requester did not get its answer: %v", err)
		return nil
	case errors.As(err, &command):
		return nil // said by one
	case err != nil:
		return err
	}
	return resp.Body.Close()
}

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/http/httpguts"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func sendCommand() *cli.Command {
	return &cli.Command{
		Name:      "send",
		Aliases:   []string{"pub", "publish"},
		Usage:     "send one message: DATA, a file, or standard input",
		UsageText: "patchwork send [-m queue|pubsub] [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-f FILE] [-T SECONDS] CHANNEL [DATA]",
		Flags: client.ChannelFlags(
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "queue", Usage: "`MODE`: queue (one receiver, waits for it) or pubsub (all who listen, waits for nobody)"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "send this `FILE`; - is standard input"},
			client.TimeoutFlag("for a receiver"),
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "`NAME:VALUE` that the receiver gets as a header; may be repeated"},
		),
		Action: client.Action(send),
	}
}

// headerFlags are the headers of -H, marked so that they pass.
func headerFlags(c *cli.Context) (http.Header, error) {
	h := http.Header{}
	for _, line := range c.StringSlice("header") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, cmdline.Usagef("-H %q is not NAME:VALUE", line)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, cmdline.Usagef("-H %q is no header: a name has no spaces, and a value no control characters", line)
		}
		h.Add("Patch-H-"+name, value)
	}
	return h, nil
}

func send(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 1, 2)
	if err != nil {
		return err
	}
	query, err := client.TimeoutQuery(c)
	if err != nil {
		return err
	}
	header, err := headerFlags(c)
	if err != nil {
		return err
	}
	mode := c.String("mode")
	switch mode {
	case "queue":
	case "pubsub":
		query.Set("pubsub", "true")
	default:
		return cmdline.Usagef("-m %q is no mode; there are queue and pubsub", mode)
	}
	if len(args) == 2 && c.IsSet("file") {
		return cmdline.Usagef("send takes DATA or -f FILE, not both")
	}
	body, size, done, err := input(cl, args[1:], c.String("file"))
	if err != nil {
		return err
	}
	defer done()
	resp, err := cl.Do(c.Context, client.Call{Method: http.MethodPost, Path: cl.Path(args[0]), Query: query, Header: header, Body: body, Size: size})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if mode == "pubsub" && resp.Header.Get("Patch-Delivered") == "0" {
		cl.Say("nobody was listening")
	}
	return nil
}

// input is what a command sends: its argument, a file, or standard input. size is
// -1 when it is not known; done has to be called.
func input(c *client.Client, data []string, file string) (body io.Reader, size int64, done func(), err error) {
	done = func() {}
	switch {
	case len(data) > 0:
		return strings.NewReader(data[0]), int64(len(data[0])), done, nil
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, 0, nil, client.FileError(err)
		}
		info, err := f.Stat()
		if err == nil && info.IsDir() {
			err = fmt.Errorf("%s is a directory; 'patchwork share' sends those", file)
		}
		if err != nil {
			f.Close()
			return nil, 0, nil, err
		}
		size = -1
		var from io.Reader = f
		if info.Mode().IsRegular() {
			size = info.Size()
			from = client.Exactly(f, size, file)
		}
		return client.Source(from), size, func() { f.Close() }, nil
	}
	if cmdline.Terminal(c.Stdin) {
		c.Say("type the message; Ctrl-D at the start of a line ends it")
	}
	return client.Source(c.Stdin), -1, done, nil
}

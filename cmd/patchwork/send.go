package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/term"
)

func sendCommand() *cli.Command {
	return &cli.Command{
		Name:      "send",
		Aliases:   []string{"pub", "publish"},
		Usage:     "send one message: DATA, a file, or standard input",
		UsageText: "patchwork send [-m queue|pubsub] [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-f FILE] [-T SECONDS] CHANNEL [DATA]",
		Flags: channelFlags(
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "queue", Usage: "`MODE`: queue (one receiver, waits for it) or pubsub (all who listen, waits for nobody)"},
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "send this `FILE`; - is standard input"},
			timeoutFlag("for a receiver"),
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "`NAME:VALUE` that the receiver gets as a header; may be repeated"},
		),
		Action: clientAction(send),
	}
}

// timeoutFlag is -T, which bounds a wait.
func timeoutFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "timeout", Aliases: []string{"T"}, Usage: "wait this many `SECONDS` " + what + ", or a duration such as 5m", DefaultText: "without end"}
}

// timeoutQuery is what -T makes of a request.
func timeoutQuery(c *cli.Context) (url.Values, error) {
	told := c.String("timeout")
	if told == "" {
		return url.Values{}, nil
	}
	d, err := time.ParseDuration(told)
	if err != nil {
		d, err = time.ParseDuration(told + "s")
	}
	if err != nil || d <= 0 {
		return nil, usagef("-T %q is no number of seconds above 0", told)
	}
	return url.Values{"timeout": {d.String()}}, nil
}

// headerFlags are the headers of -H, marked so that they pass.
func headerFlags(c *cli.Context) (http.Header, error) {
	h := http.Header{}
	for _, line := range c.StringSlice("header") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usagef("-H %q is not NAME:VALUE", line)
		}
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, usagef("-H %q is no header: a name has no spaces, and a value no control characters", line)
		}
		h.Add("Patch-H-"+name, value)
	}
	return h, nil
}

func send(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 1, 2)
	if err != nil {
		return err
	}
	query, err := timeoutQuery(c)
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
		return usagef("-m %q is no mode; there are queue and pubsub", mode)
	}
	if len(args) == 2 && c.IsSet("file") {
		return usagef("send takes DATA or -f FILE, not both")
	}
	body, size, done, err := cl.input(args[1:], c.String("file"))
	if err != nil {
		return err
	}
	defer done()
	resp, err := cl.do(c.Context, call{method: http.MethodPost, path: cl.path(args[0]), query: query, header: header, body: body, size: size})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if mode == "pubsub" && resp.Header.Get("Patch-Delivered") == "0" {
		cl.say("nobody was listening")
	}
	return nil
}

// input is what a command sends: its argument, a file, or standard input. size is
// -1 when it is not known; done has to be called.
func (c *client) input(data []string, file string) (body io.Reader, size int64, done func(), err error) {
	done = func() {}
	switch {
	case len(data) > 0:
		return strings.NewReader(data[0]), int64(len(data[0])), done, nil
	case file != "" && file != "-":
		f, err := os.Open(file)
		if err != nil {
			return nil, 0, nil, fileError(err)
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
			from = &exact{r: f, left: size, name: file}
		}
		return source{from}, size, func() { f.Close() }, nil
	}
	if terminal(c.stdin) {
		c.say("type the message; Ctrl-D at the start of a line ends it")
	}
	return source{c.stdin}, -1, done, nil
}

// terminal tells whether a stream is one.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// exact reads as many bytes as a file had when it was looked at. A file that has
// become shorter is an error; what was added to it is left out.
type exact struct {
	r    io.Reader
	left int64
	name string
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = fmt.Errorf("%s became shorter while it was sent; send it again when nobody writes to it", e.name)
	}
	if e.left == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

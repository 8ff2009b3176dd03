package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/http/httpguts"

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
	if _, err := exec.LookPath(command[0]); err != nil {
		return cmdline.Usagef("respond: %q cannot be run: %v", command[0], err)
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

// maxCGI is how long the headers may be that an output begins with.
const maxCGI = 16 << 10

// answerBody is the output of a command. Its end is an error when the command
// fails, so that the answer is cut and not ended.
type answerBody struct {
	out  *bufio.Reader
	wait func() error
	once sync.Once
	err  error

	mu   sync.Mutex // guards the rest
	seen error
	over bool
}

func (a *answerBody) Read(p []byte) (int, error) {
	n, err := a.out.Read(p)
	if n == 0 && err != nil {
		if failed := a.end(); failed != nil {
			a.mu.Lock()
			a.seen = failed
			a.mu.Unlock()
			return 0, &client.SourceError{Err: failed}
		}
		return 0, io.EOF
	}
	return n, nil
}

// newAnswerBody reads a command's output from out; wait returns how it ended.
func newAnswerBody(out io.Reader, wait func() error) *answerBody {
	return &answerBody{out: bufio.NewReaderSize(out, maxCGI), wait: wait}
}

// failed is how the command failed while its output was read, nil if it did not.
func (a *answerBody) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}

// end waits for the command, which has nothing more to say.
func (a *answerBody) end() error {
	a.once.Do(func() {
		a.err = a.wait()
		a.mu.Lock()
		a.over = true
		a.mu.Unlock()
	})
	return a.err
}

// ended tells whether the command has ended, and not only its output.
func (a *answerBody) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.over
}

// head takes the CGI headers off the beginning of the output, where there are
// any. begun is false when the command ended without output.
// An error is about a header that cannot be sent.
func (a *answerBody) head() (header http.Header, begun bool, err error) {
	header = http.Header{}
	if _, err := a.out.Peek(1); err != nil {
		return header, false, nil //nolint:nilerr // how the command ended, its end says
	}
	var found http.Header
	size := 0
	for n := 1; ; n = a.out.Buffered() + 1 {
		seen, err := a.out.Peek(max(n, a.out.Buffered()))
		block, whole, possible := cgiBlock(seen)
		if whole {
			found, size = block, len(seen)-len(afterBlock(seen))
			break
		}
		if !possible || err != nil {
			return header, true, nil //nolint:nilerr // what is there goes out
		}
	}
	if found.Get("Content-Type") == "" && found.Get("Status") == "" && found.Get("Location") == "" {
		return header, true, nil // a text that looks like headers
	}
	a.out.Discard(size) //nolint:errcheck // it was peeked at
	for name, values := range found {
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return header, true, fmt.Errorf("its header %s has characters that no header can carry: %.60q", name, v)
			}
		}
		switch name {
		case "Status":
			code, _, _ := strings.Cut(strings.TrimSpace(values[0]), " ")
			header.Set("Patch-Status", code)
		case "Content-Type":
			header.Set(name, values[0])
		default:
			header["Patch-H-"+name] = values
		}
	}
	if found.Get("Location") != "" && found.Get("Status") == "" {
		header.Set("Patch-Status", "302")
	}
	return header, true, nil
}

// cgiBlock reads the lines up to the first empty one as headers. whole is true
// when that is there, possible is false when what is there are no headers.
func cgiBlock(seen []byte) (h http.Header, whole, possible bool) {
	h = http.Header{}
	rest := seen
	for {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		if !ended {
			return h, false, len(seen) < maxCGI && headerName(line, false)
		}
		if len(line) == 0 {
			return h, len(h) > 0, len(h) > 0
		}
		if !headerName(line, true) {
			return h, false, false
		}
		name, value, _ := strings.Cut(string(line), ":")
		h.Add(textproto.CanonicalMIMEHeaderKey(name), strings.TrimSpace(value))
		rest = after
	}
}

// afterBlock is what follows the first empty line.
func afterBlock(seen []byte) []byte {
	rest := seen
	for {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		if len(bytes.TrimSuffix(line, []byte("\r"))) == 0 {
			return after
		}
		rest = after
	}
}

// headerName tells whether a line begins with a header's name and its colon, or,
// when it is not whole, whether it could.
func headerName(line []byte, whole bool) bool {
	name, _, colon := bytes.Cut(line, []byte(":"))
	if !colon && whole || colon && len(name) == 0 {
		return false
	}
	for _, b := range name {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '_') {
			return false
		}
	}
	return true
}

// cgi are the variables of a CGI program (RFC 3875) for a request.
func cgi(h http.Header) []string {
	uri := h.Get("Patch-Uri")
	path, query, _ := strings.Cut(uri, "?")
	if plain, err := url.PathUnescape(path); err == nil {
		path = plain
	}
	env := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_PROTOCOL=HTTP/1.1", "SERVER_SOFTWARE=patchwork",
		"REQUEST_METHOD=" + h.Get("Patch-Method"), "REQUEST_URI=" + uri, "SCRIPT_NAME=" + path, "PATH_INFO=",
		"QUERY_STRING=" + query, "CONTENT_TYPE=" + h.Get("Content-Type"), "PATCH_REPLY=" + h.Get("Patch-Reply"),
	}
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		env = append(env, fmt.Sprintf("CONTENT_LENGTH=%d", n))
	}
	for name, values := range h {
		bare, ok := strings.CutPrefix(name, "Patch-H-")
		if !ok || bare == "Proxy" { // HTTP_PROXY would be an order to the command's own requests
			continue
		}
		variable := []byte("HTTP_" + strings.ToUpper(bare))
		for i, b := range variable {
			if !(b >= 'A' && b <= 'Z' || b >= '0' && b <= '9') {
				variable[i] = '_'
			}
		}
		env = append(env, string(variable)+"="+strings.Join(values, ", "))
	}
	return env
}

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

func listenCommand() *cli.Command {
	return &cli.Command{
		Name:      "listen",
		Usage:     "show messages that begin with a magic word, or run a command for each",
		UsageText: "patchwork listen [-m MAGIC] [-n p|h|r|u] [-s SECRET] [-t TOKEN] CHANNEL [-- COMMAND…]",
		Description: "The rest of each message that begins with MAGIC goes to standard output as a line, and to\n" +
			"COMMAND's standard input; without COMMAND, to notify-send where there is one.",
		Flags: client.ChannelFlags(
			&cli.StringFlag{Name: "magic", Aliases: []string{"m"}, Value: "notify", Usage: "`MAGIC` word that messages have to begin with"},
		),
		Action: client.Action(listenTo),
	}
}

// shown is text as a terminal may have it: what it would take for orders is not
// shown as such. Elsewhere it passes untouched.
func shown(out any, text []byte) []byte {
	if !cmdline.Terminal(out) {
		return text
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		for j, cell := range cells {
			cells[j] = cmdline.Printable(cell)
		}
		lines[i] = strings.Join(cells, "\t")
	}
	return []byte(strings.Join(lines, "\n"))
}

// longestNotice is how long a message may be that is shown: it is held whole.
const longestNotice = 1 << 20

func listenTo(c *cli.Context, cl *client.Client) error {
	before, command := cmdline.Words(c)
	if len(before) == 0 && command != nil && len(command) > 0 {
		return cmdline.Usagef("listen: there is no CHANNEL before the --; usage: %s", c.Command.UsageText)
	}
	if len(before) != 1 || before[0] == "" {
		return cmdline.Usagef("listen: say one CHANNEL, and a command after --; usage: %s", c.Command.UsageText)
	}
	if command != nil && len(command) == 0 {
		return cmdline.Usagef("listen: there is no command after the --")
	}
	if command == nil {
		if path, err := exec.LookPath("notify-send"); err == nil {
			command = []string{path, "--"}
		}
	} else if err := runnable(command[0]); err != nil {
		return err
	}
	show := func(text []byte) error {
		rest, ok := bytes.CutPrefix(text, []byte(c.String("magic")))
		if !ok {
			return nil
		}
		rest = append(bytes.TrimRight(bytes.TrimLeft(rest, " "), "\r\n"), '\n')
		if _, err := cl.Stdout.Write(shown(cl.Stdout, rest)); err != nil {
			return fmt.Errorf("standard output takes no more: %w", err)
		}
		if command == nil {
			return nil
		}
		run := exec.Command(command[0], command[1:]...)
		if _, told := cmdline.Words(c); told == nil {
			run.Args = append(run.Args, strings.TrimSuffix(string(rest), "\n"))
		}
		run.WaitDelay = stopDelay
		run.Stdin, run.Stdout, run.Stderr = bytes.NewReader(rest), cl.Stdout, cl.Stderr
		run.Env = append(os.Environ(), "PATCHWORK_CHANNEL="+before[0])
		stop, err := startGroup(c.Context, run, nil)
		if err == nil {
			err = run.Wait()
			stop()
		}
		if err != nil && c.Context.Err() == nil {
			cl.Say("%s: %v", command[0], err) // the next message may be one it can do something with
		}
		return nil
	}

	path := cl.Path(before[0])
	if err := cl.Check(c.Context, path, ""); err != nil {
		return err
	}
	l := client.NewLink(cl, "")
	return l.Hold(c.Context, path, func() error {
		resp, err := cl.Do(c.Context, client.Call{Method: http.MethodGet, Path: path, Header: http.Header{"Accept": {"application/x-ndjson"}}})
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return eachMessage(cl, resp.Body, show)
	})
}

// eachMessage calls do with every whole message of a stream of JSON lines. A
// message that was cut is left out, and so is one too long to be held.
func eachMessage(c *client.Client, r io.Reader, do func([]byte) error) error {
	lines := bufio.NewReader(r)
	open := map[string][]byte{} // parts of unfinished messages, by id; nil: too long
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return client.Broken(err)
		}
		var line struct {
			ID     string
			Body   *string
			Base64 *string `json:"body_base64"`
			Part   int
			End    bool
			Cut    bool
		}
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("%s does not answer as a relay does: %w", c.Base, err)
		}
		var body []byte
		switch {
		case line.Body != nil:
			body = []byte(*line.Body)
		case line.Base64 != nil:
			if body, err = base64.StdEncoding.DecodeString(*line.Base64); err != nil {
				return fmt.Errorf("%s does not answer as a relay does: %w", c.Base, err)
			}
		}
		if line.Part > 0 {
			held, known := open[line.ID]
			if (!known && line.Part > 1) || (known && held == nil) || len(held)+len(body) > longestNotice {
				held = nil // its beginning was missed, or it is too long
			} else {
				held = append(append([]byte{}, held...), body...)
			}
			open[line.ID] = held
			if !line.End && !line.Cut {
				continue
			}
			delete(open, line.ID)
			if body = held; held == nil {
				c.Say("left out a message that is too long or whose beginning was missed")
				continue
			}
		}
		if line.Cut {
			continue
		}
		if err := do(body); err != nil {
			return err
		}
	}
}

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/httpfront"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// aclCommand is 'patchwork acl': what a relay would make of a user's rules, told
// without one. It reads the file and nothing else.
func aclCommand() *cli.Command {
	return &cli.Command{
		Name:      "acl",
		Usage:     "check a user's rules before a relay reads them",
		UsageText: "patchwork acl check FILE\npatchwork acl can FILE [--token TOKEN | --key KEY] ACTION PATH",
		Subcommands: []*cli.Command{
			{
				Name:            "check",
				HideHelpCommand: true,
				Usage:           "tell whether a relay would take the file, or where its first mistake is",
				UsageText:       "patchwork acl check FILE        (- is the standard input)",
				OnUsageError:    plainUsage,
				Action:          checkRules,
			},
			{
				Name:            "can",
				HideHelpCommand: true,
				Usage:           "tell what a token or key may do, and the rule that decides",
				UsageText: "patchwork acl can FILE [--token TOKEN | --key KEY] ACTION PATH\n\n" +
					"ACTION is a method (GET, POST, PUT, DELETE, PATCH) or one of receive, send, answer,\n" +
					"forward, tunnel, admin. PATH is what follows /u/USER, for forward HOST:PORT, for tunnel\n" +
					"the prefix. Without a token or key it is about requests that bring none.\n" +
					"Exit 0: allowed, 1: denied, 2: there is no answer.",
				OnUsageError: plainUsage,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "token", Usage: "`TOKEN` as a client would send it"},
					&cli.StringFlag{Name: "key", Usage: "`KEY` in a file (id_ed25519.pub), or SHA256:… as ssh-keygen -l prints it"},
				},
				Action: canRules,
			},
		},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return cmdline.Usagef("unknown command \"acl %s\"; there are check and can", name)
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

func checkRules(c *cli.Context) error {
	args, err := anywhere(c)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return cmdline.Usagef("acl check takes one file; see 'patchwork acl check --help'")
	}
	data, err := readRules(c, args[0])
	if err != nil {
		return err
	}
	if _, err := acl.Decode(data); err != nil {
		// Without the program's name in front, as editors like it.
		fmt.Fprintln(c.App.ErrWriter, place(args[0], err))
		return cmdline.ErrSaid
	}
	fmt.Fprintf(c.App.Writer, "%s: a relay would take it\n", args[0])
	return nil
}

func canRules(c *cli.Context) error {
	args, err := anywhere(c)
	if err != nil {
		return err
	}
	if len(args) < 2 || len(args) > 3 {
		return cmdline.Usagef("acl can takes a file, an action and a path; see 'patchwork acl can --help'")
	}
	action, request, err := acl.ParseAction(args[1])
	if err != nil {
		return cmdline.Usagef("%v", err)
	}
	target := ""
	if len(args) == 3 {
		target = args[2]
	} else if action != acl.Admin {
		return cmdline.Usagef("acl can takes a path after the action; see 'patchwork acl can --help'")
	}
	if action, target, err = asServed(action, target); err != nil {
		return cmdline.Usagef("%v", err)
	}
	if c.IsSet("token") && c.IsSet("key") {
		return cmdline.Usagef("who asks brings a token or a key; give --token or --key, not both")
	}
	var key *acl.Fingerprint
	if c.IsSet("key") {
		f, err := readKey(c.String("key"))
		if err != nil {
			return cmdline.Usagef("--key: %v", err)
		}
		key = &f
	}
	data, err := readRules(c, args[0])
	if err != nil {
		return cmdline.Usagef("%v", err) // exit 1 would be an answer
	}
	rules, err := acl.Decode(data)
	if err != nil {
		return cmdline.Usagef("%s", place(args[0], err))
	}
	d := rules.Can(c.String("token"), key, action, request, target)
	fmt.Fprintln(c.App.Writer, d)
	if !d.Allowed {
		return cmdline.ErrSaid
	}
	return nil
}

// asServed translates an action on a path into what a relay would check.
func asServed(action acl.Action, path string) (acl.Action, string, error) {
	switch action {
	case acl.Receive, acl.Send, acl.Answer:
	default:
		return action, path, nil
	}
	rest := strings.TrimPrefix(path, "/")
	if endpoint, ok := strings.CutPrefix(rest, "_/"); ok {
		if httpfront.NeedsAdmin(endpoint) {
			action = acl.Admin
		}
		return action, path, nil
	}
	name, err := broker.ParseName("user/" + rest)
	if err != nil {
		return action, "", err
	}
	return action, strings.TrimPrefix(name.String(), "user"), nil
}

// readRules reads a file of rules, or one byte more than it may have.
func readRules(c *cli.Context, path string) ([]byte, error) {
	in := c.App.Reader
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, client.FileError(err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, acl.MaxDocument+1))
	if errors.Is(err, syscall.EISDIR) {
		err = fmt.Errorf("%s is a directory; name the file with the rules in it", path)
	}
	return data, err
}

// place puts the file's name and position before a mistake.
func place(path string, err error) string {
	var at *acl.DecodeError
	if errors.As(err, &at) {
		return fmt.Sprintf("%s:%d:%d: %s", path, at.Line, at.Column, cmdline.OneLine(errors.New(at.Reason)))
	}
	return path + ": " + cmdline.OneLine(err)
}

// readKey reads what --key says: a fingerprint, a public key line, or a file with
// one. The error repeats nothing of a file.
func readKey(s string) (acl.Fingerprint, error) {
	f, err := acl.ParseKey(s)
	if err == nil || strings.HasPrefix(s, "SHA256:") {
		return f, err
	}
	file, err := os.Open(s)
	if err != nil {
		return f, client.FileError(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return f, err
	}
	if f, err = acl.ParseKey(string(bytes.TrimSpace(data))); err != nil {
		return f, fmt.Errorf("%s does not hold one public key; is it the one that ends in .pub?", s)
	}
	return f, nil
}

// anywhere returns the command's words and takes the flags between and after
// them; the library looks for flags only before.
func anywhere(c *cli.Context) ([]string, error) {
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, f := range c.Command.Flags {
		if name := f.Names()[0]; name != cli.HelpFlag.Names()[0] {
			flags.Func(name, "", func(value string) error { return c.Set(name, value) })
		}
	}
	var words []string
	for rest := c.Args().Slice(); len(rest) > 0; rest = flags.Args() {
		words = append(words, rest[0])
		switch err := flags.Parse(rest[1:]); {
		case errors.Is(err, flag.ErrHelp):
			return nil, cmdline.Usagef("put --help first: '%s --help'", c.Command.HelpName)
		case err != nil:
			return nil, plainUsage(c, err, true)
		}
	}
	return words, nil
}

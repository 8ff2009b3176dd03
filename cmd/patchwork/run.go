package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/bench"
	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
	"patchwork/cmd/patchwork/doctor"
	"patchwork/cmd/patchwork/transfer"
)

// The exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	// exitInterrupted is that of a client that was told to stop, as shells have it
	// for SIGINT.
	exitInterrupted = 130
)

// commands lists what the binary can do. A new command is one file and one line.
func commands() []*cli.Command {
	return []*cli.Command{
		startCommand(),
		healthcheckCommand(),
		aclCommand(),
		exposeCommand(),
		tunnelTokenCommand(),
		huproxyCommand(),
		sendCommand(),
		receiveCommand(),
		listenCommand(),
		getHookCommand(),
		reqCommand(),
		respondCommand(),
		transfer.ShareCommand(),
		transfer.DownloadCommand(),
		notifyCommand(),
		doctor.Command(),
		bench.Command(),
		completionCommand(),
		manCommand(),
	}
}

// run executes one command line, args[0] being the program's name, and returns
// the exit code. It blocks until the command is done or ctx ends. Data goes to
// stdout; everything said about it goes to stderr, an error as one plain line.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	app := &cli.App{
		Name:      "patchwork",
		HelpName:  "patchwork",
		Usage:     "a relay for scripts: channels by HTTP and SSH",
		Version:   cmdline.Version(),
		Commands:  commands(),
		Reader:    stdin,
		Writer:    stdout,
		ErrWriter: stderr,
		// The library would end the process; this function's caller does.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   plainUsage,
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return cmdline.Usagef("unknown command %q; 'patchwork help' lists them", name)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, command := range app.Commands {
		command.OnUsageError = plainUsage
		command.HideHelpCommand = true // 'patchwork start help' would be taken for a wish
	}

	err := app.RunContext(ctx, cmdline.FlagsFirst(app.Commands, args))
	if err == nil {
		return exitDone
	}
	if errors.Is(err, client.ErrInterrupted) {
		return exitInterrupted
	}
	if !errors.Is(err, cmdline.ErrSaid) {
		fmt.Fprintln(stderr, "patchwork: "+cmdline.OneLine(err))
	}
	if errors.As(err, new(cmdline.UsageError)) {
		return exitUsage
	}
	return exitFailed
}

// plainUsage turns the flag parser's complaint into one line, without the page
// of help that would scroll it away.
func plainUsage(c *cli.Context, err error, _ bool) error {
	what := err.Error()
	if name, ok := strings.CutPrefix(what, "flag provided but not defined: -"); ok {
		what = "unknown flag " + dashed(name)
	}
	if name, ok := strings.CutPrefix(what, "flag needs an argument: -"); ok {
		what = dashed(name) + " needs a value"
	}
	return cmdline.Usagef("%s; see '%s --help'", what, c.Command.HelpName)
}

// dashed writes a flag as people do: -k, --keep.
func dashed(name string) string {
	if name = strings.TrimPrefix(name, "-"); len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

// The exit codes of every command.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake of whoever wrote the command line, the environment or
// the configuration file. Its text is one line that names the place.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}

// errSaid is the error of a command that has said all there is to say: exit 1.
var errSaid = errors.New("said already")

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
		shareCommand(),
		downloadCommand(),
		notifyCommand(),
		doctorCommand(),
		benchCommand(),
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
		Version:   version(),
		Commands:  commands(),
		Reader:    stdin,
		Writer:    stdout,
		ErrWriter: stderr,
		// The library would end the process; this function's caller does.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   plainUsage,
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return usagef("unknown command %q; 'patchwork help' lists them", name)
			}
			return cli.ShowAppHelp(c)
		},
	}
	for _, command := range app.Commands {
		command.OnUsageError = plainUsage
		command.HideHelpCommand = true // 'patchwork start help' would be taken for a wish
	}

	err := app.RunContext(ctx, flagsFirst(app.Commands, args))
	if err == nil {
		return exitDone
	}
	if errors.Is(err, errInterrupted) {
		return exitInterrupted
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintln(stderr, "patchwork: "+oneLine(err))
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

// plainUsage turns the flag parser's complaint into one line, without the page
// of help that would scroll it away.
func plainUsage(c *cli.Context, err error, _ bool) error {
	what := err.Error()
	if name, ok := strings.CutPrefix(what, "flag provided but not defined: -"); ok {
		what = "unknown flag --" + strings.TrimPrefix(name, "-")
	}
	if name, ok := strings.CutPrefix(what, "flag needs an argument: -"); ok {
		what = "--" + strings.TrimPrefix(name, "-") + " needs a value"
	}
	return usagef("%s; see '%s --help'", what, c.Command.HelpName)
}

// oneLine keeps the promise that an error is a single line, whatever a library
// put into it.
func oneLine(err error) string {
	return printable(strings.Join(strings.Fields(err.Error()), " "))
}

// version is the module version the binary was installed at, or "(devel)".
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/urfave/cli/v2"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake of whoever wrote the command line or the environment. Its
// text is one line that names the place.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error {
	return usageError{fmt.Sprintf(format, args...)}
}

// run executes one command line, args[0] being the program's name, and returns the
// exit code. It blocks until ctx ends, unless it is asked for something else. The log
// and errors go to stderr, an error as one plain line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	if filepath.Base(args[0]) == "curl" {
		err = asCurl(ctx, args[1:], stdout)
	} else {
		err = newApp(stdout, stderr).RunContext(ctx, args)
	}
	if err == nil {
		return exitDone
	}
	fmt.Fprintln(stderr, "pipemgr: "+oneLine(err))
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}

func newApp(stdout, stderr io.Writer) *cli.App {
	healthcheck := healthcheckCommand()
	healthcheck.OnUsageError = plainUsage
	healthcheck.HideHelpCommand = true
	return &cli.App{
		Name:      "pipemgr",
		HelpName:  "pipemgr",
		Usage:     "send the logs of Docker containers to a relay",
		UsageText: "pipemgr [--flag value]…\npipemgr healthcheck [--url URL]",
		Description: "Follows all containers with the label pipemgr.enable=true. With the label pipemgr.filter=REGEX only\n" +
			"the lines that match are sent. Docker is found as the docker command finds it: DOCKER_HOST, else its socket.",
		Version:         version(),
		Flags:           flags(),
		Commands:        []*cli.Command{healthcheck},
		HideHelpCommand: true,
		Writer:          stdout,
		ErrWriter:       stderr,
		// The library would end the process; main does.
		ExitErrHandler: func(*cli.Context, error) {},
		OnUsageError:   plainUsage,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("what is %q? pipemgr takes flags only; see 'pipemgr --help'", c.Args().First())
			}
			cfg, err := resolve(c, os.Getenv)
			if err != nil {
				return err
			}
			return serve(c.Context, cfg, c.App.ErrWriter)
		},
	}
}

// plainUsage turns the flag parser's complaint into one line, without the page of
// help that would scroll it away.
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

// oneLine keeps the promise that an error is a single line, whatever a library put
// into it.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}

// version is the module version the binary was installed at, or "(devel)".
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func newLogger(cfg config, w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: cfg.logLevel}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

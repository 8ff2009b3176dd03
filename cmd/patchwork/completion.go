package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/cmdline"
	"patchwork/cmd/patchwork/doctor"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "write what makes a shell complete patchwork's commands and flags",
		UsageText: "patchwork completion bash|zsh|fish",
		Description: "bash: eval \"$(patchwork completion bash)\"\n" +
			"zsh:  eval \"$(patchwork completion zsh)\", after compinit\n" +
			"fish: patchwork completion fish | source",
		Action: func(c *cli.Context) error {
			args, err := cmdline.PlainWords(c, 1, 1)
			if err != nil {
				return err
			}
			write := map[string]func(io.Writer, []completed){"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[args[0]]
			if write == nil {
				return cmdline.Usagef("completion: %q is none of bash, zsh and fish", args[0])
			}
			out := &output{w: c.App.Writer}
			write(out, completions(c.App))
			return out.failure()
		},
	}
}

func manCommand() *cli.Command {
	return &cli.Command{
		Name:      "man",
		Usage:     "write the manual page",
		UsageText: "patchwork man > patchwork.1",
		Action: func(c *cli.Context) error {
			if _, err := cmdline.PlainWords(c, 0, 0); err != nil {
				return err
			}
			out := &output{w: c.App.Writer}
			manPage(out, c.App)
			return out.failure()
		},
	}
}

// manPage writes a page in the language of man(7). The library could, but it
// takes the underscores of names for emphasis.
func manPage(w io.Writer, app *cli.App) {
	escape := func(text string) string {
		text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "").Replace(text)
		lines := strings.Split(text, "\n")
		for i, line := range lines {
			if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
				lines[i] = `\&` + line
			}
		}
		return strings.Join(lines, "\n.br\n")
	}
	fmt.Fprintf(w, ".TH PATCHWORK 1\n.SH NAME\npatchwork \\- %s\n", escape(app.Usage))
	fmt.Fprint(w, ".SH SYNOPSIS\n.B patchwork\ncommand [flags] [arguments]\n")
	fmt.Fprint(w, ".SH DESCRIPTION\nFlags may come before or after other arguments; \\-\\- ends them. Data goes to standard output, all talk to standard error.\n")
	fmt.Fprint(w, ".SH COMMANDS\n")
	manCommands(w, app.VisibleCommands(), escape)
	fmt.Fprint(w, ".SH ENVIRONMENT\n")
	for _, v := range [][2]string{
		{"PATCHWORK_SERVER", "URL of the relay; default http://localhost:8080"},
		{"PATCHWORK_TOKEN", "token of a user"},
		{"PATCHWORK_SECRET", "secret of a hook"},
		{"PATCHWORK_USER", "user whose services notify uses"},
		{"PATCHWORK_PASSPHRASE", "passphrase of encrypted files"},
	} {
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", escape(v[0]), escape(v[1]))
	}
	fmt.Fprint(w, ".SH EXIT STATUS\n0 done, 1 failed, 2 usage, 130 interrupted\n")
}

func manCommands(w io.Writer, commands []*cli.Command, escape func(string) string) {
	for _, c := range commands {
		if len(c.VisibleCommands()) > 0 {
			manCommands(w, c.VisibleCommands(), escape)
			continue
		}
		fmt.Fprintf(w, ".SS %s\n%s\n", escape(strings.Join(c.Names(), ", ")), escape(c.Usage))
		if c.UsageText != "" {
			fmt.Fprintf(w, ".PP\n.B %s\n", strings.ReplaceAll(escape(c.UsageText), "\n.br\n", "\n.br\n.B "))
		}
		if c.Description != "" {
			fmt.Fprintf(w, ".PP\n%s\n", escape(c.Description))
		}
		for _, f := range c.VisibleFlags() {
			names, usage, _ := strings.Cut(f.String(), "\t")
			fmt.Fprintf(w, ".TP\n.B %s\n%s\n", escape(names), escape(usage))
		}
	}
}

// A completed is one command as a shell completes it.
type completed struct {
	paths []string // what may stand after the program's name: "send", "pub"; "acl can"; "" is the program itself
	group bool     // the next word is a part of the path
	flags []completedFlag
	words []completedWord // the first argument, when it is one of a few; else arguments may be files
}

type completedFlag struct {
	names []string // with their dashes
	usage string
	many  bool     // may be repeated
	value string   // what it takes, as help calls it; "" is nothing
	words []string // the values there are, when they are a fixed few
}

// file tells whether the flag's value is the name of one.
func (f completedFlag) file() bool {
	return slices.Contains([]string{"FILE", "DIR", "KEY", "KEYFILE"}, f.value)
}

type completedWord struct{ word, usage string }

// fixedWords are arguments and values that are one of a few.
var fixedWords = map[string][]string{
	"completion": {"bash", "zsh", "fish"}, "get-hook": {"h", "r"},
	"--namespace": {"p", "h", "r", "u"}, "--type": {"plain", "markdown", "html"},
	"--log-level": {"debug", "info", "warn", "error"}, "--log-format": {"text", "json"},
	"send --mode": {"queue", "pubsub"}, "share --mode": {"queue", "pubsub"},
	"bench --mode": {"queue", "pubsub"}, "bench --vs-mode": {"queue", "pubsub"},
	"doctor --proxy": append(doctor.ProxyNames(), "all"),
}

// completions are the program and its commands, from the definitions that help
// shows too.
func completions(app *cli.App) []completed {
	root := completed{paths: []string{""}, group: true, flags: completeFlags("", app.VisibleFlags())}
	all := []completed{root}
	for _, c := range app.VisibleCommands() {
		for _, name := range c.Names() {
			all[0].words = append(all[0].words, completedWord{name, c.Usage})
		}
		all = append(all, completeCommand("", c)...)
	}
	for i, c := range all {
		if c.paths[0] == "help" { // it explains all but itself
			all[i].words = slices.DeleteFunc(slices.Clone(all[0].words), func(w completedWord) bool { return slices.Contains(c.paths, w.word) })
		}
	}
	return all
}

// completeCommand is a command and those below it.
func completeCommand(above string, c *cli.Command) []completed {
	flags := c.VisibleFlags()
	if !slices.Contains(flags, cli.HelpFlag) { // it comes when the command runs
		flags = append(flags, cli.HelpFlag)
	}
	one := completed{flags: completeFlags(c.Name, flags)}
	for _, name := range c.Names() {
		one.paths = append(one.paths, above+name)
	}
	for _, word := range fixedWords[c.Name] {
		one.words = append(one.words, completedWord{word: word})
	}
	var below []completed
	for _, sub := range c.VisibleCommands() {
		one.group = true
		one.words = append(one.words, completedWord{sub.Name, sub.Usage})
		below = append(below, completeCommand(c.Name+" ", sub)...)
	}
	return append([]completed{one}, below...)
}

func completeFlags(command string, flags []cli.Flag) (all []completedFlag) {
	for _, f := range flags {
		doc, ok := f.(cli.DocGenerationFlag)
		if !ok {
			continue
		}
		flag := completedFlag{usage: strings.ReplaceAll(doc.GetUsage(), "`", "")}
		if doc.TakesValue() {
			flag.value = "VALUE"
			if parts := strings.Split(doc.GetUsage(), "`"); len(parts) > 2 {
				flag.value = parts[1]
			}
		}
		if list, ok := f.(cli.DocGenerationSliceFlag); ok {
			flag.many = list.IsSliceFlag()
		}
		for _, name := range f.Names() {
			dashed := "--" + name
			if len(name) == 1 {
				dashed = "-" + name
			}
			flag.names = append(flag.names, dashed)
			for _, key := range []string{dashed, command + " " + dashed} {
				if flag.words == nil {
					flag.words = fixedWords[key]
				}
			}
		}
		all = append(all, flag)
	}
	return all
}

// list is the words of the first argument in one text.
func (c completed) list() string {
	var all []string
	for _, w := range c.words {
		all = append(all, w.word)
	}
	return strings.Join(all, " ")
}

// groups are the commands whose next word is a command as well.
func groups(all []completed) (names []string) {
	for _, c := range all[1:] {
		if c.group {
			names = append(names, c.paths...)
		}
	}
	return names
}

package main

import (
	"fmt"
	"io"
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
		Description: "bash: . <(patchwork completion bash)\n" +
			"zsh:  . <(patchwork completion zsh), after compinit\n" +
			"fish: patchwork completion fish | source",
		Action: func(c *cli.Context) error {
			args, err := cmdline.PlainWords(c, 1, 1)
			if err != nil {
				return err
			}
			write := map[string]func(io.Writer, []*cli.Command){"bash": completeBash, "zsh": completeZsh, "fish": completeFish}[args[0]]
			if write == nil {
				return cmdline.Usagef("completion: %q is none of bash, zsh and fish", args[0])
			}
			out := &output{w: c.App.Writer}
			write(out, c.App.VisibleCommands())
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
	names []string
	usage string
	flags []completedFlag
	words []string // the arguments there are, when they are a fixed few
}

type completedFlag struct {
	names []string // with their dashes
	usage string
	takes bool
	words []string // the values there are, when they are a fixed few
}

// fixedWords are arguments and values that are one of a few.
var fixedWords = map[string][]string{
	"completion": {"bash", "zsh", "fish"}, "get-hook": {"h", "r"},
	"--namespace": {"p", "h", "r", "u"}, "-n": {"p", "h", "r", "u"}, "--type": {"plain", "markdown", "html"},
	"send --mode": {"queue", "pubsub"}, "send -m": {"queue", "pubsub"}, "share --mode": {"queue", "pubsub"}, "share -m": {"queue", "pubsub"},
	"bench --mode": {"queue", "pubsub"}, "bench -m": {"queue", "pubsub"}, "bench --vs-mode": {"queue", "pubsub"},
	"doctor --proxy": append(doctor.ProxyNames(), "all"),
}

// completions are the commands, from the definitions that help shows too.
func completions(commands []*cli.Command) []completed {
	var all []completed
	for _, c := range commands {
		one := completed{names: c.Names(), usage: c.Usage, words: fixedWords[c.Name]}
		for _, sub := range c.VisibleCommands() {
			one.words = append(one.words, sub.Name)
		}
		for _, f := range c.VisibleFlags() {
			doc, ok := f.(cli.DocGenerationFlag)
			if !ok {
				continue
			}
			flag := completedFlag{usage: strings.ReplaceAll(doc.GetUsage(), "`", ""), takes: doc.TakesValue()}
			for _, name := range f.Names() {
				dashed := "--" + name
				if len(name) == 1 {
					dashed = "-" + name
				}
				flag.names = append(flag.names, dashed)
				for _, key := range []string{dashed, c.Name + " " + dashed} {
					if flag.words == nil {
						flag.words = fixedWords[key]
					}
				}
			}
			one.flags = append(one.flags, flag)
		}
		all = append(all, one)
	}
	return all
}

// quoted is text as one word of a shell.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func completeBash(w io.Writer, commands []*cli.Command) {
	all := completions(commands)
	var names []string
	for _, c := range all {
		names = append(names, c.names...)
	}
	fmt.Fprintf(w, `# bash completion for patchwork
_patchwork() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} flags= values= words=
	COMPREPLY=()
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W %s -- "$word")
		return
	fi
	case ${COMP_WORDS[1]} in
`, quoted(strings.Join(names, " ")))
	for _, c := range all {
		var flags []string
		fmt.Fprintf(w, "\t%s)\n", strings.Join(c.names, "|"))
		fmt.Fprintf(w, "\t\tcase $before in\n")
		for _, f := range c.flags {
			flags = append(flags, f.names...)
			if f.takes {
				words := "-"
				if f.words != nil {
					words = strings.Join(f.words, " ")
				}
				fmt.Fprintf(w, "\t\t%s) values=%s ;;\n", strings.Join(f.names, "|"), quoted(words))
			}
		}
		fmt.Fprintf(w, "\t\tesac\n\t\tflags=%s\n", quoted(strings.Join(flags, " ")))
		if c.words != nil {
			fmt.Fprintf(w, "\t\twords=%s\n", quoted(strings.Join(c.words, " ")))
		}
		fmt.Fprintf(w, "\t\t;;\n")
	}
	fmt.Fprint(w, `	esac
	if [ -n "$values" ] && [ "$values" != - ]; then
		mapfile -t COMPREPLY < <(compgen -W "$values" -- "$word")
	elif [ -z "$values" ] && [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
	elif [ -z "$values" ] && [ -n "$words" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
	fi
}
complete -o default -F _patchwork patchwork
`)
}

func completeZsh(w io.Writer, commands []*cli.Command) {
	escape := strings.NewReplacer("[", "(", "]", ")", ":", " -").Replace
	all := completions(commands)
	fmt.Fprint(w, "#compdef patchwork\n_patchwork() {\n\tlocal -a commands\n\tcommands=(\n")
	for _, c := range all {
		for _, name := range c.names {
			fmt.Fprintf(w, "\t\t%s\n", quoted(name+":"+escape(c.usage)))
		}
	}
	fmt.Fprint(w, "\t)\n\tif (( CURRENT == 2 )); then\n\t\t_describe command commands\n\t\treturn\n\tfi\n\tcase $words[2] in\n")
	for _, c := range all {
		fmt.Fprintf(w, "\t%s)\n\t\t_arguments", strings.Join(c.names, "|"))
		for _, f := range c.flags {
			action := ""
			if f.takes {
				action = ":value:_files"
				if f.words != nil {
					action = ":value:(" + strings.Join(f.words, " ") + ")"
				}
			}
			for _, name := range f.names {
				fmt.Fprintf(w, " \\\n\t\t\t%s", quoted(name+"["+escape(f.usage)+"]"+action))
			}
		}
		rest := "*:argument:_files"
		if c.words != nil {
			rest = "2:argument:(" + strings.Join(c.words, " ") + ")"
		}
		fmt.Fprintf(w, " \\\n\t\t\t'1: :' %s\n\t\t;;\n", quoted(rest))
	}
	fmt.Fprint(w, "\tesac\n}\ncompdef _patchwork patchwork\n")
}

func completeFish(w io.Writer, commands []*cli.Command) {
	fmt.Fprintln(w, "# fish completion for patchwork")
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	for _, c := range completions(commands) {
		for _, name := range c.names {
			fmt.Fprintf(w, "complete -c patchwork -n __fish_use_subcommand -f -a %s -d %s\n", name, quote(c.usage))
		}
		here := quote("__fish_seen_subcommand_from " + strings.Join(c.names, " "))
		if c.words != nil {
			fmt.Fprintf(w, "complete -c patchwork -n %s -f -a %s\n", here, quote(strings.Join(c.words, " ")))
		}
		for _, f := range c.flags {
			fmt.Fprintf(w, "complete -c patchwork -n %s", here)
			for _, name := range f.names {
				if bare, long := strings.CutPrefix(name, "--"); long {
					fmt.Fprintf(w, " -l %s", bare)
				} else {
					fmt.Fprintf(w, " -s %s", name[1:])
				}
			}
			if f.takes {
				fmt.Fprint(w, " -r")
			}
			if f.words != nil {
				fmt.Fprintf(w, " -f -a %s", quote(strings.Join(f.words, " ")))
			}
			fmt.Fprintf(w, " -d %s\n", quote(f.usage))
		}
	}
}

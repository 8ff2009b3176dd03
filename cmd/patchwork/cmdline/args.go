package cmdline

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// FlagsFirst puts the flags of a command line before its other arguments, for
// the library stops looking for flags at the first word that is none. What comes
// after -- stays as it is, with the -- before it, so that a command can tell the
// words that were put there. args[0] is the program's name.
func FlagsFirst(commands []*cli.Command, args []string) []string {
	if len(args) < 2 {
		return args
	}
	command := commandNamed(commands, args[1])
	if command == nil || len(command.Subcommands) > 0 {
		return args
	}
	takes := valueFlags(command)
	var flags, words, rest []string
	open := "" // a flag at the end that lacks its value
	for i := 2; i < len(args); i++ {
		arg := args[i]
		if arg == "--" {
			rest = args[i:]
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			words = append(words, arg)
			continue
		}
		if name := strings.TrimLeft(arg, "-"); takes[name] {
			if i+1 == len(args) {
				open = arg
				break
			}
			flags = append(flags, arg)
			i++
			arg = args[i]
		}
		flags = append(flags, arg)
	}
	placed := append([]string{args[0], args[1]}, flags...)
	if open != "" {
		return append(placed, open) // the library says what is wrong with it
	}
	if len(words) == 0 && rest == nil {
		return placed
	}
	return append(append(append(placed, "--"), words...), rest...)
}

func commandNamed(commands []*cli.Command, name string) *cli.Command {
	for _, c := range commands {
		if c.HasName(name) {
			return c
		}
	}
	return nil
}

// valueFlags are the names of a command's flags that are followed by a value.
func valueFlags(command *cli.Command) map[string]bool {
	takes := map[string]bool{}
	for _, f := range command.Flags {
		doc, ok := f.(cli.DocGenerationFlag)
		for _, name := range f.Names() {
			takes[name] = ok && doc.TakesValue()
		}
	}
	return takes
}

// Words returns the arguments before -- and those after it; after is nil when
// there was no --.
func Words(c *cli.Context) (before, after []string) {
	all := c.Args().Slice()
	for i, w := range all {
		if w == "--" {
			return all[:i], all[i+1:]
		}
	}
	return all, nil
}

// PlainWords returns the arguments of a command to which -- only says that no
// more flags come. There have to be from least to most of them.
func PlainWords(c *cli.Context, least, most int) ([]string, error) {
	before, after := Words(c)
	all := append(before[:len(before):len(before)], after...)
	switch {
	case len(all) < least:
		return nil, Usagef("%s: too few arguments; usage: %s", c.Command.Name, c.Command.UsageText)
	case len(all) > most:
		return nil, Usagef("%s: what is %q? usage: %s; quote text that has spaces", c.Command.Name, all[most], c.Command.UsageText)
	}
	if least > 0 && all[0] == "" {
		return nil, Usagef("%s: the first argument is empty; usage: %s", c.Command.Name, c.Command.UsageText)
	}
	return all, nil
}

// FirstOf is the first of them that is not empty, "" if all are.
func FirstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

package cmdline

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// family has a command of each sort.
var family = []*cli.Command{
	{Name: "send", Aliases: []string{"pub"}, Flags: []cli.Flag{
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}}, &cli.StringFlag{Name: "mode", Aliases: []string{"m"}},
	}},
	{Name: "receive", Flags: []cli.Flag{&cli.BoolFlag{Name: "keep", Aliases: []string{"k"}}, &cli.StringFlag{Name: "timeout", Aliases: []string{"T"}}}},
	{Name: "listen", Flags: []cli.Flag{&cli.StringFlag{Name: "magic", Aliases: []string{"m"}}}},
	{Name: "acl", Subcommands: []*cli.Command{{Name: "check"}}},
}

func TestFlagsComeBeforeOrAfterOtherWords(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"send -n h ch data", "send -n h -- ch data"},
		{"send ch -n h data -m pubsub", "send -n h -m pubsub -- ch data"},
		{"send ch --mode=pubsub data", "send --mode=pubsub -- ch data"},
		{"send ch -- -n data", "send -- ch -- -n data"},
		{"send ch -", "send -- ch -"},
		{"send ch -n", "send -n"},
		{"pub ch -m queue", "pub -m queue -- ch"},
		{"receive ch -k -T 3", "receive -k -T 3 -- ch"},
		{"listen ch -m x -- cat -n f", "listen -m x -- ch -- cat -n f"},
		{"send --help", "send --help"},
		{"acl check file --x", "acl check file --x"},
		{"unknown a --b", "unknown a --b"},
		{"--version", "--version"},
	} {
		got := FlagsFirst(family, append([]string{"patchwork"}, strings.Fields(test.line)...))
		if text := strings.Join(got[1:], " "); text != test.want {
			t.Errorf("%q: got %q, want %q", test.line, text, test.want)
		}
	}
}

func FuzzFlagsFirstLosesNoWord(f *testing.F) {
	f.Add("send ch -n h data -m pubsub")
	f.Add("listen ch -- a -b")
	f.Fuzz(func(t *testing.T, line string) {
		args := append([]string{"patchwork"}, strings.Fields(line)...)
		got := FlagsFirst(family, append([]string{}, args...))
		left := slices.Clone(args)
		for _, w := range got {
			i := slices.Index(left, w)
			if i < 0 && w == "--" {
				continue // put before the words
			}
			if i < 0 {
				t.Fatalf("%q: %q was made up: %q", line, w, got)
			}
			left = slices.Delete(left, i, i+1)
		}
		if open := got[len(got)-1] == args[len(args)-1]; len(left) > 0 && !(open && strings.HasPrefix(args[len(args)-1], "-")) {
			t.Errorf("%q: %q were lost: %q", line, left, got)
		}
	})
}

package main

import (
	"strings"
	"testing"

	"patchwork/cmd/patchwork/cmdline"
)

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
		got := cmdline.FlagsFirst(commands(), append([]string{"patchwork"}, strings.Fields(test.line)...))
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
		got := cmdline.FlagsFirst(commands(), append([]string{}, args...))
		left := map[string]int{}
		for _, w := range args {
			left[w]++
		}
		for _, w := range got {
			left[w]--
		}
		for w, n := range left {
			if w != "--" && n < 0 {
				t.Errorf("%q: %q was made up: %q", line, w, got)
			}
		}
	})
}

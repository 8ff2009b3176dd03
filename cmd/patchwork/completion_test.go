package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/creack/pty"

	"patchwork/cmd/patchwork/transfer"
)

// TestShellsCompleteTheCommandLine types command lines into the real shells and has
// them insert all that they would offer.
func TestShellsCompleteTheCommandLine(t *testing.T) {
	flags := []string{"--help"}
	for _, f := range transfer.ShareCommand().Flags {
		flags = append(flags, "--"+f.Names()[0])
	}
	const files = "notes.txt plan.txt" // that are in the folder
	tests := []struct{ typed, offers string }{
		{"patchwork sh", "share"},
		{"patchwork rece", "receive"},
		{"patchwork --", "--help --version"},
		{"patchwork share --", strings.Join(flags, " ")},
		{"patchwork send -n ", "h p r u"},
		{"patchwork pub -m q", "queue"},
		{"patchwork send --mode=", "pubsub queue"},
		{"patchwork send --mode=q", "queue"},
		{"patchwork send -m queue --na", "--namespace"},
		{"patchwork send -T ", ""}, // nobody knows how long
		{"patchwork send -f ", files},
		{"patchwork share --to alice.pub --to pl", "plan.txt"}, // may be repeated
		{"patchwork share ", files},
		{"patchwork share no", "notes.txt"},
		{"patchwork share notes.txt --li", "--link"},
		{"patchwork receive send --fi", "--fi"}, // a channel with the name of a command
		{"patchwork get-hook ", "h r"},
		{"patchwork completion ", "bash fish zsh"},
		{"patchwork help rec", "receive"},
		{"patchwork acl ", "can check"},
		{"patchwork acl check ", files},
		{"patchwork acl can --", "--help --key --token"},
		{"patchwork acl can notes.txt --key pl", "plan.txt"},
	}
	var typed []string
	for _, test := range tests {
		typed = append(typed, test.typed)
	}
	for name, offers := range map[string]func(*completingShell, []string) []string{"bash": bashOffers, "bash 3": oldBashOffers, "zsh": zshOffers, "fish": fishOffers} {
		t.Run(name, func(t *testing.T) {
			shell, _, old := strings.Cut(name, " ")
			got := offers(newCompletingShell(t, shell), typed)
			for i, test := range tests {
				words, want := offered(test.typed, got[i]), strings.Fields(test.offers)
				if old && test.offers == "" {
					want = strings.Fields(files)
				}
				slices.Sort(want)
				if !slices.Equal(words, want) {
					t.Errorf("%q: %q is offered, not %q", test.typed, words, want)
				}
			}
		})
	}
}

// Before bash 4, --flag=value is one word of COMP_WORDS, of which readline replaces what
// is behind the "=". What is offered is no pattern for names of files.
func TestBash3CompletesAValueBehindItsFlag(t *testing.T) {
	s := newCompletingShell(t, "bash")
	s.cmd.Args = append(s.cmd.Args, "--noprofile", "--norc", "-c", `enable -n mapfile readarray compopt
		. "$0"
		COMP_WORDBREAKS=$' \t\n"\'><=;|&(:'
		for word in --mode= --mode=q --topic=; do
			COMP_WORDS=(patchwork send "$word") COMP_CWORD=2
			_patchwork
			echo "$word: ${COMPREPLY[*]}"
		done
		COMP_WORDBREAKS=' ' COMP_WORDS=(patchwork send --mode=q) COMP_CWORD=2
		_patchwork
		echo "whole: ${COMPREPLY[*]}"
		COMPREPLY=() && _patchwork_offer '* n[o]tes.txt' '' && printf '%s|' "${COMPREPLY[@]}"`, s.script)
	out, err := s.cmd.CombinedOutput()
	const want = "--mode=: queue pubsub\n--mode=q: queue\n--topic=: \nwhole: \n*|n[o]tes.txt|"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s", err, out)
	}
}

// offered are the words that a shell has put in place of the last one, sorted, without
// the --flag= before a value.
func offered(typed, line string) []string {
	words := strings.Fields(line)
	complete := len(strings.Fields(typed[:strings.LastIndexByte(typed, ' ')])) - 1 // less "patchwork"
	words = words[min(complete, len(words)):]
	for i, w := range words {
		if flag, value, ok := strings.Cut(w, "="); ok && strings.Contains(typed, flag+"=") {
			words[i] = value
		}
	}
	slices.Sort(words)
	return words
}

// A completingShell is a real shell that reads the script of 'patchwork completion',
// in a folder with two files and in an environment of its own.
type completingShell struct {
	t            *testing.T
	script, home string
	cmd          *exec.Cmd
}

func newCompletingShell(t *testing.T, name string) *completingShell {
	t.Helper()
	code, script, talk := command(t, t.Context(), "completion", name)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, talk)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v; 'make test' installs what the tests need", err)
	}
	s := &completingShell{t: t, home: t.TempDir()}
	s.script = s.file("script", script)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	s.cmd = exec.CommandContext(ctx, path)
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "ZDOTDIR=" + s.home, "TERM=dumb", "LC_ALL=C"}
	s.cmd.Dir = t.TempDir()
	for _, file := range []string{"notes.txt", "plan.txt"} {
		if err := os.WriteFile(filepath.Join(s.cmd.Dir, file), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// file writes a file into the shell's home and returns its path.
func (s *completingShell) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.home, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// bashOffers uses readline's insert-completions, which is Alt-*.
func bashOffers(s *completingShell, typed []string) []string {
	return s.bashOffers("", typed)
}

// oldBashOffers takes from bash what that of macOS does not have.
func oldBashOffers(s *completingShell, typed []string) []string {
	return s.bashOffers("enable -n mapfile readarray compopt\n", typed)
}

func (s *completingShell) bashOffers(before string, typed []string) []string {
	rc := s.file("rc", before+"PS1='ready> '\n. "+s.script+"\npatchwork() { printf '\\noffered:%s\\n' \"$*\"; }\n")
	s.cmd.Args = append(s.cmd.Args, "--noprofile", "--rcfile", rc, "-i")
	return s.types(typed, "\x1b*")
}

// zshOffers uses the completer _all_matches, as zsh's manual has it, on Ctrl-T.
func zshOffers(s *completingShell, typed []string) []string {
	s.file(".zshrc", "PS1='ready> '\nautoload -Uz compinit && compinit -u -D\n. "+s.script+"\n"+
		"patchwork() { print -r -- $'\\noffered:'$* }\n"+
		"zle -C all-matches complete-word _generic\nbindkey '^T' all-matches\n"+
		"zstyle ':completion:all-matches:*' completer _all_matches _complete\nzstyle ':completion:all-matches:*' insert true\n")
	s.cmd.Args = append(s.cmd.Args, "-d", "-i") // -d: not the machine's own settings
	return s.types(typed, "\x14")
}

// fishOffers asks fish, which has a command for it.
func fishOffers(s *completingShell, typed []string) (lines []string) {
	s.cmd.Args = append(append(s.cmd.Args, "--no-config", "-c", `source $argv[1]
		for line in $argv[2..]; set words (complete -C $line | string split -f 1 \t); echo "offered:$words"; end`, s.script), typed...)
	out, err := s.cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if words, ok := strings.CutPrefix(strings.TrimSpace(line), "offered:"); ok {
			i := len(lines) // fish does not repeat what was typed
			before := strings.TrimPrefix(typed[i][:strings.LastIndexByte(typed[i], ' ')], "patchwork")
			if words == "" {
				words = typed[i][strings.LastIndexByte(typed[i], ' '):]
			}
			lines = append(lines, before+" "+words)
		}
	}
	if err != nil || len(lines) != len(typed) {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return lines
}

var (
	promptOf  = regexp.MustCompile(`ready> $`)
	offeredBy = regexp.MustCompile(`(?s)\noffered:([^\r\n]*)\r?\n.*ready> `)
)

// types types each line and the key into the shell at a terminal, and returns what it
// has made of it.
func (s *completingShell) types(typed []string, key string) (lines []string) {
	s.t.Helper()
	terminal, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 50, Cols: 500})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		terminal.Close() // hangs up
		_ = s.cmd.Wait()
	}()
	var screen string
	until := func(what *regexp.Regexp) []string {
		buf := make([]byte, 4096)
		for {
			if found := what.FindStringSubmatch(screen); found != nil {
				return found
			}
			n, err := terminal.Read(buf)
			if err != nil {
				s.t.Fatalf("%v after %q", err, screen)
			}
			screen += plainScreen.Replace(string(buf[:n]))
		}
	}
	until(promptOf)
	for _, line := range typed {
		screen = ""
		if _, err := fmt.Fprint(terminal, line+key+"\n"); err != nil {
			s.t.Fatal(err)
		}
		lines = append(lines, until(offeredBy)[1])
	}
	return lines
}

// plainScreen takes out what terminals that can do it take for the begin and the end
// of typing.
var plainScreen = strings.NewReplacer("\x1b[?2004h", "", "\x1b[?2004l", "")

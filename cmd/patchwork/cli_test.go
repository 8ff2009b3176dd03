package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestHelpPagesOfClientCommands(t *testing.T) {
	for _, c := range commands() {
		if c.Hidden {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			for _, name := range c.Names() {
				code, got, talk := command(t, t.Context(), name, "--help")
				if code != exitDone || talk != "" {
					t.Errorf("exit code %d, stderr %q", code, talk)
				}
				golden(t, "help-"+c.Name, got)
			}
		})
	}
}

// golden compares with a file, or writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page changed; look at it and run 'go test ./cmd/patchwork -update':\n%s", got)
	}
}

func TestCGIHeadersOfAnOutput(t *testing.T) {
	for _, test := range []struct {
		output  string
		header  map[string][]string
		rest    string
		notBody bool
	}{
		{output: "just text\n", rest: "just text\n"},
		{output: "no line end", rest: "no line end"},
		{output: "", notBody: true},
		{output: "Status: 404 Not Found\n\nbody", header: map[string][]string{"Patch-Status": {"404"}}, rest: "body"},
		{output: "content-type: text/x\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody", header: map[string][]string{"Content-Type": {"text/x"}, "Patch-H-X-A": {"1", "2"}}, rest: "body"},
		{output: "Location: /x\n\n", header: map[string][]string{"Patch-H-Location": {"/x"}, "Patch-Status": {"302"}}},
		{output: "Note: a text\n\nthat looks like it\n", rest: "Note: a text\n\nthat looks like it\n"},
		{output: "X\rY: 1\n\nbody", rest: "X\rY: 1\n\nbody"},
		{output: "Status: 200\nno end", rest: "Status: 200\nno end"},
		{output: "\nbody", rest: "\nbody"},
		{output: "Status: 200\nbad name: x\n\n", rest: "Status: 200\nbad name: x\n\n"},
		{output: strings.Repeat("A", 2*maxCGI), rest: strings.Repeat("A", 2*maxCGI)},
	} {
		a := newAnswerBody(iotestOneByte{strings.NewReader(test.output)}, func() error { return nil })
		header, begun, err := a.head()
		if err != nil {
			t.Errorf("%.60q: %v", test.output, err)
		}
		rest, err := io.ReadAll(a)
		if begun == test.notBody || err != nil || string(rest) != test.rest {
			t.Errorf("%.60q: begun %v, rest %.60q, %v", test.output, begun, rest, err)
		}
		if test.header == nil {
			test.header = map[string][]string{}
		}
		if !reflect.DeepEqual(map[string][]string(header), test.header) {
			t.Errorf("%.60q: headers %v, want %v", test.output, header, test.header)
		}
	}
}

// iotestOneByte yields a byte at a time, as a slow command does.
type iotestOneByte struct{ r io.Reader }

func (o iotestOneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestCompletionsAreGoodShell(t *testing.T) {
	_, script, _ := command(t, t.Context(), "completion", "bash")
	test := script + `
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _patchwork; echo "${COMPREPLY[*]}"; }
try patchwork rec
try patchwork send -m ''
try patchwork pub --name
try patchwork get-hook ''
`
	shell := exec.Command("bash", "-eu")
	shell.Stdin = strings.NewReader(test)
	out, err := shell.CombinedOutput()
	if want := "receive\nqueue pubsub\n--namespace\nh r\n"; err != nil || string(out) != want {
		t.Errorf("%v: got %q, want %q", err, out, want)
	}
	for _, other := range []string{"zsh", "fish"} {
		if code, out, _ := command(t, t.Context(), "completion", other); code != exitDone || !strings.Contains(out, "get-hook") {
			t.Errorf("%s: exit code %d: %s", other, code, out)
		}
	}
}

func TestManPageTellsOfEveryCommandAndFlag(t *testing.T) {
	code, page, _ := command(t, t.Context(), "man")
	if code != exitDone {
		t.Fatalf("exit code %d", code)
	}
	plain := strings.NewReplacer(`\-`, "-", `\e`, `\`).Replace(page)
	for _, c := range commands() {
		if c.Hidden {
			continue
		}
		if !strings.Contains(plain, c.Name) {
			t.Errorf("nothing on %s", c.Name)
		}
		for _, f := range c.VisibleFlags() {
			if !strings.Contains(plain, "--"+f.Names()[0]) {
				t.Errorf("nothing on --%s of %s", f.Names()[0], c.Name)
			}
		}
	}
}

func TestShellClientIsShellcheckClean(t *testing.T) {
	out, err := exec.Command("shellcheck", filepath.Join("..", "..", "httpfront", "patchwork.sh")).CombinedOutput()
	if err != nil {
		t.Errorf("%v; 'make test' installs what the tests need\n%s", err, out)
	}
}

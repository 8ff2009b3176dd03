package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/urfave/cli/v2"
)

func TestHelpPagesOfClientCommands(t *testing.T) {
	for _, c := range []*cli.Command{
		sendCommand(), receiveCommand(), listenCommand(), getHookCommand(), reqCommand(), respondCommand(),
		shareCommand(), downloadCommand(), notifyCommand(), doctorCommand(), benchCommand(), completionCommand(), manCommand(),
	} {
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
		got := flagsFirst(commands(), append([]string{"patchwork"}, strings.Fields(test.line)...))
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
		got := flagsFirst(commands(), append([]string{}, args...))
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

func TestUnpackStaysInItsDirectory(t *testing.T) {
	for name, h := range map[string]tar.Header{
		"dots":          {Name: "d/../../evil", Typeflag: tar.TypeReg},
		"absolute":      {Name: "/../evil", Typeflag: tar.TypeReg},
		"link":          {Name: "d/evil", Linkname: "/etc", Typeflag: tar.TypeSymlink},
		"hard link":     {Name: "d/evil", Linkname: "../evil", Typeflag: tar.TypeLink},
		"device":        {Name: "d/evil", Typeflag: tar.TypeChar},
		"file as a dir": {Name: "d", Typeflag: tar.TypeReg},
	} {
		t.Run(name, func(t *testing.T) {
			var archive bytes.Buffer
			w := tar.NewWriter(&archive)
			h.Mode = 0o644
			if err := w.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			w.Close()
			dir := t.TempDir()
			_, err := unpack(&archive, filepath.Join(dir, "in"), int64(archive.Len()))
			if inside := name == "dots" || name == "absolute"; (err == nil) != inside { // what is left of such a name is inside
				t.Errorf("error %v", err)
			}
			if found, _ := filepath.Glob(filepath.Join(dir, "*")); len(found) > 1 {
				t.Errorf("outside of the directory: %q", found)
			}
		})
	}
}

// A sparse entry of PAX format 1.0 is a few bytes that stand for many.
func TestUnpackWritesNoMoreThanCame(t *testing.T) {
	block := func(text string) string { return text + strings.Repeat("\x00", 512-len(text)) }
	header := func(name string, size int, kind byte) string {
		h := []byte(block(name))
		copy(h[100:], fmt.Sprintf("0000644\x000000000\x000000000\x00%011o\x0000000000000\x00        %cxxxx", size, kind))
		copy(h[157:], strings.Repeat("\x00", 100))
		copy(h[257:], "ustar\x0000")
		sum := 0
		for _, b := range h {
			sum += int(b)
		}
		copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
		return string(h)
	}
	records := "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.name=d/hole\n34 GNU.sparse.realsize=3000000000\n"
	bomb := header("d/pax", len(records), 'x') + block(records) + header("d/hole", 512, '0') + block("1\n3000000000\n0\n") + block("") + block("")
	dir := filepath.Join(t.TempDir(), "in")
	_, err := unpack(strings.NewReader(bomb), dir, int64(len(bomb)))
	if err == nil || !strings.Contains(err.Error(), "longer than what came") {
		t.Errorf("error %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "hole")); err == nil {
		t.Errorf("a file of %d bytes", info.Size())
	}
}

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

// On a terminal the bar takes one line, whatever the terminal's width; off it
// there is none.
func TestProgressBarFitsItsTerminal(t *testing.T) {
	for _, width := range []uint16{40, 120} {
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		if err := pty.Setsize(master, &pty.Winsize{Rows: 24, Cols: width}); err != nil {
			t.Fatal(err)
		}
		m := newMeter(slave, 3<<20, "a file with quite a long name.pdf")
		if m == nil {
			t.Fatal("no bar on a terminal")
		}
		m.Write(make([]byte, 1<<20))
		m.at(2 << 20)
		m.Write(make([]byte, 1<<20))
		m.line(slave)
		slave.Close()
		shown, _ := io.ReadAll(master) // ends with an error when nobody writes any more
		master.Close()
		text := string(shown)
		if !strings.Contains(text, "100%") || width > 72 && !strings.Contains(text, "a file with qui…") {
			t.Errorf("%d columns: %q", width, text)
		}
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if n := len([]rune(line)); n > int(width) {
				t.Errorf("%d columns, but a line has %d: %q", width, n, line)
			}
		}
	}
	if newMeter(io.Discard, 1, "x") != nil {
		t.Error("a bar where no terminal is")
	}
}

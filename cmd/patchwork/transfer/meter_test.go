package transfer

import (
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"
)

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

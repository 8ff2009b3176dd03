package cmdline

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/term"
)

// OneLine keeps the promise that an error is a single line, whatever a library
// put into it.
func OneLine(err error) string {
	return Printable(strings.Join(strings.Fields(err.Error()), " "))
}

// Printable is text of others without what a terminal would take for orders.
func Printable(text string) string {
	var out []rune
	for _, r := range text {
		if !strconv.IsPrint(r) {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

// Terminal tells whether a stream is one.
func Terminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Sized writes a number of bytes for people.
func Sized(n int64) string {
	if n == 1 {
		return "1 byte"
	}
	value, unit := float64(n), 0
	for value >= 1024 && unit < 5 {
		value, unit = value/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[unit-1])
}

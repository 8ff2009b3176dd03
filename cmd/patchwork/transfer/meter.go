package transfer

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"patchwork/cmd/patchwork/cmdline"
)

// A meter shows how far a transfer is, on a terminal. The zero meter, and nil,
// show nothing.
type meter struct{ bar *progressbar.ProgressBar }

func newMeter(stderr io.Writer, size int64, name string) *meter {
	if !cmdline.Terminal(stderr) {
		return nil
	}
	options := []progressbar.Option{
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionFullWidth(),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetTheme(progressbar.Theme{Saucer: "=", SaucerHead: ">", SaucerPadding: " ", BarStart: "[", BarEnd: "]"}),
	}
	// A narrow terminal has no room for more than how far, how fast and how long.
	if width, _, err := term.GetSize(int(stderr.(*os.File).Fd())); err == nil && width < 72 {
		options = append(options, progressbar.OptionSetElapsedTime(false))
	} else {
		options = append(options, progressbar.OptionSetDescription(shortened(name, 16)))
	}
	return &meter{progressbar.NewOptions64(size, options...)}
}

// shortened keeps a name from taking the whole line.
func shortened(name string, most int) string {
	letters := []rune(cmdline.Printable(name))
	if len(letters) <= most {
		return string(letters)
	}
	return string(letters[:most-1]) + "…"
}

func (m *meter) Write(p []byte) (int, error) {
	if m != nil {
		m.bar.Add(len(p)) //nolint:errcheck // a bar that cannot be drawn harms nobody
	}
	return len(p), nil
}

// at shows that n bytes are there.
func (m *meter) at(n int64) {
	if m != nil {
		m.bar.Set64(n) //nolint:errcheck // see Write
	}
}

// line ends the bar's line, so that something can be said below it.
func (m *meter) line(w io.Writer) {
	if m != nil {
		fmt.Fprintln(w)
	}
}

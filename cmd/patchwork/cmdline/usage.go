// Package cmdline is how patchwork reads a command line and talks to who wrote it:
// the order of flags and words, values as people write them, and mistakes and
// errors as one plain line.
package cmdline

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// UsageError is a mistake of whoever wrote the command line, the environment or
// the configuration file. Its text is one line that names the place.
type UsageError struct{ text string }

func (e UsageError) Error() string { return e.text }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error {
	return UsageError{fmt.Sprintf(format, args...)}
}

// ErrSaid is the error of a command that has said all there is to say: exit 1.
var ErrSaid = errors.New("said already")

// Version is the module version the binary was installed at, or "(devel)".
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

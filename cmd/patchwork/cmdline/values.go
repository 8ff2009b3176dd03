package cmdline

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The parsers below read one value as people write it. Their errors complete
// the sentence `--flag "value" …`: what it is not, and what would be right.

// Port reads a port to listen on or to look at; 0 is any, -1 is none.
func Port(s string) (int, error) { return whole(s, -1, 65535) }

// Count reads a number of things, one at least.
func Count(s string) (int, error) { return whole(s, 1, math.MaxInt32) }

func whole(s string, least, most int) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("is not a whole number from %d to %d", least, most)
	}
	return n, nil
}

// Duration reads Go's notation, or a bare number of seconds like ?timeout=.
func Duration(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		s += "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("is not a duration such as 15s, 2m or 1h30m")
	}
	return d, nil
}

// Positive reads a Duration that is longer than nothing.
func Positive(s string) (time.Duration, error) {
	d, err := Duration(s)
	if err == nil && d == 0 {
		err = errors.New("has to be longer than nothing")
	}
	return d, err
}

// Size reads bytes, with the units KiB, MiB and GiB (or K, M, G), up to 1 GiB.
func Size(s string) (int, error) {
	digits := strings.TrimRight(s, "KMGBkmgbi ")
	shift, ok := map[string]int{
		"": 0, "b": 0, "k": 10, "kib": 10, "m": 20, "mib": 20, "g": 30, "gib": 30,
	}[strings.ToLower(strings.TrimSpace(s[len(digits):]))]
	n, err := strconv.ParseInt(digits, 10, 32)
	if !ok || err != nil || n < 1 || n<<shift > 1<<30 {
		return 0, errors.New("is not a size from 1 byte to 1GiB, such as 64KiB or 1MiB")
	}
	return int(n << shift), nil
}

package tunnel

import (
	"fmt"
	"strings"
)

// CheckPrefix says whether p has the shape of a prefix: 3 to 64 of [a-z0-9-]. Its
// errors wrap [ErrPrefix] and are one plain line.
func CheckPrefix(p string) error {
	if len(p) < 3 || len(p) > 64 || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%w %s: take 3 to 64 of a-z, 0-9 and -", ErrPrefix, quoted(p))
	}
	return nil
}

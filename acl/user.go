package acl

import (
	"fmt"
	"regexp"
	"strings"
)

// The rule for user names is the relay's, written down a second time: a name is
// the last thing between a client and a path on the forge or in a folder.
var (
	userName  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	keySpace  = regexp.MustCompile(`^key-[a-z2-7]{16}$`)
	fixedName = map[string]bool{"public": true, "p": true, "h": true, "r": true, "u": true, "channels": true}
)

const publicSpace = "public"

// CheckUser says whether a source may be asked about s. The error wraps
// [ErrUser].
func CheckUser(s string) error {
	switch {
	case !userName.MatchString(s), fixedName[s]:
		return fmt.Errorf("%w: %.70q (a-z, 0-9, then also . _ -, 64 at most)", ErrUser, s)
	case keySpace.MatchString(s):
		return fmt.Errorf("%w: %q belongs to a key", ErrUser, s)
	}
	return nil
}

// isUser is CheckUser for when the reason does not matter.
func isUser(s string) bool { return CheckUser(s) == nil }

// split parts a name into its namespace and what the rules see.
func split(name string) (namespace, path string) {
	namespace, path, _ = strings.Cut(name, "/")
	return namespace, path
}

//go:build unix

package transfer

import (
	"os"
	"syscall"
)

// noFollow makes opening a link an error, and opening a pipe no wait.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// lock takes f for this process, until it is closed. It does not wait.
func lock(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

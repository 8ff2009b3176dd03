//go:build !unix

package transfer

import "os"

const noFollow = 0

// lock is not to be had here: two downloads into one file are the user's affair.
func lock(*os.File) bool { return true }

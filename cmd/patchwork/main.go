// Command patchwork is the relay daemon and its client, in one binary.
//
// This room is the only one that sees all others: it reads the configuration,
// builds the parts, wires them, runs them and ends them. What a channel, a URL
// or an SSH command means is decided elsewhere.
package main

import (
	"os"

	"patchwork/cmd/interrupt"
)

func main() {
	os.Exit(run(interrupt.Context("patchwork", exitFailed), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

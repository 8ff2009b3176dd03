// Command patchwork is the relay daemon and its client, in one binary.
//
// This room is the only one that sees all others: it reads the configuration,
// builds the parts, wires them, runs them and ends them. What a channel, a URL
// or an SSH command means is decided elsewhere.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(run(interruptible(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// interruptible returns a context that ends with the first SIGINT or SIGTERM.
// The second one ends the process at once with exit code 1: whoever asks twice
// does not want to wait for transfers under way.
func interruptible() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // room for both: none is lost while the first is handled
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		fmt.Fprintln(os.Stderr, "patchwork: second signal, stopped at once")
		os.Exit(exitFailed)
	}()
	return ctx
}

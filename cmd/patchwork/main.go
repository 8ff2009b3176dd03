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
	"time"
)

func main() {
	os.Exit(run(interruptible(), os.Args, os.Stdin, os.Stdout, os.Stderr))
}

// interruptible returns a context that ends with the first SIGINT or SIGTERM.
// One that comes later ends the process at once with exit code 1: whoever asks
// twice does not want to wait for transfers under way.
func interruptible() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // room for both: none is lost while the first is handled
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		awaitStops(signals, cancel)
		fmt.Fprintln(os.Stderr, "patchwork: second signal, stopped at once")
		os.Exit(exitFailed)
	}()
	return ctx
}

// sameStop is how long after the first signal another one is still part of it: timeout(1)
// signals the process that it started, and at once the group that this one is in.
const sameStop = 100 * time.Millisecond

// awaitStops calls stop at the first signal and returns at the second stop.
func awaitStops(signals <-chan os.Signal, stop func()) {
	<-signals
	stop()
	for same := time.After(sameStop); ; {
		select {
		case <-same:
			<-signals
			return
		case <-signals:
		}
	}
}

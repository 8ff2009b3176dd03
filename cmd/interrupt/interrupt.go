// Package interrupt is how the programs of this module are stopped: the first signal
// asks, a later one does not wait.
package interrupt

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Context returns a context that ends with the first SIGINT or SIGTERM. One that comes
// later ends the process at once, with this exit code and a line that begins with the
// program's name: whoever asks twice does not want to wait for last words. It is to be
// called once; its goroutine ends with the process.
func Context(program string, code int) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2) // room for both: none is lost while the first is handled
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		awaitStops(signals, cancel)
		fmt.Fprintln(os.Stderr, program+": second signal, stopped at once")
		os.Exit(code)
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

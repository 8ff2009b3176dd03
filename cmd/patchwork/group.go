package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os/exec"
	"sync"
	"time"

	"patchwork/cmd/patchwork/cmdline"
)

// runnable is the usage error for a command that cannot be run, nil for one that can.
func runnable(name string) error {
	_, err := exec.LookPath(name)
	var at *exec.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return cmdline.Usagef("there is no command %q; look at its name and at PATH", name)
	case errors.Is(err, fs.ErrPermission):
		return cmdline.Usagef("the command %q may not be run: permission denied; 'chmod +x' allows it", name)
	}
	return cmdline.Usagef("the command %q cannot be run: %v", name, err)
}

// stopDelay is how long a command has to end when it is asked to.
const stopDelay = 5 * time.Second

// startGroup starts a command that ends with ctx, and with it all that it started: it is
// asked to, and after stopDelay killed. out is the reading end of its output, if the
// caller reads it: it is closed then, for somebody else may hold the other end. The
// caller calls Wait, and stop after that.
func startGroup(ctx context.Context, run *exec.Cmd, out io.Closer) (stop func(), err error) {
	ownGroup(run)
	if err := run.Start(); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-over:
			return
		case <-ctx.Done():
		}
		askGroup(run.Process)
		late := time.NewTimer(stopDelay)
		defer late.Stop()
		select {
		case <-over:
		case <-late.C:
		}
		killGroup(run.Process) // what it left behind as well
		if out != nil {
			out.Close()
		}
	})
	return sync.OnceFunc(func() {
		close(over)
		watching.Wait()
	}), nil
}

package sshfront

import (
	"context"
	"errors"
	"fmt"

	"patchwork/broker"
)

// Exit statuses.
const (
	exitDone        = 0
	exitFailed      = 1   // refused or timed out
	exitUsage       = 2   // the command line is wrong
	exitGoingDown   = 75  // try again; EX_TEMPFAIL of sysexits.h
	exitInterrupted = 130 // by the user at a terminal; what shells report for SIGINT
)

// An exitError ends a session with a status and one line on stderr.
type exitError struct {
	code int
	line string
}

func (e *exitError) Error() string { return e.line }

func refused(format string, args ...any) error {
	return &exitError{exitFailed, fmt.Sprintf(format, args...)}
}

func usage(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Sprintf(format, args...)}
}

var errInternal = errors.New("internal error, the server's log says more")

func isInternal(err error) bool { _, line := verdict(err); return line == errInternal.Error() }

// verdict maps every error a command may return to an exit status and the line
// the client reads.
func verdict(err error) (code int, line string) {
	var exit *exitError
	var partial *broker.PartialError
	switch {
	case err == nil:
		return exitDone, ""
	case errors.As(err, &exit):
		return exit.code, exit.line
	case errors.Is(err, errInterrupted):
		return exitInterrupted, ""
	case errors.Is(err, errClientGone), errors.Is(err, context.Canceled):
		return exitFailed, ""
	case errors.Is(err, broker.ErrClosed):
		return exitGoingDown, "the relay is going down, try again"
	case errors.Is(err, broker.ErrName):
		return exitUsage, err.Error()
	case errors.Is(err, broker.ErrSlow):
		return exitFailed, "cut off: nothing was read here while publishers waited; subscribe again and read faster"
	case errors.As(err, &partial):
		return exitFailed, fmt.Sprintf("the receiver went away after %d bytes; send it again", partial.Bytes)
	case errors.Is(err, broker.ErrDestroyed):
		return exitFailed, "the topic was deleted"
	case errors.Is(err, broker.ErrDenied):
		return exitFailed, "access denied: the topic has an access list, and you are not on it; ask who opened it"
	case errors.Is(err, broker.ErrTaken):
		return exitFailed, "access denied: somebody whom your access list does not name is on this topic; choose another one"
	case errors.Is(err, broker.ErrGone):
		return exitFailed, "the requester is gone; nobody waits for this answer"
	case errors.Is(err, broker.ErrVanished):
		return exitFailed, "a responder took the request and did not answer in time; ask again"
	case errors.Is(err, broker.ErrNoAnswer):
		return exitFailed, "the responder named another channel for its answer, and nobody posted there in time; ask again"
	}
	return exitFailed, errInternal.Error()
}

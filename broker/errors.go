package broker

import (
	"errors"
	"fmt"
)

var (
	// ErrName is wrapped by every error of [ParseName] and [ParsePattern]; its
	// message is one line that says what is wrong with the name.
	ErrName = errors.New("bad channel name")
	// ErrClosed is returned to whoever waits, or begins, when the broker is
	// going down.
	ErrClosed = errors.New("the relay is going down")
	// ErrSlow is returned to a receiver that was cut off because it took
	// nothing for the stall limit, or that missed part of its one message.
	ErrSlow = errors.New("too slow: it took nothing while others waited")
	// ErrCut is returned to a receiver whose producer went away in mid-message:
	// what was received is not whole.
	ErrCut = errors.New("the producer went away in mid-message")
	// ErrDenied is returned to whom the channel's access list does not let in.
	ErrDenied = errors.New("the topic's access list does not let you in")
	// ErrTaken is returned to whoever brings an access list to a channel that has
	// somebody else's, or where somebody is already whom it does not let in.
	ErrTaken = errors.New("somebody is on this topic already whom the access list does not let in")
	// ErrGone is returned to an answerer whose requester is gone, was answered
	// already or never was.
	ErrGone = errors.New("nobody waits for this answer")
	// ErrTimeout is returned by [Call.Answer] when nobody took the request in
	// time; the fronts use it as the cause of the contexts they bound waits with.
	ErrTimeout = errors.New("nobody came in time")
	// ErrVanished is returned to a requester whose request was taken by a
	// responder that did not answer it in time.
	ErrVanished = errors.New("the responder took the request and did not answer")
	// ErrNoAnswer is returned to a requester whose responder switched it to a
	// channel to which nobody posted in time.
	ErrNoAnswer = errors.New("nobody posted the answer to the channel the responder named")
	// ErrDestroyed is returned to whoever waits on a channel that [Broker.Destroy] ended.
	ErrDestroyed = errors.New("the channel was deleted")
)

// errWithdrawn says inside the broker that a producer went away before its
// first byte: its receiver waits on as if it had never been.
var errWithdrawn = errors.New("withdrawn")

// errLeft stands for a receiver that left without saying why.
var errLeft = errors.New("the receiver left")

// PartialError is what [Broker.Send] returns when the receiver left in
// mid-message and the message was too long to be kept for another one.
type PartialError struct {
	Bytes int64 // handed over to the receiver, at least
	Err   error // why it left
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("the consumer went away after %d bytes", e.Bytes)
}

func (e *PartialError) Unwrap() error { return e.Err }

package tunnel

import (
	"errors"
	"net/http"
)

var (
	// ErrEgress is matched by every refusal of the egress policy. The error that
	// matches it is an [*EgressError], whose text names the address and the flag.
	ErrEgress = errors.New("the egress policy forbids it")
	// ErrTarget is wrapped by the errors of [CheckTarget]: a host or a port that
	// cannot be dialled as it is written.
	ErrTarget = errors.New("bad target")
	// ErrDial is wrapped by every other failure of a [Dialer]: the target does not
	// exist, refuses or does not answer.
	ErrDial = errors.New("cannot connect")

	// ErrPrefix is wrapped by refusals of a prefix that has a wrong shape or is a
	// fixed path of the relay.
	ErrPrefix = errors.New("bad prefix")
	// ErrTaken is returned for a prefix that somebody else's session holds.
	ErrTaken = errors.New("prefix already in use: choose another one")
	// ErrTooMany is returned to an identity that holds as many prefixes as one may.
	ErrTooMany = errors.New("too many prefixes at once: end a session first")
	// ErrUnauthorized and ErrForbidden are what an [AuthorizeFunc] wraps for a token
	// that is not known, and one that may not open this prefix.
	ErrUnauthorized = errors.New("bad tunnel token")
	ErrForbidden    = errors.New("not allowed to open this prefix")
	// ErrTakenOver is what a session hears whose prefix its own identity opened
	// again elsewhere; it should not come back by itself.
	ErrTakenOver = errors.New("the prefix was taken over by a newer session of the same identity")
	// ErrLost is why a session ended whose other end went away or fell silent.
	ErrLost = errors.New("the other end of the tunnel is gone")
	// ErrProtocol is wrapped when the other end does not speak SendIt.
	ErrProtocol = errors.New("not SendIt")
	// ErrBusy is returned by a session with as many streams open as it may have.
	ErrBusy = errors.New("too many requests in this tunnel at once")
	// ErrClosed is returned to whoever waits, or begins, when the relay is going
	// down.
	ErrClosed = errors.New("the relay is going down")
)

// Status is the HTTP status that tells of err.
func Status(err error) int {
	for _, known := range statuses {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	return http.StatusServiceUnavailable
}

var statuses = []struct {
	err    error
	status int
}{
	{ErrEgress, http.StatusForbidden},
	{ErrTarget, http.StatusBadRequest},
	{ErrDial, http.StatusBadGateway},
	{ErrPrefix, http.StatusBadRequest},
	{ErrTaken, http.StatusBadRequest}, // as the public server answers
	{ErrTooMany, http.StatusTooManyRequests},
	{ErrUnauthorized, http.StatusUnauthorized},
	{ErrForbidden, http.StatusForbidden},
	{ErrTakenOver, http.StatusGone},
	{ErrProtocol, http.StatusBadRequest},
	{ErrLost, http.StatusBadGateway},
}

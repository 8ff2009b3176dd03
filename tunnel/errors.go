package tunnel

import "errors"

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
)

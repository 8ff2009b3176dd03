package main

import (
	"context"
	"errors"

	"patchwork/acl"
	"patchwork/sshfront"
)

// errOnlyRules is for callers about whom no user's file says anything.
var errOnlyRules = errors.New("access denied: only a key that a user's rules name may do this")

// mayForward says whether a caller's huproxy patterns allow HOST:PORT.
func mayForward(ctx context.Context, c sshfront.Caller, hostPort string) error {
	known, ok := c.(caller)
	if !ok {
		return errOnlyRules
	}
	err := known.p.Check(ctx, acl.Forward, "", hostPort)
	if errors.Is(err, acl.ErrForbidden) {
		return errors.New("access denied: no huproxy pattern of yours allows " + hostPort)
	}
	return err
}

// publishAs says under which identity a caller may publish a prefix.
func publishAs(ctx context.Context, c sshfront.Caller, prefix string) (string, error) {
	known, ok := c.(caller)
	if !ok {
		return "", errOnlyRules
	}
	return mayTunnel(ctx, known.p, prefix)
}

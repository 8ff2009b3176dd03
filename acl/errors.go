package acl

import (
	"errors"
	"fmt"
)

// What a caller hears. A door turns them into a status: 401 for the tokens, 403
// for ErrForbidden, 503 for ErrUnavailable, 400 for ErrUser.
var (
	ErrTokenNotFound = errors.New("token not found")
	ErrTokenExpired  = errors.New("token expired")
	ErrForbidden     = errors.New("not allowed")
	ErrUnavailable   = errors.New("the rules cannot be read now, try again later")
	ErrUser          = errors.New("not a user name")
	ErrAmbiguous     = errors.New("the key belongs to several users")
	ErrSignature     = errors.New("the signature is missing or wrong")

	// ErrBroken is a user whose file has a mistake and never was good while we
	// looked. It is an ErrUnavailable.
	ErrBroken = fmt.Errorf("%w: this user's config.yaml has a mistake", ErrUnavailable)
)

// ErrNoUser is what a [Source] says of a user about whom it has nothing.
var ErrNoUser = errors.New("no such user")

// A DecodeError says where a file has a mistake, counted from 1, and which.
// Reason is for the owner of the file: it may repeat a word of it, but never
// what stands in the place of a token or a secret.
type DecodeError struct {
	Line, Column int
	Reason       string
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

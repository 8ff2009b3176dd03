package acl

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// pushRest is how old what is kept of a user must be before an unproven push has
// it read anew.
const pushRest = 10 * time.Second

// Push takes a forge's push webhook: body is the whole request body, signature
// what X-Forgejo-Signature, X-Gitea-Signature or X-Hub-Signature-256 said. When
// the user's webhook_secret made it, what is kept of the user is dropped. The
// errors are ErrSignature, of a user without rules or secret too, ErrUnavailable,
// and the context's.
func (s *Store) Push(ctx context.Context, user string, body []byte, signature string) error {
	if !isUser(user) {
		return ErrSignature
	}
	proven, err := s.proves(ctx, user, body, signature)
	if err == nil && !proven && s.rest(user) {
		// The very push may have brought the secret, or the first rules.
		s.rules.drop(user)
		proven, err = s.proves(ctx, user, body, signature)
	}
	switch {
	case err != nil:
		return err
	case !proven:
		return ErrSignature
	}
	s.Invalidate(user)
	s.run.log.Info("rules dropped by a push", "user", user)
	return nil
}

// rest tells whether what is kept of a user is old enough to be read again for
// somebody unproven.
func (s *Store) rest(user string) bool {
	k, ok := s.rules.look(user)
	return ok && !k.failing && time.Since(k.at) >= pushRest
}

func (s *Store) proves(ctx context.Context, user string, body []byte, signature string) (bool, error) {
	doc, err := s.document(ctx, user)
	switch {
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrBroken):
		return false, nil
	case err != nil:
		return false, err
	case len(doc.webhook) == 0:
		return false, nil
	}
	mac := hmac.New(sha256.New, doc.webhook)
	mac.Write(body)
	return hmac.Equal(fromHex(strings.TrimPrefix(signature, "sha256=")), mac.Sum(nil)), nil
}

// fromHex reads a signature; nothing when it is none.
func fromHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil
	}
	return b
}

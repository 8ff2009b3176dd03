package acl

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxSigned is how long a signed token may be good.
const maxSigned = 366 * 24 * time.Hour

const signedBy = "patchwork"

// A Signer makes and reads signed tokens: a key's owner takes some of their
// rights with them to the HTTP door (JWT, RFC 7519, HS256). They are checked
// against what the key may do at the moment they are used, so they are never
// wider than that.
type Signer struct{ key []byte }

// NewSigner derives the signing key from the relay's secret, for this purpose
// alone.
func NewSigner(secret []byte) *Signer {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("patchwork signed token 1"))
	return &Signer{key: mac.Sum(nil)}
}

type signedClaims struct {
	Key  string   `json:"key"` // fingerprint
	Get  []string `json:"get,omitempty"`
	Post []string `json:"post,omitempty"`
	jwt.RegisteredClaims
}

// Sign returns a token for the principal's own namespace, good for ttl, that may
// do what the patterns say for GET and POST. The principal must have come with an
// SSH key. The error is one plain line.
func (s *Signer) Sign(p *Principal, get, post []string, ttl time.Duration) (string, error) {
	if p.key == nil {
		return "", errors.New("only who comes with an SSH key can have a token signed")
	}
	if ttl <= 0 || ttl > maxSigned {
		return "", fmt.Errorf("a token may be good for up to %d days", maxSigned/(24*time.Hour))
	}
	now := time.Now()
	if _, err := p.Narrow(get, post, now.Add(ttl)); err != nil {
		return "", err
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, signedClaims{
		Key: p.key.String(), Get: get, Post: post,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: signedBy, Audience: jwt.ClaimStrings{signedBy}, Subject: p.namespace,
			IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
	}).SignedString(s.key)
}

// Signed says who brings a signed token to a user's namespace. ok is false for a
// token that this relay did not sign. The errors are [ErrTokenExpired],
// [ErrTokenNotFound] of a token for another namespace or of a key that has no
// rights of its own any more, [ErrUnavailable], and the context's.
func (s *Store) Signed(ctx context.Context, by *Signer, user, token string) (p *Principal, ok bool, err error) {
	if by == nil || strings.Count(token, ".") != 2 {
		return nil, false, nil
	}
	var claims signedClaims
	_, err = jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return by.key, nil },
		jwt.WithValidMethods([]string{"HS256"}), jwt.WithExpirationRequired(),
		jwt.WithIssuer(signedBy), jwt.WithAudience(signedBy))
	switch {
	case errors.Is(err, jwt.ErrTokenExpired) && !errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return nil, true, ErrTokenExpired
	case err != nil:
		return nil, false, nil //nolint:nilerr // whatever it is, it is none of ours
	case claims.Subject != user:
		return nil, true, ErrTokenNotFound
	}
	f, err := ParseKey(claims.Key)
	if err != nil {
		return nil, true, ErrTokenNotFound
	}
	p, err = s.Key(ctx, f, user)
	if err != nil {
		return nil, true, err
	}
	if p.namespace != user {
		return nil, true, ErrTokenNotFound
	}
	p, err = p.Narrow(claims.Get, claims.Post, claims.ExpiresAt.Time)
	return p, true, err
}

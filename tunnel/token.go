package tunnel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// SendIt's tokens are JWTs (RFC 7519), HS256, of this issuer: with audience
// "auth" they open a prefix, with audience "connect" they are what open answers
// with, and their subject is the session.
const (
	tokenIssuer     = "sendit"
	audienceAuth    = "auth"
	audienceConnect = "connect"
)

// clockSkew is how far the clocks of who makes and who reads a token may differ.
const clockSkew = 15 * time.Minute

// GenerateToken returns a token that opens any prefix on a relay with this tunnel
// secret. The subject is a note for whoever reads the token, and part of its
// identity. With a ttl of 0 it does not expire, as the public generator's do not.
func GenerateToken(secret []byte, subject string, ttl time.Duration) (string, error) {
	if ttl < 0 {
		return "", errors.New("a token cannot be good for less than no time")
	}
	return sign(secret, audienceAuth, subject, ttl)
}

func sign(secret []byte, audience, subject string, ttl time.Duration) (string, error) {
	if len(secret) == 0 {
		return "", errors.New("the tunnel secret is empty: give one")
	}
	now := time.Now()
	claims := jwt.RegisteredClaims{
		Issuer: tokenIssuer, Audience: jwt.ClaimStrings{audience}, Subject: subject,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-clockSkew)),
	}
	if ttl > 0 {
		claims.ExpiresAt = jwt.NewNumericDate(now.Add(ttl))
	}
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
}

// verify returns the subject of a token that was signed with secret for this
// audience. Its errors are those of jwt.
func verify(secret []byte, audience, token string) (subject string, err error) {
	if len(secret) == 0 {
		return "", jwt.ErrTokenSignatureInvalid // everybody knows the empty key
	}
	var claims jwt.RegisteredClaims
	_, err = jwt.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Name}), jwt.WithIssuer(tokenIssuer), jwt.WithAudience(audience))
	return claims.Subject, err
}

// An AuthorizeFunc says who may open a prefix with a token. Whoever is the same
// identity may take the prefix over. Its error is one plain line that the client
// may hear; it wraps [ErrUnauthorized], [ErrForbidden], or is an inability to say.
type AuthorizeFunc func(ctx context.Context, token, prefix string) (identity string, err error)

// Authorize returns an AuthorizeFunc that takes tokens made with the tunnel
// secret, and asks next about all others. Without a secret only next is asked,
// without next there are no others; without both, nobody opens anything.
func Authorize(secret []byte, next AuthorizeFunc) AuthorizeFunc {
	return func(ctx context.Context, token, prefix string) (string, error) {
		if len(secret) == 0 && next == nil {
			return "", fmt.Errorf("%w: this relay opens no tunnels, its operator can allow them with --tunnel-secret", ErrForbidden)
		}
		_, err := verify(secret, audienceAuth, token)
		if err == nil {
			sum := sha256.Sum256([]byte(token))
			return "tunnel-secret:" + hex.EncodeToString(sum[:]), nil
		}
		ours := !errors.Is(err, jwt.ErrTokenSignatureInvalid) && !errors.Is(err, jwt.ErrTokenMalformed) && !errors.Is(err, jwt.ErrTokenUnverifiable)
		if next != nil && !ours {
			return next(ctx, token, prefix)
		}
		return "", fmt.Errorf("%w: %s", ErrUnauthorized, tokenFault(err))
	}
}

// tokenFault says in a few words what jwt found.
func tokenFault(err error) string {
	switch {
	case errors.Is(err, jwt.ErrTokenMalformed):
		return "it is not a token, make one with 'patchwork tunnel-token'"
	case errors.Is(err, jwt.ErrTokenSignatureInvalid), errors.Is(err, jwt.ErrTokenUnverifiable):
		return "it was not signed with this relay's tunnel secret"
	case errors.Is(err, jwt.ErrTokenExpired):
		return "it has expired"
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return "it is not valid yet"
	}
	return "it was made for something else"
}

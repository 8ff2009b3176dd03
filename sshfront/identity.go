package sshfront

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"strings"

	"charm.land/ssh"
	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

// An Action is what a caller wants to do with a channel.
type Action uint8

// The actions of this door.
const (
	Receive Action = iota
	Send
)

// A Caller is who stands behind a session, and what they may do.
type Caller interface {
	// Namespace is the caller's own: a topic that names no other owner is there.
	Namespace() string
	// Knows says whether A in "A/B" is an owner; otherwise it is the first part
	// of a topic of the caller's own.
	Knows(owner string) bool
	// May says whether the caller may do this on the channel. It may take a
	// moment, to fetch rules.
	May(ctx context.Context, a Action, n broker.Name) bool
	// Filter returns what May says of each name of a namespace as a function that
	// never blocks, for wildcards; nil when nothing there is open to the caller.
	Filter(ctx context.Context, a Action, namespace string) func(broker.Name) bool
}

// KeyNamespace returns the namespace that an otherwise unknown key owns: "key-"
// and the first 16 characters, in lower-case base32, of the key's SHA-256.
func KeyNamespace(key gossh.PublicKey) string {
	sum := sha256.Sum256(key.Marshal())
	return keyPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:16]
}

const (
	keyPrefix = "key-"
	public    = "public" // the namespace that is open to all
)

// KeyCaller is the caller of a key about which nothing is known: it has its own
// namespace and the public one.
func KeyCaller(key gossh.PublicKey) Caller { return keyCaller(KeyNamespace(key)) }

type keyCaller string

func (k keyCaller) Namespace() string { return string(k) }

func (k keyCaller) Knows(owner string) bool { return strings.HasPrefix(owner, keyPrefix) }

func (k keyCaller) May(_ context.Context, _ Action, n broker.Name) bool {
	return n.Namespace() == string(k) || n.Namespace() == public
}

func (k keyCaller) Filter(_ context.Context, _ Action, namespace string) func(broker.Name) bool {
	if namespace != string(k) && namespace != public {
		return nil
	}
	return func(n broker.Name) bool { return n.Namespace() == namespace }
}

// keyExtension is where the permissions of a connection hold its key. The
// permissions that survive the handshake are those of the key whose signature was
// verified, whatever other keys were offered before or after it.
const keyExtension = "patchwork-key"

// acceptKey is asked for every key a client offers, before it has proven anything.
// Certificates are turned away: nothing here says which authority to believe.
func acceptKey(ctx ssh.Context, key ssh.PublicKey) bool {
	if _, isCertificate := key.(*gossh.Certificate); isCertificate {
		return false
	}
	ctx.Permissions().Extensions = map[string]string{
		keyExtension: base64.StdEncoding.EncodeToString(key.Marshal()),
	}
	return true
}

var errNoKey = errors.New("the connection has no verified key")

// provenKey returns the key that the handshake verified.
func provenKey(c *gossh.ServerConn) (gossh.PublicKey, error) {
	if c.Permissions == nil {
		return nil, errNoKey
	}
	blob, err := base64.StdEncoding.DecodeString(c.Permissions.Extensions[keyExtension])
	if err != nil || len(blob) == 0 {
		return nil, errNoKey
	}
	return gossh.ParsePublicKey(blob)
}

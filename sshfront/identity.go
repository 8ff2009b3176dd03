package sshfront

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"strings"
	"time"

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
	// Owns says whether the caller is the owner of that namespace, and not just
	// somebody to whom its owner gave some rights there.
	Owns(ctx context.Context) bool
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
// namespace and the public one. On a closed server ([Config].Closed) it has only
// the public one.
func KeyCaller(key gossh.PublicKey) Caller { return keyCaller{ownCaller(KeyNamespace(key))} }

// UserCaller is the caller of a user without rules: the own namespace and the
// public one.
func UserCaller(user string) Caller { return ownCaller(user) }

// An ownCaller is its namespace.
type ownCaller string

func (o ownCaller) Namespace() string { return string(o) }

func (o ownCaller) Owns(context.Context) bool { return true }

func (o ownCaller) Knows(owner string) bool { return strings.HasPrefix(owner, keyPrefix) }

func (o ownCaller) May(_ context.Context, _ Action, n broker.Name) bool {
	return n.Namespace() == string(o) || n.Namespace() == public
}

func (o ownCaller) Filter(_ context.Context, _ Action, namespace string) func(broker.Name) bool {
	if namespace != string(o) && namespace != public {
		return nil
	}
	return inNamespace(namespace)
}

func inNamespace(namespace string) func(broker.Name) bool {
	return func(n broker.Name) bool { return n.Namespace() == namespace }
}

// A keyCaller is what [Config].Closed is about.
type keyCaller struct{ ownCaller }

// A publicCaller is an unknown key on a closed server.
type publicCaller struct{ ownCaller }

func (publicCaller) May(_ context.Context, _ Action, n broker.Name) bool {
	return n.Namespace() == public
}

func (publicCaller) Filter(_ context.Context, _ Action, namespace string) func(broker.Name) bool {
	if namespace != public {
		return nil
	}
	return inNamespace(public)
}

var errClosed = refused("access denied: this relay does not know your key; only public topics, with -p, are open to it")

// ErrIdentity is wrapped by errors of [Config].Identify that the client should
// read.
var ErrIdentity = errors.New("access denied")

// identify finds out who the caller is.
func (s *session) identify() error {
	caller, err := s.srv.recognise(s.ctx, s.id, s.user)
	if err != nil {
		return err
	}
	s.caller = caller
	s.as = broker.Identity{Key: gossh.FingerprintSHA256(s.id.Key)}
	if caller.Owns(s.ctx) {
		s.as.User = caller.Namespace() // whom access lists let in by that name
	}
	s.ctx = broker.As(s.ctx, s.as) // nobody else looks at ctx before the command runs
	return nil
}

// recognise finds out who stands behind an identity at this moment. Its errors end
// a session as they are.
func (s *Server) recognise(ctx context.Context, id Identity, user string) (Caller, error) {
	if id.expired(time.Now()) {
		return nil, refused("access denied: your certificate has expired; get a new one and connect again")
	}
	caller, err := s.cfg.Identify(ctx, id, user)
	if err != nil {
		s.log.Debug("ssh identity refused", "error", err)
		if errors.Is(err, ErrIdentity) {
			return nil, refused("%v", err)
		}
		return nil, refused("access denied: this key may do nothing here")
	}
	if key, unknown := caller.(keyCaller); unknown && s.cfg.Closed {
		caller = publicCaller(key)
	}
	return caller, nil
}

// An Identity is what a client proved in the handshake.
type Identity struct {
	// Key is the client's own; of a certificate, the one it is about.
	Key gossh.PublicKey
	// Principals are the user names that a trusted authority vouches for with a
	// certificate. The user name the client gave is one of them then. nil: there
	// is no certificate.
	Principals []string

	cert *gossh.Certificate
}

// identityOf splits what a client authenticated with.
func identityOf(key gossh.PublicKey) Identity {
	if cert, ok := key.(*gossh.Certificate); ok {
		return Identity{Key: cert.Key, Principals: cert.ValidPrincipals, cert: cert}
	}
	return Identity{Key: key}
}

// defaultCaller is what [Config].Identify is when nobody says otherwise.
func defaultCaller(_ context.Context, id Identity, user string) (Caller, error) {
	if id.Principals != nil {
		return UserCaller(user), nil
	}
	return KeyCaller(id.Key), nil
}

// keyExtension is where the permissions of a connection hold its key. The
// permissions that survive the handshake are those of the key whose signature was
// verified, whatever other keys were offered before or after it.
const keyExtension = "patchwork-key"

// acceptKey is asked for every key a client offers, before it has proven anything.
func (s *Server) acceptKey(ctx ssh.Context, key ssh.PublicKey) bool {
	ctx.Value(connKey).(*conn).tried.Store(true)
	permissions := ctx.Permissions()
	if cert, isCertificate := key.(*gossh.Certificate); isCertificate {
		if err := s.checkCert(ctx.User(), cert); err != nil {
			s.log.Debug("ssh certificate refused", "error", err)
			return false
		}
		// The library behind ours looks at source-address there.
		permissions.CriticalOptions = cert.CriticalOptions
	}
	permissions.Extensions = map[string]string{
		keyExtension: base64.StdEncoding.EncodeToString(key.Marshal()),
	}
	return true
}

var errNoKey = errors.New("the connection has no verified key")

// provenIdentity returns what the handshake verified.
func provenIdentity(p *gossh.Permissions) (Identity, error) {
	if p == nil {
		return Identity{}, errNoKey
	}
	blob, err := base64.StdEncoding.DecodeString(p.Extensions[keyExtension])
	if err != nil || len(blob) == 0 {
		return Identity{}, errNoKey
	}
	key, err := gossh.ParsePublicKey(blob)
	if err != nil {
		return Identity{}, err
	}
	return identityOf(key), nil
}

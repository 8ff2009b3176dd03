package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/sshfront"
)

// users opens the rules of users: from a folder, from a forge, or from nowhere.
// The store is never nil: without a source every key owns its own namespace.
func users(cfg config, log *slog.Logger) (*acl.Store, error) {
	source, err := userSource(cfg)
	if err != nil {
		return nil, err
	}
	return acl.NewStore(acl.Config{
		Source: source, TTL: cfg.aclTTL, MaxStale: cfg.aclMaxStale, Admins: cfg.admins, KeysOnly: !cfg.sshOpen, Log: log,
	})
}

func userSource(cfg config) (acl.Source, error) {
	switch {
	case cfg.aclDir != "" && cfg.forgejoURL != "":
		return nil, errors.New("rules come from --acl-dir or from --forgejo-url, not from both; choose one")
	case cfg.aclDir != "":
		dir, err := acl.NewDir(cfg.aclDir)
		if err != nil {
			return nil, fmt.Errorf("--acl-dir: %w", err)
		}
		return dir, nil
	case cfg.forgejoURL != "":
		forge, err := acl.NewForgejo(cfg.forgejoURL, string(cfg.forgejoToken))
		if err != nil {
			return nil, fmt.Errorf("--forgejo-url: %w", err)
		}
		return forge, nil
	}
	return nil, nil
}

// identify says who a client of the SSH door is, by the rules of users. On a relay
// that is not open, keys that nobody knows have the public topics only.
func identify(store *acl.Store, open bool) func(context.Context, sshfront.Identity, string) (sshfront.Caller, error) {
	return func(ctx context.Context, id sshfront.Identity, user string) (sshfront.Caller, error) {
		if len(id.Principals) > 0 {
			return sshfront.UserCaller(user), nil // an authority vouches for it
		}
		p, err := store.Key(ctx, acl.FingerprintOf(id.Key), user)
		if err != nil {
			return nil, readable(err)
		}
		if !open && p.Namespace() == sshfront.KeyNamespace(id.Key) {
			grants, err := store.Grants(ctx, acl.FingerprintOf(id.Key))
			if err != nil {
				return nil, readable(err)
			}
			if len(grants) == 0 {
				return sshfront.KeyCaller(id.Key), nil // a stranger, which the door turns away
			}
		}
		return caller{p}, nil
	}
}

// readable marks what a client can do something about.
func readable(err error) error {
	if errors.Is(err, acl.ErrAmbiguous) || errors.Is(err, acl.ErrUnavailable) {
		return fmt.Errorf("%w: %w", sshfront.ErrIdentity, err)
	}
	return err
}

// A caller is a principal as the SSH door sees it.
type caller struct{ p *acl.Principal }

func (c caller) Namespace() string { return c.p.Namespace() }

// Knows takes an owner of whom nothing can be known now for one: a topic of the
// caller's own would get what was meant for somebody else.
func (c caller) Owns(ctx context.Context) bool {
	owns, err := c.p.Owns(ctx)
	return owns && err == nil
}

func (c caller) Knows(owner string) bool {
	known, err := c.p.Knows(context.Background(), owner)
	return known || err != nil
}

func (c caller) May(ctx context.Context, a sshfront.Action, n broker.Name) bool {
	return c.p.Check(ctx, action(a), "", n.String()) == nil
}

func (c caller) Filter(ctx context.Context, a sshfront.Action, namespace string) func(broker.Name) bool {
	f := c.p.Filter(ctx, action(a), namespace)
	if f == nil {
		return nil
	}
	return func(n broker.Name) bool { return f(n.String()) }
}

func action(a sshfront.Action) acl.Action {
	if a == sshfront.Send {
		return acl.Send
	}
	return acl.Receive
}

// signToken makes tokens for callers that came with a key.
func signToken(signer *acl.Signer) func(context.Context, sshfront.Caller, []string, []string, time.Duration) (string, error) {
	return func(_ context.Context, c sshfront.Caller, get, post []string, ttl time.Duration) (string, error) {
		known, ok := c.(caller)
		if !ok {
			return "", fmt.Errorf("%w: a certificate cannot have one; use a key", sshfront.ErrToken)
		}
		token, err := signer.Sign(known.p, get, post, ttl)
		if err != nil {
			return "", fmt.Errorf("%w: %w", sshfront.ErrToken, err)
		}
		return token, nil
	}
}

// authorities reads the file of trusted certificate authorities; none without one.
func authorities(path string) ([]gossh.PublicKey, error) {
	if path == "" {
		return nil, nil
	}
	keys, err := sshfront.ReadCAs(path)
	if err != nil {
		return nil, fmt.Errorf("--ssh-ca: %w", err)
	}
	return keys, nil
}

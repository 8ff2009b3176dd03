package acl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key says who comes with an SSH key that has been proven. asked is the user name
// given at the door ("ssh asked@host"); it counts when it is a user who knows the
// key, by the account's keys or by ssh_keys, and is ignored otherwise. Then it is
// the user whose account has the key. A key that no account has owns the namespace
// [Fingerprint.Namespace]; what ssh_keys gives it elsewhere it reaches by full
// names. (If bare names went to whoever lists the key, listing a stranger's key
// would divert what they send.)
//
// The errors are ErrAmbiguous, which names the users, ErrUnavailable, and the
// context's.
func (s *Store) Key(ctx context.Context, f Fingerprint, asked string) (*Principal, error) {
	p := &Principal{store: s, key: &f, namespace: f.Namespace()}
	known, err := s.asked(ctx, f, asked)
	switch {
	case err != nil:
		return nil, err
	case known:
		p.namespace = asked
		return p, nil
	}
	grants, err := s.scan(ctx, f, false)
	if err != nil {
		return nil, err
	}
	switch len(grants) {
	case 0:
	case 1:
		p.namespace = grants[0].User
	default:
		names := make([]string, len(grants))
		for i, g := range grants {
			names[i] = g.User
		}
		return nil, fmt.Errorf("%w: say which, as in ssh USER@host: %s", ErrAmbiguous, strings.Join(names, ", "))
	}
	return p, nil
}

// asked tells whether the user named at the door knows the key. Most names there
// are only what the client's machine calls its user, so an outage of the source
// counts only for those that the source has listed.
func (s *Store) asked(ctx context.Context, f Fingerprint, user string) (bool, error) {
	if !isUser(user) {
		return false, nil
	}
	rights, err := s.userRights(ctx, f, user)
	if errors.Is(err, ErrUnavailable) && s.unlisted(ctx, user) {
		return false, nil
	}
	return len(rights) > 0, err
}

// keyRights finds what a key may do in a namespace.
func (s *Store) keyRights(ctx context.Context, f Fingerprint, namespace string) ([]*Rights, error) {
	switch {
	case namespace == f.Namespace() && s.cfg.KeysOnly:
		return nil, nil
	case namespace == f.Namespace():
		return []*Rights{full}, nil
	case !isUser(namespace):
		return nil, nil
	}
	return s.userRights(ctx, f, namespace)
}

// userRights finds what a user gives to a key: everything, when it is one of the
// account's own, and what ssh_keys says. When only one of the two can be read, it
// counts alone if it gives something.
func (s *Store) userRights(ctx context.Context, f Fingerprint, user string) ([]*Rights, error) {
	var rights []*Rights
	keys, keysErr := s.keys.get(ctx, user)
	if keysErr == nil && slices.Contains(keys.Keys, f) {
		rights = append(rights, full)
	}
	doc, err := s.document(ctx, user)
	if err == nil {
		if r := doc.Key(f, time.Now()); r != nil {
			rights = append(rights, r)
		}
	}
	if len(rights) > 0 {
		return rights, nil
	}
	for _, err := range []error{err, keysErr} {
		if err != nil && !errors.Is(err, ErrNoUser) && !errors.Is(err, ErrBroken) {
			return nil, err
		}
	}
	return nil, nil
}

// A Grant is a namespace that a key has rights in.
type Grant struct {
	User string
	Own  bool    // it is a key of the user's account: full rights
	Some *Rights // what ssh_keys gives, or nil
}

// Grants finds all users who know a key, sorted.
func (s *Store) Grants(ctx context.Context, f Fingerprint) ([]Grant, error) {
	return s.scan(ctx, f, true)
}

// scan looks for a key through everything that is kept, and has what is not kept
// read. A user whose keys cannot be read now fails the search unless it finds
// something: the key could be theirs.
func (s *Store) scan(ctx context.Context, f Fingerprint, files bool) ([]Grant, error) {
	users, err := s.users.get(ctx, everyone)
	if err != nil {
		return nil, err
	}
	s.warm(ctx, users, files)
	var grants []Grant
	var missing error
	for _, user := range users {
		g := Grant{User: user}
		keys, err := s.keys.get(ctx, user)
		if err == nil {
			g.Own = slices.Contains(keys.Keys, f)
		} else if !errors.Is(err, ErrNoUser) {
			missing = err
		}
		if files {
			if doc, err := s.document(ctx, user); err == nil {
				g.Some = doc.Key(f, time.Now())
			}
		}
		if g.Own || g.Some != nil {
			grants = append(grants, g)
		}
	}
	if len(grants) == 0 && missing != nil {
		return nil, missing
	}
	slices.SortFunc(grants, func(a, b Grant) int { return strings.Compare(a.User, b.User) })
	return grants, nil
}

// warm has all that is due read at once, not one after the other.
func (s *Store) warm(ctx context.Context, users []string, files bool) {
	var reads sync.WaitGroup
	places := make(chan struct{}, 2*forgeParallel)
	for _, user := range users {
		keys := !s.keys.fresh(user)
		file := files && !s.rules.fresh(user)
		if !keys && !file {
			continue
		}
		places <- struct{}{}
		reads.Go(func() {
			defer func() { <-places }()
			if keys {
				_, _ = s.keys.get(ctx, user) // asked again by the caller, who looks at the error
			}
			if file {
				_, _ = s.rules.get(ctx, user)
			}
		})
	}
	reads.Wait()
}

// fresh tells whether get would answer at once.
func (s *shelf[T]) fresh(name string) bool {
	k, ok := s.look(name)
	return ok && time.Now().Before(k.due)
}

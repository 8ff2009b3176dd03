package acl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Principal is who is asking. It holds no rights itself: each check looks at
// the rules of its moment. It may be used by any number of goroutines.
type Principal struct {
	store     *Store
	namespace string
	token     *digest      // of a user's token, or nil
	key       *Fingerprint // of an SSH key, or nil
	public    bool         // the token is the one of requests that bring none
	admin     bool         // of the whole server
	limit     *Rights      // what a narrowed principal may do at most, or nil
}

// Token says who brings a token to a user's namespace; "" is no token, which is
// the user's token named public. The errors are ErrTokenNotFound (also where there
// are no rules, or never were good ones), ErrTokenExpired, ErrUnavailable, and the context's.
func (s *Store) Token(ctx context.Context, user, token string) (*Principal, error) {
	if token == "" {
		token = publicToken
	}
	sum := digestOf(token)
	p := &Principal{store: s, namespace: user, token: &sum, public: token == publicToken}
	rights, err := p.tokenRights(ctx)
	if err != nil {
		return nil, err
	}
	p.admin = rights.admin && s.isAdmin(user)
	return p, nil
}

// ServerAdmin says who brings a token to the control endpoints of the whole
// server: it must be an is_admin token of a user among the admins.
func (s *Store) ServerAdmin(ctx context.Context, token string) (*Principal, error) {
	if token == "" {
		return nil, ErrTokenNotFound
	}
	result := ErrTokenNotFound
	for _, user := range s.admins {
		p, err := s.Token(ctx, user, token)
		switch {
		case err == nil && p.admin:
			return p, nil
		case err == nil:
			result = fmt.Errorf("%w: the token is not is_admin", ErrForbidden)
		case !errors.Is(err, ErrTokenNotFound):
			result = err
		}
	}
	return nil, result
}

func (s *Store) isAdmin(user string) bool {
	return slices.Contains(s.admins, user)
}

// Namespace is where the principal's own names are: the user's whose token it
// is, whose key it is, or who was named at the door; or that of the key itself.
func (p *Principal) Namespace() string { return p.namespace }

// ServerAdmin tells whether the principal rules the whole server.
func (p *Principal) ServerAdmin() bool { return p.admin && p.limit == nil }

// Identity is the same for the same user, by whatever token or key, and for the
// same unknown key; "" for requests without a token.
func (p *Principal) Identity() string {
	if p.public {
		return ""
	}
	return p.namespace
}

// Knows tells whether A in the name "A/B" is an owner: the principal itself, a
// key, or a user with rules. Otherwise it is part of a name of one's own.
func (p *Principal) Knows(ctx context.Context, owner string) (bool, error) {
	if owner == p.namespace {
		return true, nil
	}
	return p.store.Knows(ctx, owner)
}

// Narrow returns the principal with no more than the rights given as patterns for
// GET and POST, and none from expires on.
func (p *Principal) Narrow(getPatterns, postPatterns []string, expires time.Time) (*Principal, error) {
	limit := &Rights{expires: &expires}
	for m, patterns := range map[method][]string{get: getPatterns, post: postPatterns} {
		for _, s := range patterns {
			pattern, err := parsePattern(s, paths)
			if err != nil {
				return nil, fmt.Errorf("the pattern %.80q: %w", s, err)
			}
			limit.methods[m] = append(limit.methods[m], pattern)
		}
	}
	if p.limit != nil {
		return nil, errors.New("a token for a token is not given out")
	}
	narrow := *p
	narrow.limit = limit
	return &narrow, nil
}

// Check tells whether the principal may do an action: nil, or an error that wraps
// ErrForbidden; ErrTokenNotFound and ErrTokenExpired when the token ended
// meanwhile, ErrUnavailable, and the context's. For Receive, Send and Answer the
// target is the channel's name, namespace first; for Forward HOST:PORT, for Tunnel
// the prefix, for Admin nothing. For request see [Rights.Check].
func (p *Principal) Check(ctx context.Context, a Action, request, target string) error {
	d, err := p.Explain(ctx, a, request, target)
	switch {
	case err != nil:
		return err
	case !d.Allowed && d.Pattern == "":
		return fmt.Errorf("%w: %s", ErrForbidden, d.Reason)
	case !d.Allowed:
		return ErrForbidden // the pattern is its owner's to know
	}
	return nil
}

// Explain is Check for those who own the rules: it tells what decided.
func (p *Principal) Explain(ctx context.Context, a Action, request, target string) (Decision, error) {
	namespace, path := p.namespace, target
	if a == Receive || a == Send || a == Answer {
		namespace, path = split(target)
	}
	if namespace == publicSpace {
		return Decision{Allowed: true, Reason: "public topics are open to all"}, nil
	}
	all, err := p.rightsIn(ctx, namespace)
	if err != nil {
		return Decision{}, err
	}
	if p.limit != nil {
		if p.limit.expired(time.Now()) {
			return Decision{}, ErrTokenExpired
		}
		if d := p.limit.Check(a, request, path); !d.Allowed {
			return d, nil
		}
	}
	d := Decision{Reason: "no rights there"}
	for _, r := range all {
		if d = r.Check(a, request, path); d.Allowed {
			break
		}
	}
	return d, nil
}

// Filter returns what Check(Receive or Send) says of the names of a namespace as
// a function that never blocks, for use under a lock; nil when nothing there is
// open to the principal. It goes by the rules of this moment.
func (p *Principal) Filter(ctx context.Context, a Action, namespace string) func(name string) bool {
	if namespace == publicSpace {
		return func(name string) bool { in, _ := split(name); return in == publicSpace }
	}
	all, err := p.rightsIn(ctx, namespace)
	if err != nil {
		return nil
	}
	open := all[:0:0]
	for _, r := range all {
		if r.opens(a) {
			open = append(open, r)
		}
	}
	if len(open) == 0 {
		return nil
	}
	return func(name string) bool {
		in, path := split(name)
		if in != namespace {
			return false
		}
		now := time.Now()
		if p.limit != nil && (p.limit.expired(now) || !p.limit.Check(a, "", path).Allowed) {
			return false
		}
		for _, r := range open {
			if !r.expired(now) && r.Check(a, "", path).Allowed {
				return true
			}
		}
		return false
	}
}

// rightsIn finds what the principal has in a namespace. One of them is enough.
func (p *Principal) rightsIn(ctx context.Context, namespace string) ([]*Rights, error) {
	switch {
	case p.key != nil:
		return p.store.keyRights(ctx, *p.key, namespace)
	case namespace != p.namespace:
		return nil, nil
	}
	r, err := p.tokenRights(ctx)
	if err != nil {
		return nil, err
	}
	return []*Rights{r}, nil
}

func (p *Principal) tokenRights(ctx context.Context) (*Rights, error) {
	doc, err := p.store.document(ctx, p.namespace)
	switch {
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrBroken): // a mistake is no stranger's business, nor that there is somebody to make it
		return nil, ErrTokenNotFound
	case err != nil:
		return nil, err
	}
	return doc.token(*p.token, time.Now())
}

// Owns tells whether the principal may do all in its own namespace, as the user
// whose account has its key or as the key that the namespace is named after.
func (p *Principal) Owns(ctx context.Context) (bool, error) {
	if p.limit != nil {
		return false, nil
	}
	return p.isOwner(ctx)
}

func (p *Principal) isOwner(ctx context.Context) (bool, error) {
	if p.key == nil {
		return false, nil
	}
	rights, err := p.rightsIn(ctx, p.namespace)
	return slices.Contains(rights, full), err
}

// Listed is what access lists name the principal by: its user, whose own tokens and
// keys it may come with, and the fingerprint of its key. A request without a token
// has neither, and a key that ssh_keys gives a part of the namespace is not the user,
// whatever token was signed for it.
func (p *Principal) Listed(ctx context.Context) (user, key string, err error) {
	if p.key == nil {
		return p.Identity(), "", nil
	}
	owner, err := p.isOwner(ctx)
	if owner {
		user = p.namespace
	}
	return user, p.key.String(), err
}

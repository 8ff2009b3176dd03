package httpfront

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"patchwork/acl"
	"patchwork/broker"
)

// user serves what is below /u: channels of a user, by the rules of that user,
// and under /u/USER/_ the user's control endpoints.
func (s *Server) user(w *response, r *http.Request, d door, rest string) error {
	user, path, _ := strings.Cut(rest, "/")
	if err := broker.CheckUser(user); err != nil {
		return err
	}
	if control, ok := strings.CutPrefix(path, "_/"); ok {
		return s.control(w, r, user, control)
	}
	name, err := broker.ParseName(rest)
	if err != nil {
		return err
	}
	c := channel{door: d, name: name}
	act, err := actionOf(r, c)
	if err != nil {
		return err
	}
	p, err := s.principal(r, user)
	if err != nil {
		return err
	}
	for _, need := range needs(r, act) {
		if err := p.Check(r.Context(), need.action, need.method, name.String()); err != nil {
			s.metric.allowed(err)
			return err
		}
	}
	s.metric.allowed(nil)
	c.p = p
	if c.as.User, c.as.Key, err = p.Listed(r.Context()); err != nil {
		return err
	}
	ctx := broker.As(r.Context(), c.as)
	if act == actReceive || act == actAnswer {
		ctx = broker.ServeBelow(ctx, s.mayServe(ctx, p, user))
	}
	return s.serveChannel(w, r.WithContext(ctx), c)
}

// mayServe says which requests below its name a responder may take: those that it
// could take by their own names.
func (s *Server) mayServe(ctx context.Context, p *acl.Principal, user string) func(broker.Name) bool {
	filter := p.Filter(ctx, acl.Receive, user)
	return func(n broker.Name) bool {
		return filter != nil && filter(n.Namespace()+"/res"+strings.TrimPrefix(n.Topic(), "req"))
	}
}

// may tells whether who asks has all of these rights on a name; outside users'
// namespaces everybody has.
func (c channel) may(ctx context.Context, n broker.Name, actions ...acl.Action) error {
	for _, a := range actions {
		if c.p == nil {
			return nil
		}
		if err := c.p.Check(ctx, a, "", n.String()); err != nil {
			return err
		}
	}
	return nil
}

// A need is a right that a request has to have.
type need struct {
	action acl.Action
	method string // the request's own, where it decides
}

// needs translates what a request does into the rights it takes.
func needs(r *http.Request, act action) []need {
	switch act {
	case actReceive, actPeek:
		return []need{{acl.Receive, ""}}
	case actSend:
		if r.Method == http.MethodGet {
			return []need{{acl.Send, http.MethodPost}} // ?body=
		}
		return []need{{acl.Send, r.Method}}
	case actAsk:
		return []need{{acl.Send, r.Method}}
	case actAnswer:
		if on, err := flag(r, "switch", false); on || err != nil {
			return []need{{acl.Receive, ""}, {acl.Answer, ""}} // it takes the request as well
		}
		return []need{{acl.Answer, ""}}
	case actPipe:
		return []need{{acl.Receive, ""}, {acl.Send, ""}}
	}
	return nil
}

// principal finds out who is asking, by the token a request brings to a user's
// namespace.
func (s *Server) principal(r *http.Request, user string) (*acl.Principal, error) {
	settle, ok := s.limits.guess(r)
	if !ok {
		return nil, errTooMany // guessing has a price
	}
	p, err := s.lookUp(r.Context(), user, tokenOf(r))
	settle(err == nil)
	if err != nil {
		s.metric.allowed(err)
		return nil, err
	}
	return p, nil
}

func (s *Server) lookUp(ctx context.Context, user, token string) (*acl.Principal, error) {
	if s.cfg.Users == nil {
		return nil, acl.ErrTokenNotFound
	}
	if p, ok, err := s.cfg.Users.Signed(ctx, s.cfg.Signer, user, token); ok || err != nil {
		return p, err
	}
	return s.cfg.Users.Token(ctx, user, token)
}

// tokenOf returns the token of a request: Authorization: Bearer T, token T, T
// alone, HTTP Basic (the password, or the user part if that is empty), or
// ?token=T; "" when there is none.
func tokenOf(r *http.Request) string {
	v := strings.TrimSpace(r.Header.Get("Authorization"))
	if v == "" {
		return r.URL.Query().Get("token")
	}
	kind, rest, ok := strings.Cut(v, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case !ok:
		return v
	case strings.EqualFold(kind, "Bearer"), strings.EqualFold(kind, "token"):
		return rest
	case strings.EqualFold(kind, "Basic"):
		text, err := base64.StdEncoding.DecodeString(rest)
		if err != nil {
			return v // no token of anybody
		}
		name, password, _ := strings.Cut(string(text), ":")
		if password == "" {
			return name
		}
		return password
	}
	return v
}

func isACL(err error) bool {
	code, _ := aclStatus(err)
	return code != 0
}

// aclStatus maps the errors of the rules.
func aclStatus(err error) (int, string) {
	switch {
	case errors.Is(err, acl.ErrTokenNotFound), errors.Is(err, acl.ErrTokenExpired), errors.Is(err, acl.ErrSignature):
		for _, known := range []error{acl.ErrTokenNotFound, acl.ErrTokenExpired, acl.ErrSignature} {
			if errors.Is(err, known) {
				return http.StatusUnauthorized, known.Error()
			}
		}
	case errors.Is(err, acl.ErrForbidden):
		return http.StatusForbidden, "not allowed: this token has no right to do that here"
	case errors.Is(err, acl.ErrUnavailable):
		return http.StatusServiceUnavailable, acl.ErrUnavailable.Error()
	case errors.Is(err, acl.ErrUser):
		return http.StatusBadRequest, err.Error()
	}
	return 0, ""
}

// controlPath is how rules name a control endpoint.
func controlPath(user, endpoint string) string {
	return user + "/_/" + (&url.URL{Path: endpoint}).Path
}

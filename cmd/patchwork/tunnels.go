package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"patchwork/acl"
	"patchwork/httpfront"
	"patchwork/tunnel"
)

// tunnels are the parts of the relay that carry other protocols.
type tunnels struct {
	dialer   *tunnel.Dialer
	registry *tunnel.Registry
	sendit   *tunnel.SendIt
	proxy    *tunnel.Proxy
}

func newTunnels(cfg config, store *acl.Store, log *slog.Logger) *tunnels {
	t := &tunnels{
		dialer:   tunnel.NewDialer(tunnel.Policy{Allow: cfg.egressAllow, Deny: cfg.egressDeny}),
		registry: tunnel.NewRegistry(tunnel.RegistryOptions{Reserved: httpfront.Reserved}),
	}
	t.sendit = tunnel.NewSendIt(tunnel.SendItOptions{
		Registry:  t.registry,
		Authorize: tunnel.Authorize([]byte(cfg.tunnelSecret), userTunnels(store)),
		Log:       log,
	})
	t.proxy = tunnel.NewProxy(tunnel.ProxyOptions{
		Registry: t.registry,
		Host:     cfg.tunnelHost,
		Trusted:  func(r *http.Request) bool { return httpfront.FromTrusted(r, cfg.trustedProxies) },
	})
	return t
}

// close ends all sessions; the doors are closed already.
func (t *tunnels) close() {
	t.registry.Close()
	t.sendit.Close()
}

// userTunnels lets users' tokens open the prefixes that their tunnel patterns
// allow. A token stands alone, or behind the name of its user and a colon; alone
// it is looked for among the users whose rules are kept at this moment.
func userTunnels(store *acl.Store) tunnel.AuthorizeFunc {
	return func(ctx context.Context, token, prefix string) (string, error) {
		users := []string{}
		if user, rest, ok := strings.Cut(token, ":"); ok && acl.CheckUser(user) == nil {
			users, token = []string{user}, rest
		} else {
			for _, u := range store.Cached() {
				users = append(users, u.User)
			}
		}
		if token == "" {
			return "", tunnel.ErrUnauthorized
		}
		for _, user := range users {
			p, err := store.Token(ctx, user, token)
			switch {
			case errors.Is(err, acl.ErrTokenNotFound):
				continue
			case errors.Is(err, acl.ErrTokenExpired):
				return "", fmt.Errorf("%w: it has expired", tunnel.ErrUnauthorized)
			case err != nil:
				return "", err
			}
			return mayTunnel(ctx, p, prefix)
		}
		return "", tunnel.ErrUnauthorized
	}
}

// mayTunnel says under which identity a principal may open a prefix.
func mayTunnel(ctx context.Context, p *acl.Principal, prefix string) (string, error) {
	err := p.Check(ctx, acl.Tunnel, "", prefix)
	switch {
	case errors.Is(err, acl.ErrForbidden):
		return "", tunnel.ErrForbidden
	case err != nil:
		return "", err
	case p.Identity() == "":
		return "", tunnel.ErrUnauthorized // the public token is nobody's session
	}
	return "user:" + p.Identity(), nil
}

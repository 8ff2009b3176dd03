package httpfront

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"patchwork/acl"
)

// accountKeys writes the public SSH keys of a user's account, as in authorized_keys,
// so that others can encrypt to them. Keys are public, but who has which is the
// user's to tell: it takes the right to receive from /_/keys.
func (s *Server) accountKeys(w *response, r *http.Request, user string) error {
	p, err := s.principal(r, user)
	if err != nil {
		return err
	}
	err = p.Check(r.Context(), acl.Receive, "", controlPath(user, "keys"))
	s.metric.allowed(err)
	if err != nil {
		return err
	}
	lines, err := s.cfg.Users.AccountKeys(r.Context(), user)
	if err != nil && !errors.Is(err, acl.ErrNoUser) {
		return err
	}
	text := ""
	if len(lines) > 0 {
		text = strings.Join(lines, "\n") + "\n"
	}
	h := w.Header()
	open(h)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.extend(s.cfg.WriteTimeout)
	_, err = io.WriteString(w, text)
	return err
}

package httpfront

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"patchwork/acl"
	"patchwork/broker"
	"patchwork/notify"
)

// A controlEndpoint is something a user's, or the whole server's, administrator
// can do. Adding one is a line in a table and a function.
type controlEndpoint struct {
	method string // "" is the endpoint's own affair
	admin  bool   // an is_admin token is needed
	serve  func(s *Server, w *response, r *http.Request, user string) error
}

// userEndpoints are below /u/USER/_/.
var userEndpoints = map[string]controlEndpoint{
	"invalidate_cache": {http.MethodPost, true, (*Server).invalidateUser},
	"channels":         {http.MethodGet, true, (*Server).userChannels},
	"config":           {http.MethodGet, true, (*Server).userConfig},
	"forgejo":          {http.MethodPost, false, (*Server).forgePush},
	"keys":             {http.MethodGet, false, (*Server).accountKeys},
	"ntfy":             {"", false, (*Server).notify},
}

// NeedsAdmin tells whether the control endpoint of this name is for is_admin tokens
// alone, whatever their patterns say.
func NeedsAdmin(endpoint string) bool { return userEndpoints[endpoint].admin }

// serverEndpoints are below /_/: one for everybody, the others for the admins of
// the server.
var serverEndpoints = map[string]controlEndpoint{
	"whoami":           {http.MethodGet, false, (*Server).whoami},
	"users":            {http.MethodGet, true, (*Server).cachedUsers},
	"invalidate_cache": {http.MethodPost, true, (*Server).invalidateAll},
	"stats":            {http.MethodGet, true, (*Server).totals},
}

// control serves a control endpoint of a user.
func (s *Server) control(w *response, r *http.Request, user, path string) error {
	e, ok := userEndpoints[path]
	if !ok {
		return errorf(http.StatusNotFound, "there is no such control endpoint; there are %s", names(userEndpoints))
	}
	if e.method != "" && r.Method != e.method {
		return notAllowed(e.method)
	}
	if e.admin {
		p, err := s.principal(r, user)
		if err != nil {
			return err
		}
		if err := p.Check(r.Context(), acl.Admin, "", ""); err != nil {
			s.metric.allowed(err)
			return err
		}
		s.metric.allowed(nil)
	}
	return e.serve(s, w, r, user)
}

// serverControl serves a control endpoint of the whole server.
func (s *Server) serverControl(w *response, r *http.Request, path string) error {
	e, ok := serverEndpoints[path]
	if !ok {
		return errorf(http.StatusNotFound, "there is no such control endpoint; there are %s", names(serverEndpoints))
	}
	if r.Method != e.method {
		return notAllowed(e.method)
	}
	if !e.admin {
		return e.serve(s, w, r, "")
	}
	err := acl.ErrTokenNotFound
	if s.cfg.Users != nil {
		_, err = s.cfg.Users.ServerAdmin(r.Context(), tokenOf(r))
	}
	s.metric.allowed(err)
	if errors.Is(err, acl.ErrTokenNotFound) && !s.limits.charge(r) {
		return errTooMany
	}
	if err != nil {
		return err
	}
	return e.serve(s, w, r, "")
}

func names(table map[string]controlEndpoint) string {
	var list []string
	for name := range table {
		list = append(list, name)
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func (s *Server) invalidateUser(w *response, _ *http.Request, user string) error {
	s.cfg.Users.Invalidate(user)
	return s.json(w, map[string]string{"status": "invalidated"})
}

func (s *Server) invalidateAll(w *response, _ *http.Request, _ string) error {
	s.cfg.Users.InvalidateAll()
	return s.json(w, map[string]string{"status": "invalidated"})
}

func (s *Server) cachedUsers(w *response, _ *http.Request, _ string) error {
	return s.json(w, s.cfg.Users.Cached())
}

func (s *Server) totals(w *response, _ *http.Request, _ string) error {
	return s.json(w, map[string]any{"broker": s.broker.Stats(), "users": s.cfg.Users.Stats()})
}

func (s *Server) userConfig(w *response, r *http.Request, user string) error {
	report, err := s.cfg.Users.Report(r.Context(), user)
	if err != nil {
		return err
	}
	return s.json(w, report)
}

// userChannels lists who waits on what in a user's namespace.
func (s *Server) userChannels(w *response, _ *http.Request, user string) error {
	type row struct {
		Channel     string `json:"channel"`
		Producers   int    `json:"producers"`
		Consumers   int    `json:"consumers"`
		Subscribers int    `json:"subscribers"`
		Pipes       int    `json:"pipes"`
	}
	rows := []row{}
	s.broker.Each(func(n broker.Name, c broker.Counts) {
		if n.Namespace() == user {
			rows = append(rows, row{n.String(), c.Producers, c.Consumers, c.Subscribers, c.Pipes})
		}
	})
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.Channel, b.Channel) })
	return s.json(w, rows)
}

// maxPush is how long a forge's push webhook may be.
const maxPush = 8 << 20

// forgePush takes the signed push webhook of a forge and drops the rules that are
// kept of the user at once. The signature is its credential.
func (s *Server) forgePush(w *response, r *http.Request, user string) error {
	if !s.limits.charge(r) {
		return errTooMany
	}
	if s.cfg.Users == nil {
		return acl.ErrSignature
	}
	signature := ""
	for _, h := range signatures {
		if v := r.Header.Get(h); v != "" {
			signature = v
			break
		}
	}
	if signature == "" {
		return acl.ErrSignature
	}
	body, release, err := s.hold(w, r, maxPush)
	switch {
	case err != nil:
		return err
	case body == nil:
		return errorf(http.StatusRequestEntityTooLarge, "a push webhook may have 8 MiB at most")
	}
	defer release()
	err = s.cfg.Users.Push(r.Context(), user, body, signature)
	s.metric.allowed(err)
	if err != nil {
		return err
	}
	return s.json(w, map[string]string{"status": "invalidated"})
}

// notify sends a notification through the user's services.
func (s *Server) notify(w *response, r *http.Request, user string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return notAllowed("GET, POST")
	}
	if r.Method == http.MethodGet && prefetch(r) {
		return errorf(http.StatusForbidden, "a prefetch must not send; open the link itself")
	}
	p, err := s.principal(r, user)
	if err != nil {
		return err
	}
	// A GET with a query sends as well: what is asked for is the right to send.
	err = p.Check(r.Context(), acl.Send, http.MethodPost, controlPath(user, "ntfy"))
	s.metric.allowed(err)
	if err != nil {
		return err
	}
	m, to, err := notify.ParseRequest(r)
	var result notify.Result
	if err == nil {
		var services notify.Config
		if services, err = s.cfg.Users.Notifications(r.Context(), user); err != nil {
			return err
		}
		if s.cfg.Notify == nil {
			err = notify.ErrNone
		} else {
			ctx, cancel := context.WithTimeout(r.Context(), notify.Budget+time.Second)
			result, err = s.cfg.Notify.Send(ctx, services, m, to)
			cancel()
		}
	}
	code, kind, body := notify.Reply(result, err)
	h := w.Header()
	open(h)
	h.Set("Content-Type", kind)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.extend(s.cfg.WriteTimeout)
	w.WriteHeader(code)
	_, err = w.Write(body)
	return err
}

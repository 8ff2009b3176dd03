package httpfront

import (
	_ "embed"
	"net/http"
)

// script is the client for machines that have only curl.
//
//go:embed patchwork.sh
var script string

// shellClient serves /patchwork.sh.
func (s *Server) shellClient(w *response, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return notAllowed("GET, HEAD")
	}
	h := w.Header()
	open(h)
	h.Set("Content-Type", "text/x-shellscript; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	w.extend(s.cfg.WriteTimeout)
	_, err := w.Write([]byte(script))
	return err
}

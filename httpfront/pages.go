package httpfront

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"patchwork/httpfront/web"
)

// SSHDoor is what the pages say of the other door. The port 0 means that it is
// closed.
type SSHDoor = web.SSH

// page makes the handler of a page.
func page(p web.Page) func(*Server, *response, *http.Request) error {
	return func(s *Server, w *response, r *http.Request) error {
		f := s.facts(r)
		html, policy, err := web.Render(p, f)
		if err != nil {
			return err
		}
		return s.servePage(w, r, f, html, policy)
	}
}

// home tells people what this is, in HTML if they ask for it.
func (s *Server) home(w *response, r *http.Request) error {
	w.Header().Set("Vary", "Accept")
	if accepts(r, "text/html") {
		return page(web.Home)(s, w, r)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return pageError{notAllowed("GET, HEAD; channels are at /p/NAME")}
	}
	text, err := web.Help(s.facts(r))
	if err != nil {
		return err
	}
	s.plain(w, http.StatusOK, strings.TrimSuffix(text, "\n"))
	return nil
}

// inspect serves one page for all channels: which one it is, its script reads from
// the address.
func (s *Server) inspect(w *response, r *http.Request, _ string) error {
	return page(web.Inspect)(s, w, r)
}

// manual serves /docs and its pages.
func (s *Server) manual(w *response, r *http.Request, rest string) error {
	f := s.facts(r)
	html, policy, ok, err := web.Manual(rest, f)
	if err != nil {
		return err
	}
	if !ok {
		return pageError{errorf(http.StatusNotFound, "there is no such page in the manual; /docs lists them")}
	}
	return s.servePage(w, r, f, html, policy)
}

// servePage answers with a page.
func (s *Server) servePage(w *response, r *http.Request, f web.Facts, html []byte, policy string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return pageError{notAllowed("GET, HEAD")}
	}
	return s.writePage(w, http.StatusOK, f, html, policy)
}

// framed answers with the page that says why there is none. It returns false, and
// has written nothing, when that page cannot be made either.
func (s *Server) framed(w *response, r *http.Request, code int, line string) bool {
	f := s.facts(r)
	html, policy, err := web.Failure(code, line, f)
	if err != nil {
		s.log.Error("page failed", "error", err)
		return false
	}
	s.writePage(w, code, f, html, policy) //nolint:errcheck // the client may be gone; there is nobody to tell
	return true
}

// writePage writes a page that nobody may frame, keep, or take the address of from.
func (s *Server) writePage(w *response, code int, f web.Facts, html []byte, policy string) error {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(html)))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "no-referrer")
	if f.Secure() { // else browsers ignore it, and complain
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	h.Set("Cache-Control", "no-store") // it has a nonce, and names the host it was asked by
	w.extend(s.cfg.WriteTimeout)
	w.WriteHeader(code)
	_, err := w.Write(html)
	return err
}

// asset makes the handler of a file that has a path of its own.
func asset(name string) func(*Server, *response, *http.Request) error {
	return func(s *Server, w *response, r *http.Request) error { return s.assets(w, r, name) }
}

// assets serves what pages are made of. Browsers keep it, and ask whether it is
// still the same.
func (s *Server) assets(w *response, r *http.Request, name string) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return pageError{notAllowed("GET, HEAD")}
	}
	a, ok := web.Find(name)
	if !ok {
		return pageError{errorf(http.StatusNotFound, "there is no such file")}
	}
	h := w.Header()
	h.Set("Content-Type", a.Type)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox") // a picture that is opened by itself
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("Etag", a.ETag)
	h.Set("Vary", "Accept-Encoding")
	w.extend(s.cfg.WriteTimeout)
	if strings.TrimPrefix(r.Header.Get("If-None-Match"), "W/") == a.ETag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	body := a.Body
	if a.Gzip != nil && acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = a.Gzip
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, err := w.Write(body)
	return err
}

// acceptsGzip tells whether a client takes gzip (RFC 9110, section 12.5.3).
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			q, err := strconv.ParseFloat(strings.TrimPrefix(weight, "q="), 32)
			return err != nil || q > 0
		}
	}
	return false
}

// facts are what a page says of this relay: what the operator said its address
// is, else the one that the client used, which a trusted proxy passes on.
func (s *Server) facts(r *http.Request) web.Facts {
	f := web.Facts{Base: s.cfg.PublicURL}
	if f.Base == "" {
		scheme, host := "http", r.Host
		if r.TLS != nil {
			scheme = "https"
		}
		if s.limits.trusts(s.limits.peer(r)) {
			if v := lastOf(r.Header, "X-Forwarded-Proto"); v == "https" || v == "http" {
				scheme = v
			}
			if v := lastOf(r.Header, "X-Forwarded-Host"); v != "" {
				host = v
			}
		}
		if !plainHost(host) { // it stands in commands that people copy
			host = "localhost"
		}
		f.Base = scheme + "://" + host
	}
	if u, err := url.Parse(f.Base); err == nil {
		f.Host = u.Hostname()
	}
	if s.cfg.SSH != nil {
		f.SSH = s.cfg.SSH()
	}
	return f
}

// lastOf is the value that the nearest proxy has added.
func lastOf(h http.Header, name string) string {
	all := strings.Split(strings.Join(h.Values(name), ","), ",")
	return strings.TrimSpace(all[len(all)-1])
}

// plainHost tells whether host is a name or an address, with or without a port,
// of nothing but letters, digits and what belongs to them.
func plainHost(host string) bool {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || len(host) > 260 || host[0] == '-' || host[0] == '.' || strings.Contains(host, "..") {
		return false
	}
	for _, c := range []byte(host) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._:[]", c) >= 0) {
			return false
		}
	}
	return true
}

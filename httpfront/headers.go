package httpfront

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"patchwork/broker"
)

const patchH = "Patch-H-"

// freely are the producer's own headers that pass without being asked to.
var freely = map[string]bool{
	"User-Agent": true, "Accept": true, "Accept-Language": true, "Referer": true, "Origin": true,
	"Content-Type": true,
}

// never are the names that no message may carry: they belong to one connection,
// hold secrets, or would let a message act as this site or on the proxy before
// it.
var never = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	"Http2-Settings": true, "Expect": true, "Host": true,
	"Authorization": true, "Cookie": true, "X-Patch-Secret": true,
	"Content-Length": true, "Content-Encoding": true, "Date": true, "Content-Range": true,
	"Set-Cookie": true, "Set-Cookie2": true, "Clear-Site-Data": true, "Strict-Transport-Security": true,
	"Service-Worker-Allowed": true, "X-Content-Type-Options": true, "Cache-Control": true,
	"Alt-Svc": true, "Nel": true, "Report-To": true, "Reporting-Endpoints": true, "Expect-Ct": true,
	"X-Sendfile": true, "X-Lighttpd-Send-File": true, "X-Lighttpd-Send-Tempfile": true, "X-Reproxy-Url": true,
}

var neverPrefix = []string{
	"Proxy-", "Content-Security-Policy", "Access-Control-", "Public-Key-Pins", "X-Accel-", "Patch-",
}

// passes tells whether a message may carry the header. Names are canonical.
func passes(name string) bool {
	if never[name] {
		return false
	}
	for _, p := range neverPrefix {
		if strings.HasPrefix(name, p) {
			return false
		}
	}
	return true
}

// forReplies are the headers that only the answer to a request may carry to a
// client: a message must not redirect whoever happens to receive it. They travel
// with every message, because one posted to a switch channel is an answer.
var forReplies = map[string]bool{"Location": true, "Refresh": true, "Patch-Status": true}

// passed returns the headers that travel with a producer's message: what it
// marked with Patch-H-, what passes freely (on hooks, whose senders speak in
// headers of their own, all of them), where it was sent to and how. Names and
// values that are no headers are dropped and counted.
func (s *Server) passed(r *http.Request, c channel) broker.Header {
	h := s.marked(r.Header)
	for name, values := range r.Header {
		if _, marked := h[name]; !marked && (freely[name] || c.hook && passes(name)) {
			s.add(h, name, values)
		}
	}
	if v := r.Header.Get("Patch-Status"); v != "" {
		h["Patch-Status"] = []string{v}
	}
	h["Patch-Uri"] = []string{publicURI(r.URL)}
	h["Patch-Method"] = []string{r.Method}
	return h
}

// marked returns the headers marked with Patch-H-, without their prefix.
func (s *Server) marked(from http.Header) broker.Header {
	h := broker.Header{}
	for name, values := range from {
		if bare, ok := strings.CutPrefix(name, patchH); ok {
			bare = textproto.CanonicalMIMEHeaderKey(bare)
			if passes(bare) {
				s.add(h, bare, values)
			}
		}
	}
	return h
}

func (s *Server) add(h broker.Header, name string, values []string) {
	if !validName(name) {
		s.dropped.Add(1)
		return
	}
	for _, v := range values {
		if !validValue(v) {
			s.dropped.Add(1)
			continue
		}
		h[name] = append(h[name], v)
	}
}

// validName tells whether name is a token of RFC 9110, section 5.6.2.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}

// validValue tells whether v can be a field value: no control character but tab.
func validValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// secretParams are the parts of a query that are nobody else's business.
var secretParams = map[string]bool{"token": true, "secret": true}

// publicURI returns path and query as the client wrote them, without secrets.
func publicURI(u *url.URL) string {
	if u.RawQuery == "" {
		return u.EscapedPath()
	}
	var kept []string
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		key, _, _ := strings.Cut(pair, "=")
		decoded, err := url.QueryUnescape(key)
		if err != nil || secretParams[strings.ToLower(decoded)] {
			continue
		}
		kept = append(kept, pair)
	}
	if len(kept) == 0 {
		return u.EscapedPath()
	}
	return u.EscapedPath() + "?" + strings.Join(kept, "&")
}

// sandbox lets pages that are published on a channel work, and keeps them from
// acting as this site.
const sandbox = "sandbox allow-scripts allow-forms allow-popups allow-downloads"

const plainText = "text/plain; charset=utf-8"

// messageHeader sets the headers of a response that carries a message, from its
// own ones and what is always said. answers may redirect.
func messageHeader(h http.Header, from broker.Header, answer bool) {
	for name, values := range from {
		if answer || !forReplies[name] {
			h[name] = values
		}
	}
	if len(h["Content-Type"]) != 1 || h["Content-Type"][0] == "" {
		h["Content-Type"] = []string{plainText}
	}
	open(h)
	h["X-Content-Type-Options"] = []string{"nosniff"}
	h["Content-Security-Policy"] = []string{sandbox}
	h["Cache-Control"] = []string{"no-store"}
	h["X-Accel-Buffering"] = []string{"no"}
}

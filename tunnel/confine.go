package tunnel

import (
	"net/http"
	"strings"
)

// originWide are response headers by which one page speaks for a whole origin or
// even its neighbours; behind a prefix they would speak for the relay.
var originWide = []string{"Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc", "Nel", "Report-To", "Public-Key-Pins", "Expect-Ct"}

// confine keeps what a published site answers within its prefix.
func confine(r *http.Response) error {
	to := placeOf(r.Request)
	for _, name := range originWide {
		r.Header.Del(name)
	}
	root := "/"
	if !to.byHost {
		root += to.prefix
		if scope := r.Header.Get("Service-Worker-Allowed"); scope != "" && !within(scope, root) {
			r.Header.Del("Service-Worker-Allowed")
		}
	}
	cookies := r.Header["Set-Cookie"]
	for i := range cookies {
		cookies[i] = confineCookie(cookies[i], root)
	}
	return nil
}

// confineCookie scopes a cookie to the host it came from and to the paths below
// root. All else stays as it was written.
func confineCookie(cookie, root string) string {
	var out []string
	path := root
	for i, part := range strings.Split(cookie, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case i == 0:
			out = append(out, part)
		case strings.EqualFold(strings.TrimSpace(name), "Domain"):
		case strings.EqualFold(strings.TrimSpace(name), "Path"):
			if value = strings.TrimSpace(value); within(value, root) {
				path = value
			}
		default:
			out = append(out, part)
		}
	}
	return strings.Join(append(out, " Path="+path), ";")
}

// within says whether path is root or below it, as browsers compare them.
func within(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/' || root == "/") && !strings.Contains(path, "..") && !strings.ContainsAny(path, "%\\")
}

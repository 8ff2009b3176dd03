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
	root := ""
	if !to.byHost {
		root = "/" + to.prefix
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

// confineCookie scopes a cookie to the host it came from and, unless root is "",
// to the paths below root. All else stays as it was written.
func confineCookie(cookie, root string) string {
	parts := strings.Split(cookie, ";")
	out, path := parts[:1], root
	for _, part := range parts[1:] {
		name, value, _ := strings.Cut(part, "=")
		switch name = strings.TrimSpace(name); {
		case strings.EqualFold(name, "Domain"):
		case strings.EqualFold(name, "Path") && root != "":
			if value = strings.TrimSpace(value); within(value, root) {
				path = value
			}
		default:
			out = append(out, part)
		}
	}
	if root != "" { // also where there was none: the default is the folder of the page
		out = append(out, " Path="+path)
	}
	return strings.Join(out, ";")
}

// within says whether path is root or below it, in whatever way it is compared.
func within(path, root string) bool {
	rest, ok := strings.CutPrefix(path, root)
	return ok && (rest == "" || rest[0] == '/') && !strings.Contains(path, "..") && !strings.ContainsAny(path, "%\\")
}

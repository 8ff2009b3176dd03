package notify

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const masked = "[secret]"

// redactor takes the secrets of one target out of a text that is going to be
// read by somebody: an answer to a client, a log line.
type redactor struct {
	replace *strings.Replacer
}

// newRedactor knows each secret as it stands in the configuration and as it may
// come back: percent-encoded, in JSON, and the telling parts of a URL, since a
// service's error may repeat the path of a webhook without its host.
func newRedactor(secrets []string) redactor {
	var forms []string
	for _, secret := range secrets {
		forms = append(forms, secret, url.QueryEscape(secret), url.PathEscape(secret))
		if quoted, err := json.Marshal(secret); err == nil {
			forms = append(forms, strings.Trim(string(quoted), `"`))
		}
		if u, err := url.Parse(secret); err == nil && u.Scheme != "" && strings.Contains(secret, "://") {
			forms = append(forms, tellingParts(u)...)
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // the whole before its parts
	var pairs []string
	for _, form := range slices.Compact(forms) {
		if form != "" {
			pairs = append(pairs, form, masked)
		}
	}
	return redactor{strings.NewReplacer(pairs...)}
}

// tellingParts are those of a URL by which it could be used: everything but the
// scheme and a host with a dot in it. The URLs of shoutrrr hold tokens in any
// place, the host too, and services join or split them at punctuation.
func tellingParts(u *url.URL) []string {
	const tooShortToTell = 6
	whole := []string{u.RequestURI(), u.Path, u.EscapedPath(), u.RawQuery, u.Fragment}
	pieces := []string{u.Path, u.EscapedPath(), u.User.Username()}
	if password, set := u.User.Password(); set {
		whole = append(whole, password)
		pieces = append(pieces, password)
	}
	if !strings.Contains(u.Hostname(), ".") {
		pieces = append(pieces, u.Hostname())
	}
	for _, values := range u.Query() {
		pieces = append(pieces, values...)
	}
	var parts []string
	for _, piece := range pieces {
		parts = append(parts, piece)
		parts = append(parts, strings.FieldsFunc(piece, func(r rune) bool { return strings.ContainsRune("/:-,@", r) })...)
	}
	parts = slices.DeleteFunc(parts, func(s string) bool { return len(s) < tooShortToTell })
	return append(parts, slices.DeleteFunc(whole, func(s string) bool { return len(s) < 2 })...)
}

var urlInText = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>]*[^\s"'<>.,;:!?)]`)

// credentials are those of an Authorization header that a service repeats: what
// is not a plain word, as in "bearer token missing".
var credentials = regexp.MustCompile(`\b([Bb]asic|[Bb]earer) +[A-Za-z0-9+/=._~-]*[A-Z0-9+/=_~][A-Za-z0-9+/=._~-]*`)

// text is s without the secrets, and without the user information and the query
// of any URL in it and any credentials, whosever they are.
func (r redactor) text(s string) string {
	s = urlInText.ReplaceAllStringFunc(s, func(found string) string {
		u, err := url.Parse(found)
		if err != nil {
			scheme, _, _ := strings.Cut(found, "://")
			return scheme + "://…"
		}
		u.User, u.RawQuery, u.Fragment, u.RawFragment = nil, "", "", ""
		return u.String()
	})
	if r.replace != nil {
		s = r.replace.Replace(s)
	}
	return credentials.ReplaceAllString(s, "$1 "+masked)
}

package notify

import (
	"fmt"
	"net/mail"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/http/httpguts"
)

// A kind is what a field of a target's `config` may hold.
type kind int

const (
	word     kind = iota // one line of text
	baseURL              // http or https, without user, query or fragment
	fullURL              // http or https, with all of it
	anyURL               // a URL of any scheme
	number               // a port: 1 to 65535
	oneOf                // one of the field's choices
	address              // a mail address, with or without a name
	mailList             // one mail address or a list of them
	headers              // a mapping of header names to values
	matrixID             // @user:server
	roomID               // !id:server or #alias:server
)

// field is one key of a target's `config`, as data: what it holds, whether it
// must be there, and whether it is a secret.
type field struct {
	name     string
	kind     kind
	required bool
	secret   bool
	value    string   // when it is absent
	choices  []string // of oneOf
}

// values are what one target's `config` says, valid for its fields. A list is
// kept as its items, a mapping as "name: value" items, everything else as one.
type values map[string][]string

func (v values) text(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

func (v values) list(name string) []string { return v[name] }

func (v values) has(name string) bool { return len(v[name]) > 0 }

// check says what is wrong with one value of the field. It never repeats the
// value of a secret.
func (f field) check(value string) error {
	if strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("has a line end or another control character")
	}
	if value == "" {
		return fmt.Errorf("is empty")
	}
	shown := strconv.Quote(clip(value, 80))
	if f.secret {
		shown = "its value"
	}
	switch f.kind {
	case baseURL, fullURL:
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "" {
			return fmt.Errorf("%s is not an http or https URL", shown)
		}
		if f.kind == baseURL && (u.User != nil || u.RawQuery != "" || u.Fragment != "") {
			return fmt.Errorf("must be a URL without user, query and fragment; credentials have fields of their own")
		}
	case anyURL:
		if u, err := url.Parse(value); err != nil || u.Scheme == "" {
			return fmt.Errorf("%s is not a URL", shown)
		}
	case number:
		if n, err := strconv.Atoi(value); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%s is not a port, 1 to 65535", shown)
		}
	case oneOf:
		if !slices.Contains(f.choices, value) {
			return fmt.Errorf("%s is not one of %s", shown, strings.Join(f.choices, ", "))
		}
	case address, mailList:
		if _, err := mail.ParseAddress(value); err != nil {
			return fmt.Errorf("%s is not a mail address", shown)
		}
	case headers:
		return checkHeader(value)
	case matrixID:
		if local, server, ok := strings.Cut(value, ":"); !ok || len(local) < 2 || local[0] != '@' || server == "" || strings.ContainsAny(value, " /") {
			return fmt.Errorf("%s is not a Matrix user, @name:server", shown)
		}
	case roomID:
		if err := checkRoom(value); err != nil {
			return fmt.Errorf("%s is not a room; rooms are !id:server or #alias:server", shown)
		}
	}
	return nil
}

// ownHeaders are those that the connection or the signature depend on.
var ownHeaders = []string{
	"connection", "content-encoding", "content-length", "content-type", "expect", "host", "keep-alive", "proxy-authorization",
	"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", signatureHeader,
}

func checkHeader(item string) error {
	name, value, _ := strings.Cut(item, ": ")
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("%q is not a header's name", clip(name, 80))
	}
	if slices.ContainsFunc(ownHeaders, func(own string) bool { return strings.EqualFold(own, name) }) {
		return fmt.Errorf("%s is set by the relay itself", name)
	}
	if !httpguts.ValidHeaderFieldValue(value) {
		return fmt.Errorf("%s: its value is not a header's value", name)
	}
	return nil
}

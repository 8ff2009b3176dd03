package acl

import (
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// readRights reads what stands below a token or a key.
func readRights(p pair, what string) (*Rights, error) {
	r := &Rights{place: place{p.key.Line, p.key.Column}}
	if isNull(p.value) {
		return r, nil
	}
	fields, err := mapping(p.value, "the rights of "+what)
	if err != nil {
		return nil, err
	}
	for _, f := range fields {
		if err := r.readField(f); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *Rights) readField(f pair) (err error) {
	for m, name := range methodNames {
		if f.name == name {
			r.methods[m], err = readList(f, paths)
			return err
		}
	}
	switch f.name {
	case "huproxy":
		r.forward, err = readList(f, hosts)
	case "tunnel":
		r.tunnel, err = readList(f, prefixes)
	case "is_admin":
		if f.value.Kind != yaml.ScalarNode || f.value.ShortTag() != "!!bool" {
			return wrong(f.value, "is_admin must be true or false")
		}
		r.admin = strings.EqualFold(f.value.Value, "true")
	case "expires_at":
		r.expires, err = readTime(f)
	default:
		err = wrong(f.key, "unknown key: there are %s, huproxy, tunnel, is_admin and expires_at, in this spelling",
			strings.Join(methodNames[:], ", "))
	}
	return err
}

// readList reads one pattern or a list of them. Empty text and nothing at all are
// no pattern.
func readList(f pair, kind patternKind) (list, error) {
	items := []*yaml.Node{f.value}
	switch {
	case isNull(f.value):
		return nil, nil
	case f.value.Kind == yaml.SequenceNode:
		items = f.value.Content
	case f.value.Kind != yaml.ScalarNode:
		return nil, wrong(f.value, "%s must be a pattern or a list of patterns", f.name)
	}
	if len(items) > maxList {
		return nil, wrong(items[maxList], "%s has more than %d patterns: use * to say it with fewer", f.name, maxList)
	}
	var l list
	for _, item := range items {
		n := resolve(item)
		if !isText(n) {
			return nil, wrong(item, "a pattern of %s must be text: put it in quotes", f.name)
		}
		if n.Value == "" {
			continue
		}
		p, err := parsePattern(n.Value, kind)
		if err != nil {
			return nil, wrong(item, "%s: %v", f.name, err)
		}
		p.place = place{item.Line, item.Column}
		l = append(l, p)
	}
	return l, nil
}

// readTime reads RFC 3339, or a date, which begins at midnight UTC.
func readTime(f pair) (*time.Time, error) {
	if f.value.Kind == yaml.ScalarNode && !isNull(f.value) {
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			if t, err := time.Parse(layout, f.value.Value); err == nil {
				return &t, nil
			}
		}
	}
	return nil, wrong(f.value, "expires_at must be a time like 2027-01-31T12:00:00Z or a date like 2027-01-31")
}

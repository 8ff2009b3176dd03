package acl

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// A Report is what an owner may know about the rules in force.
type Report struct {
	Rules   string    `json:"rules"`             // YAML, as understood, secrets left out; "" when there never were good ones
	Read    time.Time `json:"read"`              // when the source last answered
	Stale   bool      `json:"stale,omitempty"`   // it could not be read since
	Problem string    `json:"problem,omitempty"` // what is wrong with the file as it is now, with line and column
	Skipped []int     `json:"skipped_keys,omitempty"`
}

// Report reads a user's rules as they are in force. The errors are those of
// reading them; a file with a mistake is none.
func (s *Store) Report(ctx context.Context, user string) (Report, error) {
	if !isUser(user) {
		return Report{}, ErrNoUser
	}
	f, err := s.rules.get(ctx, user)
	if err != nil {
		return Report{}, err
	}
	var r Report
	if k, ok := s.rules.look(user); ok {
		r.Read, r.Stale = k.at, k.failing
	}
	if f.problem != nil {
		r.Problem = f.problem.Error()
	}
	if f.doc != nil {
		rules, err := f.doc.Encode()
		if err != nil {
			return Report{}, err
		}
		r.Rules = string(rules)
	}
	if k, ok := s.keys.look(user); ok {
		r.Skipped = k.value.Skipped
	}
	return r, nil
}

// Encode is [Document.MarshalYAML] as text.
func (d *Document) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(d); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Close()
}

// A CachedUser is a user whose rules are kept.
type CachedUser struct {
	User   string    `json:"user"`
	Read   time.Time `json:"read"`
	Stale  bool      `json:"stale,omitempty"`
	Broken bool      `json:"broken,omitempty"` // the file as it is now has a mistake
}

// Cached lists the users whose rules are kept, sorted. It never asks the source.
func (s *Store) Cached() []CachedUser {
	var users []CachedUser
	for user, k := range s.rules.good.All() {
		users = append(users, CachedUser{User: user, Read: k.at, Stale: k.failing, Broken: k.value.problem != nil})
	}
	slices.SortFunc(users, func(a, b CachedUser) int { return strings.Compare(a.User, b.User) })
	return users
}

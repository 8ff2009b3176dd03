package sshfront

import (
	"errors"
	"flag"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"patchwork/broker"
)

const tokenHelp = `
  Patterns are those of OpenSSH, on your topics: * is any run of characters, ?
  is one, ! forbids. Without -get and -post the token may do all that you may.

  curl -H "Authorization: Bearer $(HOST token)" https://…
  HOST token -get 'builds/*' -post builds/new -ttl 1h
`

// ErrToken is wrapped by errors of [Config].SignToken that the client should read.
var ErrToken = errors.New("no token")

// defaultTTL is how long a token is good unless the client says.
const defaultTTL = 24 * time.Hour

// Limits of one token's rights: it travels in headers.
const (
	maxPatterns = 50
	maxPattern  = broker.MaxName
)

func tokenFlags(f *flag.FlagSet, o *options) {
	o.ttl = defaultTTL
	f.Func("get", "what it may receive from: a `PATTERN` on your topics; may be repeated", patterns(&o.get))
	f.Func("post", "what it may send to: a `PATTERN` on your topics; may be repeated", patterns(&o.post))
	f.Func("ttl", "it is good for `DURATION`, like 90s or 30d (default 24h)", func(s string) error {
		d, err := duration(s)
		if err == nil && d < time.Second {
			err = errors.New("want a second or more")
		}
		o.ttl = d
		return err
	})
	f.BoolVar(&o.clean, "c", false, "no talk on stderr")
}

// patterns makes a flag that may be repeated.
func patterns(list *[]string) func(string) error {
	return func(s string) error {
		rest := strings.TrimPrefix(strings.TrimPrefix(s, "!"), "/")
		switch {
		case rest == "":
			return errors.New("the pattern is empty")
		case len(s) > maxPattern:
			return errors.New("the pattern is too long")
		case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
			return errors.New("the pattern holds control characters")
		case len(*list) == maxPatterns:
			return errors.New("too many patterns; use * in them")
		}
		*list = append(*list, s)
		return nil
	}
}

// runToken prints a token for the caller's namespace.
func runToken(s *session, o *options) error {
	sign := s.srv.cfg.SignToken
	if sign == nil {
		return refused("tokens are not available on this relay")
	}
	if _, closed := s.caller.(publicCaller); closed {
		return errClosed
	}
	if len(o.get)+len(o.post) == 0 {
		o.get, o.post = []string{"*"}, []string{"*"}
	}
	if err := errors.Join(s.mayAll(Receive, o.get), s.mayAll(Send, o.post)); err != nil {
		return err
	}
	token, err := sign(s.ctx, s.caller, o.get, o.post, o.ttl)
	if errors.Is(err, ErrToken) {
		return refused("%v", err)
	}
	if err != nil {
		return err
	}
	s.talk("good until %s for /u/%s; get: %s; post: %s", time.Now().Add(o.ttl).UTC().Format(time.RFC3339),
		s.caller.Namespace(), said(o.get), said(o.post))
	return s.print(token + "\n")
}

func said(patterns []string) string {
	if len(patterns) == 0 {
		return "nothing"
	}
	return strings.Join(patterns, " ")
}

// mayAll refuses patterns that are plain topics beyond the caller's rights. What
// others match is for the signer to hold against them.
func (s *session) mayAll(a Action, patterns []string) error {
	for _, p := range patterns {
		if strings.ContainsAny(p, "*?!") {
			continue
		}
		name, err := broker.ParseName(s.caller.Namespace() + "/" + strings.TrimPrefix(p, "/"))
		if err != nil {
			continue // a control endpoint, say
		}
		if !s.caller.May(s.ctx, a, name) {
			return denied(name.String())
		}
	}
	return nil
}

package acl

import (
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// ownTest is one entry of tests: what its writer is sure of.
//
//	tests:
//	  - {token: "some-long-token", action: POST, path: /projects/web/data, expect: allow}
//	  - {key: "SHA256:kX3…", action: receive, path: /secret, expect: deny}
//	  - {action: GET, path: /status, expect: allow}        # without a token
//
// The action is a method or an action's name; for forward the path is HOST:PORT,
// for tunnel the prefix.
type ownTest struct {
	holder  *holder
	action  Action
	request string
	path    string
	allow   bool
}

// runTests refuses the document when one of its own tests fails. Expiry is left
// out: a file that was good stays good.
func (d *Document) runTests(n *yaml.Node) error {
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		return wrong(n, "tests must be a list")
	}
	for _, item := range n.Content {
		t, err := d.readTest(resolve(item))
		if err != nil {
			return err
		}
		got := t.holder.rights.Check(t.action, t.request, t.path)
		if got.Allowed != t.allow {
			return wrong(item, "this test fails: it is %s", got)
		}
	}
	return nil
}

func (d *Document) readTest(n *yaml.Node) (ownTest, error) {
	var t ownTest
	fields, err := mapping(n, "a test")
	if err != nil {
		return t, err
	}
	var who, action, path, expect bool
	for _, f := range fields {
		value, err := text(f)
		if err != nil {
			return t, err
		}
		switch f.name {
		case "token", "key":
			if who {
				return t, wrong(f.key, "a test has a token or a key, not both")
			}
			who = true
			t.holder, err = d.tested(f)
		case "action":
			action = true
			if t.action, t.request, err = ParseAction(value); err != nil {
				err = wrong(f.value, "%v", err)
			}
		case "path":
			path = true
			t.path = value
		case "expect":
			expect = true
			t.allow = value == "allow"
			if !t.allow && value != "deny" {
				err = wrong(f.value, "expect must be allow or deny")
			}
		default:
			err = wrong(f.key, "unknown key: a test has token or key, action, path and expect")
		}
		if err != nil {
			return t, err
		}
	}
	if !action || !expect || !path && t.action != Admin {
		return t, wrong(n, "a test needs action, path and expect")
	}
	if !who {
		if t.holder = d.tokens[digestOf(publicToken)]; t.holder == nil {
			t.holder = &holder{rights: &Rights{}}
		}
	}
	return t, nil
}

// tested finds the holder that a test names. One that is not there is more
// likely a slip than a wish.
func (d *Document) tested(f pair) (*holder, error) {
	var h *holder
	p := pair{name: f.value.Value, key: f.value, value: f.value}
	if f.name == "token" {
		sum, err := parseToken(p)
		if err != nil {
			return nil, err
		}
		h = d.tokens[sum]
	} else {
		fingerprint, err := ParseKey(p.name)
		if err != nil {
			return nil, wrong(f.value, "%v", err)
		}
		h = d.keys[fingerprint]
	}
	if h == nil {
		return nil, wrong(f.value, "the file has no such %s", f.name)
	}
	return h, nil
}

// Can answers what `patchwork acl can` asks: what a token, or the key when it is
// given, may do at this moment, and by which rule.
func (d *Document) Can(token string, key *Fingerprint, a Action, request, target string) Decision {
	now := time.Now()
	if key != nil {
		r := d.Key(*key, now)
		if r == nil {
			return Decision{Reason: "the key is not in ssh_keys, or expired"}
		}
		return r.Check(a, request, target)
	}
	r, err := d.Token(token, now)
	if err != nil {
		return Decision{Reason: fmt.Sprint(err)}
	}
	return r.Check(a, request, target)
}

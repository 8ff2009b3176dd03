package acl

import (
	"slices"
	"testing"
)

// sameRights fails when b gives other rights than a.
func sameRights(t *testing.T, a, b *Document) {
	t.Helper()
	if len(a.tokens) != len(b.tokens) || len(a.keys) != len(b.keys) {
		t.Fatalf("%d tokens and %d keys became %d and %d", len(a.tokens), len(a.keys), len(b.tokens), len(b.keys))
	}
	for sum, h := range a.tokens {
		if other := b.tokens[sum]; other == nil || !equalRights(h.rights, other.rights) {
			t.Errorf("the token on line %d has other rights", h.rights.line)
		}
	}
	for f, h := range a.keys {
		if other := b.keys[f]; other == nil || !equalRights(h.rights, other.rights) {
			t.Errorf("the key on line %d has other rights", h.rights.line)
		}
	}
}

func equalRights(a, b *Rights) bool {
	lists := func(r *Rights) []list { return append(slices.Clone(r.methods[:]), r.forward, r.tunnel) }
	equal := a.admin == b.admin && (a.expires == nil) == (b.expires == nil) && (a.expires == nil || a.expires.Equal(*b.expires))
	return equal && slices.EqualFunc(lists(a), lists(b), func(x, y list) bool {
		return slices.EqualFunc(x, y, func(p, q Pattern) bool {
			return p.text == q.text && p.negated == q.negated && slices.Equal(p.parts, q.parts)
		})
	})
}

// FuzzDecode: what is shown of a file gives the same rights as the file, and no
// webhook secret.
func FuzzDecode(f *testing.F) {
	_, line := testKey(1)
	for _, s := range []string{
		seedNewer, seedOlder, "", "tokens: {T: {GET: [\"*\", \"!x\"]}}", "ssh_keys: {\"" + line + " c\": {POST: a}}",
		"tokens: {5: {PUT: \"a\\u2028b\", DELETE: ['#', '- ', \"\\\"\"]}}\nwebhook_secret: x",
		"T: &t {GET: a}\nU: *t", "tokens:\n  a: {expires_at: 2027-01-01T00:00:00.123+14:00, is_admin: TRUE, huproxy: \"H:*\", tunnel: w}",
		"tests:\n- {action: GET, path: x, expect: deny}", "ntfy: {type: ntfy, config: {topic: x}}", "tokens:\n\t a: b",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		doc, err := Decode(data)
		if err != nil {
			if _, ok := err.(*DecodeError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		out, err := doc.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(out)
		if err != nil {
			if doc.ntfy.Empty() {
				t.Fatalf("%v in\n%s", err, out)
			}
			return // a masked secret need not be a value that the service takes
		}
		if len(again.webhook) > 0 {
			t.Error("what is shown has a webhook secret")
		}
		sameRights(t, doc, again)
	})
}

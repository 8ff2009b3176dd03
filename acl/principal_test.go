package acl

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhoBringsNoTokenIsPublic(t *testing.T) {
	s := newTestStore(t, Config{Source: newFake(map[string]string{
		"alice": "tokens: {public: {GET: /status}, T: {GET: '*'}}", "bob": "tokens: {T: {GET: '*'}}",
	})})
	p, err := s.Token(t.Context(), "alice", "")
	if err != nil || p.Identity() != "" || p.Namespace() != "alice" {
		t.Fatal(p, err)
	}
	if err := p.Check(t.Context(), Receive, "GET", "alice/status"); err != nil {
		t.Error(err)
	}
	if err := p.Check(t.Context(), Receive, "GET", "alice/other"); !errors.Is(err, ErrForbidden) {
		t.Error(err)
	}
	if _, err := s.Token(t.Context(), "bob", ""); !errors.Is(err, ErrTokenNotFound) {
		t.Error(err)
	}
	// A wrong token is not the same as none.
	if _, err := s.Token(t.Context(), "alice", "wrong"); !errors.Is(err, ErrTokenNotFound) {
		t.Error(err)
	}
}

func TestATokenIsGoodInItsNamespaceOnly(t *testing.T) {
	s := newTestStore(t, Config{Source: newFake(map[string]string{
		"alice": "tokens: {T: {GET: '*', POST: '*'}}", "bob": "tokens: {T: {}}",
	})})
	p, err := s.Token(t.Context(), "alice", "T")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"alice/x": nil, "public/x": nil, "bob/x": ErrForbidden, "h/x": ErrForbidden, "channels/a/b": ErrForbidden,
		"key-abcdefghijklmnop/x": ErrForbidden, "alice": ErrForbidden, "": ErrForbidden, "alicex/x": ErrForbidden,
	} {
		if err := p.Check(t.Context(), Send, "POST", name); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	if f := p.Filter(t.Context(), Receive, "bob"); f != nil {
		t.Error("there is a filter for another's namespace")
	}
	if f := p.Filter(t.Context(), Receive, "alice"); f == nil || f("bob/x") || !f("alice/x") {
		t.Error("the filter of the own namespace is wrong")
	}
	if f := p.Filter(t.Context(), Receive, "public"); f == nil || !f("public/x") || f("alice/x") || f("h/x") {
		t.Error("the public filter is wrong")
	}
}

func TestAKeyIsItsAccountsOrItsOwn(t *testing.T) {
	source := newFake(map[string]string{})
	alices, line := testKey(1)
	strangers, strangersLine := testKey(2)
	twice, _ := testKey(3)
	source.files["alice"] = "tokens: {}"
	source.files["bob"] = "ssh_keys:\n  '" + line + "': {GET: '/for/alice'}\n  '" + strangersLine + "': {POST: '/drop/*', huproxy: 'h:22', tunnel: 'web'}\n"
	source.files["carol"] = ""
	source.keys["alice"] = []Fingerprint{alices, twice}
	source.keys["bob"] = nil
	source.keys["carol"] = []Fingerprint{twice}
	s := newTestStore(t, Config{Source: source})
	for _, c := range []struct {
		key       Fingerprint
		asked     string
		namespace string
		target    string
		action    Action
		want      bool
	}{
		{alices, "", "alice", "alice/x", Send, true},
		{alices, "root", "alice", "alice/x", Receive, true},
		{alices, "carol", "alice", "carol/x", Receive, false},
		{alices, "", "alice", "bob/for/alice", Receive, true}, // others she is let in by
		{alices, "", "alice", "bob/for/alice", Send, false},
		{alices, "", "alice", "bob/x", Receive, false},
		{alices, "bob", "bob", "bob/for/alice", Receive, true},
		{alices, "bob", "bob", "alice/x", Receive, true},
		{alices, "", "alice", alices.Namespace() + "/x", Receive, true},
		{strangers, "", strangers.Namespace(), strangers.Namespace() + "/x", Send, true},
		{strangers, "bob", "bob", "bob/drop/x", Send, true},
		{strangers, "bob", "bob", "bob/drop/x", Receive, false},
		{strangers, "", strangers.Namespace(), "bob/drop/x", Send, true},
		{strangers, "alice", strangers.Namespace(), "alice/x", Receive, false},
		{strangers, "", strangers.Namespace(), alices.Namespace() + "/x", Receive, false},
		{strangers, "", strangers.Namespace(), "public/x", Send, true},
		{strangers, "", strangers.Namespace(), "h/x", Send, false},
		{strangers, "bob", "bob", "h:22", Forward, true},
		{strangers, "bob", "bob", "web", Tunnel, true},
		{strangers, "", strangers.Namespace(), "h:22", Forward, false},
		{strangers, "bob", "bob", "", Admin, false},
		{alices, "", "alice", "", Admin, false},
		{alices, "", "alice", "h:22", Forward, false},
		{twice, "carol", "carol", "carol/x", Send, true},
	} {
		p, err := s.Key(t.Context(), c.key, c.asked)
		if err != nil {
			t.Errorf("%q: %v", c.asked, err)
			continue
		}
		if p.Namespace() != c.namespace {
			t.Errorf("asked for %q it is %q, want %q", c.asked, p.Namespace(), c.namespace)
		}
		err = p.Check(t.Context(), c.action, "", c.target)
		if (err == nil) != c.want || err != nil && !errors.Is(err, ErrForbidden) {
			t.Errorf("asked for %q, %v %s: %v, want %v", c.asked, c.action, c.target, err, c.want)
		}
	}
	if _, err := s.Key(t.Context(), twice, ""); !errors.Is(err, ErrAmbiguous) {
		t.Errorf("%v, want ErrAmbiguous", err)
	}
	grants, err := s.Grants(t.Context(), alices)
	if err != nil || len(grants) != 2 || grants[0].User != "alice" || !grants[0].Own || grants[1].User != "bob" || grants[1].Own || grants[1].Some == nil {
		t.Errorf("%+v, %v", grants, err)
	}
	p, _ := s.Key(t.Context(), strangers, "")
	for owner, want := range map[string]bool{
		"alice": true, "bob": true, "dave": false, "x y": false, "public": false, alices.Namespace(): true, strangers.Namespace(): true,
	} {
		if got, err := p.Knows(t.Context(), owner); got != want || err != nil {
			t.Errorf("knows %q: %v, %v", owner, got, err)
		}
	}
}

func TestUnknownKeysCanBeTurnedAway(t *testing.T) {
	key, _ := testKey(2)
	s := newTestStore(t, Config{KeysOnly: true})
	p, err := s.Key(t.Context(), key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), Send, "", p.Namespace()+"/x"); !errors.Is(err, ErrForbidden) {
		t.Error(err)
	}
	if err := p.Check(t.Context(), Send, "", "public/x"); err != nil {
		t.Error(err)
	}
	if p.Filter(t.Context(), Receive, p.Namespace()) != nil {
		t.Error("there is a filter for the namespace it is kept out of")
	}
}

// A user of the forge who is called like a key's namespace gets nothing by it.
func TestNobodyTakesAKeysNamespaceOnTheForge(t *testing.T) {
	key, _ := testKey(2)
	thief, _ := testKey(3)
	source := newFake(map[string]string{key.Namespace(): aliceRules})
	source.keys[key.Namespace()] = []Fingerprint{thief}
	s := newTestStore(t, Config{Source: source})
	if _, err := s.Token(t.Context(), key.Namespace(), "T"); !errors.Is(err, ErrTokenNotFound) {
		t.Error(err)
	}
	p, err := s.Key(t.Context(), thief, key.Namespace())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), Receive, "", key.Namespace()+"/x"); !errors.Is(err, ErrForbidden) {
		t.Error(err)
	}
}

// When it cannot be known whose a key is, it is not taken for a stranger's: what
// its owner sends would go elsewhere.
func TestAKeyIsNotGuessedDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key, _ := testKey(1)
		source := newFake(map[string]string{"alice": ""})
		source.keys["alice"] = []Fingerprint{key}
		source.down = errDown
		s := newTestStore(t, Config{Source: source})
		if _, err := s.Key(t.Context(), key, ""); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
		source.set(func() { source.down = nil })
		pass(retryAfter)
		if p, err := s.Key(t.Context(), key, ""); err != nil || p.Namespace() != "alice" {
			t.Error(p, err)
		}
		// The same when only some cannot be read; who is found is found.
		other, _ := testKey(2)
		source.set(func() {
			source.files["bob"] = ""
			source.noKey = map[string]bool{"bob": true}
		})
		s.InvalidateAll()
		if _, err := s.Key(t.Context(), other, ""); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%v, want ErrUnavailable", err)
		}
		if p, err := s.Key(t.Context(), key, ""); err != nil || p.Namespace() != "alice" {
			t.Error(p, err)
		}
		source.set(func() { source.noKey = nil })
		pass(retryAfter)
		if p, err := s.Key(t.Context(), other, ""); err != nil || p.Namespace() != other.Namespace() {
			t.Error(p, err)
		}
		// Once known, it is known through the next outage, whatever the client's
		// machine calls its user.
		source.set(func() { source.down = errDown })
		pass(30 * time.Minute)
		for _, asked := range []string{"", "root", "alice"} {
			if p, err := s.Key(t.Context(), key, asked); err != nil || p.Namespace() != "alice" {
				t.Errorf("asked for %q: %v, %v", asked, p, err)
			}
		}
	})
}

func TestServerAdminsAreAdminTokensOfThoseNamed(t *testing.T) {
	s := newTestStore(t, Config{
		Source: newFake(map[string]string{
			"root":  "tokens: {A: {is_admin: true}, B: {GET: '*'}, E: {is_admin: true, expires_at: 2001-01-01}}",
			"alice": "tokens: {C: {is_admin: true}}",
		}),
		Admins: []string{"gone", "root"},
	})
	for token, want := range map[string]error{"A": nil, "B": ErrForbidden, "C": ErrTokenNotFound, "E": ErrTokenExpired, "": ErrTokenNotFound, "x": ErrTokenNotFound} {
		p, err := s.ServerAdmin(t.Context(), token)
		if want == nil && (err != nil || !p.ServerAdmin()) || want != nil && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", token, err, want)
		}
	}
	p, err := s.Token(t.Context(), "alice", "C")
	if err != nil || p.ServerAdmin() {
		t.Error("an admin of their own namespace rules the server", err)
	}
	if err := p.Check(t.Context(), Admin, "POST", ""); err != nil {
		t.Error(err)
	}
}

func TestANarrowedPrincipalHasNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestStore(t, Config{Source: newFake(map[string]string{"alice": "tokens: {T: {GET: ['*', '!secret'], POST: '/b', is_admin: true, huproxy: '*'}}"}), Admins: []string{"alice"}})
		wide, err := s.Token(t.Context(), "alice", "T")
		if err != nil {
			t.Fatal(err)
		}
		p, err := wide.Narrow([]string{"/a*", "secret"}, []string{"*"}, time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		check := func(a Action, target string, want error) {
			t.Helper()
			if err := p.Check(t.Context(), a, "", target); want == nil && err != nil || !errors.Is(err, want) {
				t.Errorf("%v %s: %v, want %v", a, target, err, want)
			}
		}
		check(Receive, "alice/a1", nil)
		check(Receive, "alice/b", ErrForbidden)
		check(Receive, "alice/secret", ErrForbidden)
		check(Send, "alice/b", nil)
		check(Send, "alice/a1", ErrForbidden)
		check(Admin, "", ErrForbidden)
		check(Forward, "h:22", ErrForbidden)
		if p.ServerAdmin() {
			t.Error("it rules the server")
		}
		if f := p.Filter(t.Context(), Receive, "alice"); !f("alice/a1") || f("alice/b") || f("alice/secret") {
			t.Error("the filter is wider")
		}
		pass(time.Minute)
		check(Receive, "alice/a1", ErrTokenExpired)
		if _, err := p.Narrow(nil, nil, time.Now()); err == nil {
			t.Error("it was narrowed twice")
		}
		if _, err := wide.Narrow([]string{"!"}, nil, time.Now()); err == nil {
			t.Error("a bad pattern is taken")
		}
	})
}

// What nobody has listed is no owner; of whom nothing can be read, that is not known.
func TestWhoIsAnOwnerDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": "", "bob": ""})
		s := newTestStore(t, Config{Source: source})
		key, _ := testKey(1)
		p, err := s.Key(t.Context(), key, "") // has the users listed
		if err != nil {
			t.Fatal(err)
		}
		source.set(func() { source.down = errDown })
		if known, err := p.Knows(t.Context(), "builds"); known || err != nil {
			t.Error(known, err)
		}
		if known, err := p.Knows(t.Context(), "bob"); known || !errors.Is(err, ErrUnavailable) {
			t.Error(known, err)
		}
	})
}

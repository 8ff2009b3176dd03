package acl

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The rights of the table, one a column.
var tableRights = []string{
	`{}`,
	`{GET: "*"}`,
	`{POST: "*"}`,
	`{PUT: "*"}`,
	`{PATCH: "*"}`,
	`{DELETE: "*"}`,
	`{GET: ["*", "!secret/*"], POST: ["!/secret/*", "*"]}`,
	`{GET: ["!secret/*"], POST: ["!secret/*"]}`,
	`{GET: "/a", POST: "b"}`,
	`{POST: "*", PUT: "!secret/*"}`,
}

// Section 5: receiving needs GET; sending needs POST, or for PUT and PATCH that
// method; GET ?body= needs POST; on req/ the request's own method decides; on
// res/ taking needs GET and answering POST; over SSH receiving is GET and sending
// POST; a ! forbids whatever else allows.
var table = []struct {
	what    string
	door    string
	action  Action
	request string
	path    string
	want    string // by column
}{
	//                                                      none G P U A D !s !o nr !u
	{"GET", "http", Receive, "GET", "a" /*              */, "-+----+-+-"},
	{"HEAD", "http", Receive, "HEAD", "a" /*            */, "-+----+-+-"},
	{"POST", "http", Send, "POST", "a" /*               */, "--+---+--+"},
	{"PUT", "http", Send, "PUT", "a" /*                 */, "--++--+--+"},
	{"PATCH", "http", Send, "PATCH", "a" /*             */, "--+-+-+--+"},
	{"GET ?body=", "http", Send, "GET", "a" /*          */, "--+---+--+"},
	{"DELETE", "http", Send, "DELETE", "a" /*           */, "----------"},
	{"PROPFIND", "http", Send, "PROPFIND", "a" /*       */, "----------"},
	{"a WebSocket hears", "http", Receive, "", "a" /*   */, "-+----+-+-"},
	{"a WebSocket speaks", "http", Send, "", "a" /*     */, "--+---+--+"},
	{"GET /a", "http", Receive, "GET", "/a" /*          */, "-+----+-+-"},
	{"sub", "ssh", Receive, "", "a" /*                  */, "-+----+-+-"},
	{"pub", "ssh", Send, "", "a" /*                     */, "--+---+--+"},

	{"GET", "http", Receive, "GET", "b" /*              */, "-+----+---"},
	{"POST", "http", Send, "POST", "b" /*               */, "--+---+-++"},
	{"PUT", "http", Send, "PUT", "b" /*                 */, "--++--+-++"},
	{"sub", "ssh", Receive, "", "b" /*                  */, "-+----+---"},
	{"pub", "ssh", Send, "", "b" /*                     */, "--+---+-++"},

	{"GET", "http", Receive, "GET", "secret/x" /*       */, "-+--------"},
	{"POST", "http", Send, "POST", "secret/x" /*        */, "--+------+"},
	{"PUT", "http", Send, "PUT", "secret/x" /*          */, "--++------"},
	{"PATCH", "http", Send, "PATCH", "secret/x" /*      */, "--+-+----+"},
	{"GET ?body=", "http", Send, "GET", "secret/x" /*   */, "--+------+"},
	{"sub", "ssh", Receive, "", "secret/x" /*           */, "-+--------"},
	{"pub", "ssh", Send, "", "secret/x" /*              */, "--+------+"},
	{"GET", "http", Receive, "GET", "secret/x/y" /*     */, "-+--------"},
	{"GET, not below", "http", Receive, "GET", "secret", "-+----+---"},

	{"ask by GET", "http", Send, "GET", "req/a" /*      */, "-+----+---"},
	{"ask by HEAD", "http", Send, "HEAD", "req/a" /*    */, "-+----+---"},
	{"ask by POST", "http", Send, "POST", "req/a" /*    */, "--+---+--+"},
	{"ask by PUT", "http", Send, "PUT", "req/a" /*      */, "---+------"},
	{"ask by PATCH", "http", Send, "PATCH", "req/a" /*  */, "----+-----"},
	{"ask by DELETE", "http", Send, "DELETE", "req/a" /**/, "-----+----"},
	{"ask by OPTIONS", "http", Send, "OPTIONS", "req/a", "----------"},
	{"pub", "ssh", Send, "", "req/a" /*                 */, "--+---+--+"},

	{"take", "http", Receive, "GET", "res/a" /*         */, "-+----+---"},
	{"answer by POST", "http", Answer, "POST", "res/a", "--+---+--+"},
	{"answer by PUT", "http", Answer, "PUT", "res/a" /* */, "--+---+--+"},
	{"answer by ?body=", "http", Answer, "GET", "res/a", "--+---+--+"},
	{"answer, as sending", "http", Send, "PUT", "res/a", "--+---+--+"},
	{"sub", "ssh", Receive, "", "res/a" /*              */, "-+----+---"},
	{"pub", "ssh", Answer, "", "res/a" /*               */, "--+---+--+"},

	{"notify by POST", "http", Send, "POST", "_/ntfy" /**/, "--+---+--+"},
	{"notify by GET", "http", Send, "GET", "_/ntfy" /*  */, "--+---+--+"},
	{"GET queue/", "http", Receive, "GET", "queue/a" /* */, "-+----+---"},
	{"POST pubsub/", "http", Send, "POST", "pubsub/a" /**/, "--+---+--+"},
	{"GET, other case", "http", Receive, "GET", "A" /*  */, "-+----+---"},

	{"admin", "http", Admin, "POST", "" /*              */, "----------"},
	{"connect", "http", Forward, "GET", "localhost:22", "----------"},
	{"tunnel", "http", Tunnel, "", "web" /*             */, "----------"},
}

func TestEachActionNeedsWhatTheContractSays(t *testing.T) {
	files := map[string]string{}
	key, line := testKey(1)
	for i, rights := range tableRights {
		files[fmt.Sprintf("user%d", i)] = fmt.Sprintf("tokens:\n  \"T\": %s\nssh_keys:\n  %q: %s\n", rights, line, rights)
	}
	s := newTestStore(t, Config{Source: newFake(files)})
	cells := 0
	for _, row := range table {
		for i, want := range strings.Split(row.want, "") {
			cells++
			user := fmt.Sprintf("user%d", i)
			p, err := s.Token(t.Context(), user, "T")
			if row.door == "ssh" {
				p, err = s.Key(t.Context(), key, user)
			}
			if err != nil {
				t.Fatal(err)
			}
			target := row.path
			if row.action == Receive || row.action == Send || row.action == Answer {
				target = user + "/" + row.path
			}
			err = p.Check(t.Context(), row.action, row.request, target)
			if err != nil && !errors.Is(err, ErrForbidden) {
				t.Fatal(err)
			}
			if allowed := err == nil; allowed != (want == "+") {
				t.Errorf("%s %s on %s with %s: allowed is %v, want %s", row.door, row.what, row.path, tableRights[i], allowed, want)
			}
			// What is decided in advance is decided alike.
			if row.request == "" && (row.action == Receive || row.action == Send) {
				f := p.Filter(t.Context(), row.action, user)
				if allowed := f != nil && f(target); allowed != (want == "+") {
					t.Errorf("%s %s on %s with %s: the filter says %v, want %s", row.door, row.what, row.path, tableRights[i], allowed, want)
				}
			}
		}
	}
	if cells < 200 {
		t.Errorf("the table has %d cells, want 200 at least", cells)
	}
}

func TestForwardingTunnelsAndAdminHaveTheirOwnLists(t *testing.T) {
	doc, err := Decode([]byte(`
tokens:
  T:
    GET: "*"
    is_admin: true
    huproxy: ["*.example.com:*", "!db.example.com:*", "localhost:22", "10.0.0.?:80", "[::1]:22"]
    tunnel: ["web-*", "!web-admin"]
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		action Action
		target string
		want   bool
	}{
		{Forward, "www.example.com:443", true},
		{Forward, "WWW.Example.COM:443", true},
		{Forward, "example.com:443", false},
		{Forward, "db.example.com:5432", false},
		{Forward, "DB.example.com:5432", false},
		{Forward, "db.example.com.:5432", false},
		{Forward, "www.example.com.:5432", true},
		{Forward, "localhost:22", true},
		{Forward, "localhost:2222", false},
		{Forward, "10.0.0.7:80", true},
		{Forward, "[::ffff:10.0.0.7]:80", true},
		{Forward, "10.0.0.77:80", false},
		{Forward, "[::1]:22", true},
		{Forward, "[0:0:0:0:0:0:0:1]:22", true},
		{Forward, "", false},
		{Tunnel, "web-1", true},
		{Tunnel, "web-admin", false},
		{Tunnel, "web", false},
		{Tunnel, "WEB-1", false},
		{Admin, "", true},
	} {
		if d := doc.Can("T", nil, c.action, "", c.target); d.Allowed != c.want {
			t.Errorf("%v %q: %s", c.action, c.target, d)
		}
	}
}

package acl

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestAFolderOfUsersIsRead(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "outside")
	key, line := testKey(1)
	write := func(path, data string) {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, path string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	write("alice/config.yaml", aliceRules)
	write("alice/authorized_keys", "# mine\n\n"+line+" laptop\r\nrestrict "+line+"\nnonsense\n")
	write("bob.smith/authorized_keys", "")
	write("big/config.yaml", strings.Repeat("#", MaxDocument+10))
	write("Upper/config.yaml", aliceRules)
	write("public/config.yaml", aliceRules)
	write("file", "")
	if err := os.WriteFile(outside, []byte(aliceRules), 0o600); err != nil {
		t.Fatal(err)
	}
	link(outside, "escape/config.yaml")
	link("../alice/config.yaml", "inside/config.yaml")
	link(filepath.Dir(outside), "escape2")
	if err := os.Mkdir(filepath.Join(dir, "pipe"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe", "config.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}

	for _, c := range []struct {
		user string
		size int
		err  string
	}{
		{"alice", len(aliceRules), ""},
		{"bob.smith", 0, ""},
		{"inside", len(aliceRules), ""},
		{"big", MaxDocument + 1, ""},
		{"escape", 0, "escapes"},
		{"escape2", 0, "escapes"},
		{"pipe", 0, "not a file"},
		{"nobody", 0, "no such user"},
		{"file", 0, "no such user"},
		{"Upper", 0, "no such user"},
		{"public", 0, "no such user"},
		{"../alice", 0, "no such user"},
		{"", 0, "no such user"},
	} {
		f, err := source.File(t.Context(), c.user, "")
		if len(f.Data) != c.size || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %d bytes, %v", c.user, len(f.Data), err)
		}
		if (c.err == "no such user") != errors.Is(err, ErrNoUser) {
			t.Errorf("%q: %v", c.user, err)
		}
	}
	keys, err := source.Keys(t.Context(), "alice")
	if err != nil || !slices.Equal(keys.Keys, []Fingerprint{key}) || !slices.Equal(keys.Skipped, []int{4, 5}) {
		t.Errorf("%d keys, skipped %v, %v", len(keys.Keys), keys.Skipped, err)
	}
	users, err := source.Users(t.Context())
	if err != nil || !slices.Equal(users, []string{"alice", "big", "bob.smith", "escape", "escape2", "inside", "pipe"}) {
		t.Errorf("%v, %v", users, err)
	}
	if _, err := NewDir(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a folder that is not there is taken")
	}
	s := newTestStore(t, Config{Source: source})
	if p, err := s.Key(t.Context(), key, "deploy"); err != nil || p.Namespace() != "alice" {
		t.Error(p, err)
	}
	if r, err := s.Report(t.Context(), "alice"); err != nil || !slices.Equal(r.Skipped, []int{4, 5}) {
		t.Errorf("%+v, %v", r, err)
	}
}

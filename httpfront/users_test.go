package httpfront_test

import (
	"os"
	"path/filepath"
	"testing"

	"patchwork/acl"
	"patchwork/httpfront"
)

// withUsers gives a relay users from a folder: rules by name.
func withUsers(t testing.TB, rules map[string]string) func(*httpfront.Config) {
	t.Helper()
	dir := t.TempDir()
	for user, text := range rules {
		if err := os.Mkdir(filepath.Join(dir, user), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, user, "config.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return withStore(t, acl.Config{Source: folder(t, dir)})
}

func folder(t testing.TB, dir string) *acl.Dir {
	t.Helper()
	source, err := acl.NewDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func withStore(t testing.TB, cfg acl.Config) func(*httpfront.Config) {
	t.Helper()
	store, err := acl.NewStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	return func(c *httpfront.Config) { c.Users = store }
}

package acl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestAForgeIsReadByItsAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.files["alice"] = "tokens: {T: {GET: a}}"
		key, line := testKey(1)
		f.accounts["alice"] = []string{line + " laptop", "ssh-nonsense AAAA", "restrict " + line}
		source := f.serve(t)

		file, err := source.File(t.Context(), "alice", "")
		if err != nil || string(file.Data) != f.files["alice"] || file.Version == "" {
			t.Fatalf("%+v, %v", file, err)
		}
		if again, err := source.File(t.Context(), "alice", file.Version); err != nil || !again.Unchanged {
			t.Errorf("%+v, %v", again, err)
		}
		keys, err := source.Keys(t.Context(), "alice")
		if err != nil || !slices.Equal(keys.Keys, []Fingerprint{key}) || !slices.Equal(keys.Skipped, []int{2, 3}) {
			t.Errorf("%d keys, skipped %v, %v", len(keys.Keys), keys.Skipped, err)
		}
		users, err := source.Users(t.Context())
		if err != nil || !slices.Equal(users, []string{"alice"}) {
			t.Errorf("%v, %v", users, err)
		}
		if _, err := source.File(t.Context(), "bob", ""); !errors.Is(err, ErrNoUser) {
			t.Errorf("%v, want ErrNoUser", err)
		}
		if _, err := source.Keys(t.Context(), "bob"); !errors.Is(err, ErrNoUser) {
			t.Errorf("%v, want ErrNoUser", err)
		}
		want := []string{
			"GET /api/v1/repos/alice/.patchwork/media/config.yaml",
			"GET /api/v1/repos/alice/.patchwork/media/config.yaml",
			"GET /api/v1/users/alice/keys?limit=50&page=1",
			"GET /api/v1/repos/search?limit=50&order=asc&page=1&q=.patchwork&sort=id",
			"GET /api/v1/repos/bob/.patchwork/media/config.yaml",
			"GET /api/v1/users/bob/keys?limit=50&page=1",
		}
		if !slices.Equal(f.calls, want) {
			t.Errorf("the forge was asked\n%s", strings.Join(f.calls, "\n"))
		}
	})
}

func TestNoNameButAUsersReachesTheForge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		source := f.serve(t)
		s := newTestStore(t, Config{Source: source})
		key, _ := testKey(1)
		f.fault = func(http.ResponseWriter, *http.Request) bool { return false }
		for _, name := range []string{
			"", ".", "..", "../alice", "alice/..", "a/b", "Alice", "ALICE", "%61lice", "a%2Fb", "alice ", "alice\n", "alice?x", "alice#x", "älice",
			".alice", "-alice", strings.Repeat("a", 65), "public", "p", "h", "r", "u", "channels", key.Namespace(), "key-abcdefghijklmnop",
		} {
			if _, err := s.Token(t.Context(), name, "T"); !errors.Is(err, ErrTokenNotFound) {
				t.Errorf("%q: %v", name, err)
			}
			if err := s.Push(t.Context(), name, nil, ""); !errors.Is(err, ErrSignature) {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := source.File(t.Context(), name, ""); !errors.Is(err, ErrNoUser) {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := source.Keys(t.Context(), name); !errors.Is(err, ErrNoUser) {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := s.asked(t.Context(), key, name); err != nil {
				t.Errorf("%q: %v", name, err)
			}
			if _, err := s.keyRights(t.Context(), key, name); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
		if len(f.calls) > 0 {
			t.Errorf("the forge was asked %q", f.calls)
		}
	})
}

func TestListingsAreReadToTheirEnd(t *testing.T) {
	for _, maxPage := range []int{50, 7} { // a forge may be set to shorter pages than we ask for
		t.Run(fmt.Sprint(maxPage), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newForge()
				f.maxPage = maxPage
				for i := range 120 {
					f.files[fmt.Sprintf("user%d", i)] = ""
					_, line := testKey(byte(i))
					f.accounts["alice"] = append(f.accounts["alice"], line)
				}
				source := f.serve(t)
				if keys, err := source.Keys(t.Context(), "alice"); err != nil || len(keys.Keys) != 120 {
					t.Errorf("%d keys, %v", len(keys.Keys), err)
				}
			})
		})
	}
}

// The oldest Giteas know no pages of keys: every page is the whole list.
func TestAListingThatNeverEndsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		var entries []string
		for i := range 50 {
			_, line := testKey(byte(i))
			entries = append(entries, fmt.Sprintf(`{"key":%q}`, line))
		}
		f.fault = func(w http.ResponseWriter, r *http.Request) bool {
			fmt.Fprintf(w, "[%s]", strings.Join(entries, ","))
			return true
		}
		keys, err := f.serve(t).Keys(t.Context(), "alice")
		if err != nil || len(keys.Keys) != 50 || len(f.calls) != 2 {
			t.Errorf("%d keys in %d calls, %v", len(keys.Keys), len(f.calls), err)
		}
	})
}

// faults are what a forge in trouble does, and what is said about it.
var faults = map[string]struct {
	fault func(w http.ResponseWriter, r *http.Request) bool
	want  string
}{
	"401":     {status(401), "set FORGEJO_TOKEN"},
	"403":     {status(403), "it needs read:repository"},
	"429":     {status(429), "has had enough"},
	"500":     {status(500), "the forge answered 500"},
	"502":     {status(502), "the forge answered 502"},
	"204":     {status(204), "the forge answered 204"},
	"304":     {status(304), "the forge answered 304"},
	"hanging": {func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }, "the forge took more than 10s"},
	"slow": {func(w http.ResponseWriter, r *http.Request) bool {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte("#")); err != nil {
				break
			}
			http.NewResponseController(w).Flush()
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
		}
		return true
	}, "the forge took more than 10s"},
	"cut": {func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Length", "100")
		w.Write([]byte("tokens: {T: {GET: ['*', "))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, "the forge cannot be reached: unexpected EOF"},
	"cut chunks": {func(w http.ResponseWriter, r *http.Request) bool {
		w.Write([]byte("tokens:\n  T:\n    GET:\n    - '*'\n"))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}, "the forge cannot be reached: unexpected EOF"},
	"cut without a length": {func(w http.ResponseWriter, r *http.Request) bool {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprint(c, "HTTP/1.0 200 OK\r\n\r\ntokens:\n  T:\n    GET:\n    - '*'\n")
		c.Close()
		return true
	}, "does not say where it ends"},
	"elsewhere": {func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "https://elsewhere.example.com"+r.URL.Path, http.StatusTemporaryRedirect)
		return true
	}, "it redirects to another address"},
	"to https": {func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "https://git.example.com"+r.URL.Path, http.StatusMovedPermanently)
		return true
	}, "it redirects to another address"},
	"in circles": {func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
		return true
	}, "too many redirects"},
	"nonsense": {func(w http.ResponseWriter, r *http.Request) bool {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		fmt.Fprint(c, "hello\r\n")
		c.Close()
		return true
	}, "malformed HTTP response"},
}

func status(code int) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
}

func TestAForgeInTroubleIsNotAnAnswer(t *testing.T) {
	for name, c := range faults {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newForge()
				source := f.serve(t)
				f.fault = c.fault
				began := time.Now()
				_, fileErr := source.File(t.Context(), "alice", "")
				took := time.Since(began)
				_, keysErr := source.Keys(t.Context(), "alice")
				_, usersErr := source.Users(t.Context())
				for _, err := range []error{fileErr, keysErr, usersErr} {
					if err == nil || errors.Is(err, ErrNoUser) || !strings.Contains(err.Error(), c.want) {
						t.Errorf("%v, want %q", err, c.want)
					} else if strings.Contains(err.Error(), f.token) || strings.Contains(err.Error(), "alice") || strings.Contains(err.Error(), "\n") {
						t.Errorf("%q says too much", err)
					}
				}
				if took > forgeTimeout {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
			})
		})
	}
}

func TestTheTokenGoesToNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		source := f.serve(t)
		f.fault = faults["elsewhere"].fault
		if _, err := source.File(t.Context(), "alice", ""); err == nil {
			t.Error("a redirect to another host was followed")
		}
		if len(f.calls) != 1 {
			t.Errorf("%d calls", len(f.calls))
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if out := fmt.Sprintf(verb, source); strings.Contains(out, f.token) {
				t.Errorf("%s prints the token: %s", verb, out)
			}
		}
		debugLog().Info("the source", "source", source)
	})
}

func TestARenamedUserIsFollowedOnTheSameForge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.files["alice2"] = "tokens: {T: {GET: a}}"
		source := f.serve(t)
		f.fault = func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/alice/") {
				return false
			}
			http.Redirect(w, r, strings.Replace(r.URL.Path, "/alice/", "/alice2/", 1), http.StatusTemporaryRedirect)
			return true
		}
		file, err := source.File(t.Context(), "alice", "")
		if err != nil || len(file.Data) == 0 {
			t.Errorf("%v", err)
		}
	})
}

func TestABigFileIsNotReadToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.files["alice"] = strings.Repeat("# ten megabytes\n", 10<<20/16)
		file, err := f.serve(t).File(t.Context(), "alice", "")
		if err != nil || len(file.Data) != MaxDocument+1 {
			t.Errorf("%d bytes, %v", len(file.Data), err)
		}
		if _, err := Decode(file.Data); err == nil || !strings.Contains(err.Error(), "larger than 1 MiB") {
			t.Error(err)
		}
	})
}

func TestWhatIsNotAnAPIIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.fault = func(w http.ResponseWriter, _ *http.Request) bool {
			fmt.Fprint(w, "<html>Sign in</html>")
			return true
		}
		source := f.serve(t)
		if _, err := source.Keys(t.Context(), "alice"); err == nil || !strings.Contains(err.Error(), "not what its API says") {
			t.Error(err)
		}
		f.fault = status(404)
		if _, err := source.Users(t.Context()); err == nil || errors.Is(err, ErrNoUser) {
			t.Error(err)
		}
	})
}

func TestAReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.fault = faults["hanging"].fault
		source := f.serve(t)
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(cause) })
		if _, err := source.File(ctx, "alice", ""); !errors.Is(err, cause) {
			t.Error(err)
		}
	})
}

func TestAnAddressThatCannotBeAForgesIsRefused(t *testing.T) {
	for _, c := range []struct{ base, token string }{
		{"", "t"}, {"git.example.com", "t"}, {"ftp://git.example.com", "t"}, {"https://", "t"}, {"https://user:pass@git.example.com", "t"},
		{"https://git.example.com?x=y", "t"}, {"https://git.example.com/#x", "t"}, {"https://git.example.com", ""}, {"https://git.example.com", "a b"},
		{"https://git.example.com", "a\nb"}, {"http://[::1", "t"},
	} {
		if _, err := NewForgejo(c.base, c.token); err == nil {
			t.Errorf("%q with %q is taken", c.base, c.token)
		} else if strings.Contains(err.Error(), "pass") {
			t.Error(err)
		}
	}
	f, err := NewForgejo("https://git.example.com/forge/", "t")
	if err != nil || f.base.JoinPath("api", "v1").String() != "https://git.example.com/forge/api/v1" {
		t.Error(f, err)
	}
}

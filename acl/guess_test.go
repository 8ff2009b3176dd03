package acl

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// asked counts what the forge was asked about somebody.
func (f *forge) asked(user string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, call := range f.calls {
		if strings.Contains(call, "/"+user+"/") {
			n++
		}
	}
	return n
}

// What a stranger may try on somebody, and what comes of it.
var guesses = map[string]func(context.Context, *Store, string) error{
	"a token": func(ctx context.Context, s *Store, user string) error {
		_, err := s.Token(ctx, user, "guess")
		return err
	},
	"no token": func(ctx context.Context, s *Store, user string) error {
		_, err := s.Token(ctx, user, "")
		return err
	},
	"a digest": func(ctx context.Context, s *Store, user string) error {
		sum := digestOf("T")
		_, err := s.Token(ctx, user, fmt.Sprintf("sha256:%x", sum[:]))
		return err
	},
	"a push": func(ctx context.Context, s *Store, user string) error {
		return s.Push(ctx, user, []byte("{}"), strings.Repeat("0", 64))
	},
	"a key": func(ctx context.Context, s *Store, user string) error {
		key, _ := testKey(9)
		p, err := s.Key(ctx, key, user)
		if err == nil && p.Namespace() != key.Namespace() {
			err = errors.New("it is somebody's")
		}
		if err == nil {
			err = p.Check(ctx, Receive, "", user+"/x")
		}
		return err
	},
}

// The same words, and the same number of questions to the forge, whoever it is: an
// account with rules, one whose file never was good, one without the repository,
// and one that is not there.
func TestAStrangerCannotTellWhoIsAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		_, line := testKey(1)
		f.files["alice"], f.accounts["alice"] = aliceRules, []string{line}
		f.files["broken"], f.accounts["broken"] = "tokens: [", []string{line}
		f.accounts["bare"] = []string{line}
		s := newTestStore(t, Config{Source: f.serve(t)})
		who := []string{"nobody", "alice", "broken", "bare"}
		for what, guess := range guesses {
			for range 3 { // at once, from what is kept, and when that is too old
				var said []string
				before := map[string]int{}
				for _, user := range who {
					before[user] = f.asked(user)
				}
				for _, user := range who {
					for range 5 {
						said = append(said, fmt.Sprint(guess(t.Context(), s, user)))
					}
				}
				if len(slices.Compact(said)) != 1 {
					t.Errorf("%s: %q", what, slices.Compact(said))
				}
				for _, user := range who[1:] {
					if got, want := f.asked(user)-before[user], f.asked("nobody")-before["nobody"]; got != want {
						t.Errorf("%s: the forge was asked %d times for %s, and %d times for nobody", what, got, user, want)
					}
				}
				pass(3 * time.Minute)
			}
		}
	})
}

func TestAFloodOfGuessesDoesNotReachTheForge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.files["alice"], f.files["late"] = aliceRules, aliceRules
		s := newTestStore(t, Config{Source: f.serve(t)})
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Fatal(err)
		}
		key, _ := testKey(1)
		for i := range 5000 {
			name := fmt.Sprintf("guess-%d", i)
			_, err := s.Token(t.Context(), name, "T")
			if !errors.Is(err, ErrTokenNotFound) {
				t.Fatal(err)
			}
			if known, err := s.Knows(t.Context(), name+"-topic"); known || err != nil {
				t.Fatal(known, err)
			}
			if _, err := s.Key(t.Context(), key, name); err != nil {
				t.Fatal(err)
			}
		}
		if n := f.count(); n > firstBurst+10 {
			t.Errorf("%d calls", n)
		}
		// Who is a user is one meanwhile as well, seen before or not.
		for _, user := range []string{"alice", "late"} {
			if _, err := s.Token(t.Context(), user, "T"); err != nil {
				t.Errorf("%s: %v", user, err)
			}
		}
		// It ends, and a user who is new is found then.
		f.set(func() { f.files["new"] = aliceRules })
		pass(time.Minute)
		if _, err := s.Token(t.Context(), "new", "T"); err != nil {
			t.Error(err)
		}
	})
}

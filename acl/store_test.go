package acl

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const aliceRules = "tokens: {T: {GET: '*'}, admin: {is_admin: true}}"

func TestTenThousandRequestsForAnUnknownUserAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		s := newTestStore(t, Config{Source: f.serve(t)})
		for range 10_000 {
			if _, err := s.Token(t.Context(), "nobody", "T"); !errors.Is(err, ErrTokenNotFound) {
				t.Fatal(err)
			}
		}
		if n := f.count(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
		if st := s.Stats(); st.Fetches != 1 || st.Hits != 9_999 || st.Misses != 1 || st.Failures != 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestAThousandAtColdStartAreOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.files["alice"] = aliceRules
		gate := make(chan struct{})
		f.fault = func(http.ResponseWriter, *http.Request) bool { <-gate; return false }
		s := newTestStore(t, Config{Source: f.serve(t)})
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait() // all of them wait now
		if n := s.Stats().Misses; n != 1000 {
			t.Errorf("%d wait, want 1000", n)
		}
		close(gate)
		wg.Wait()
		if n := f.count(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestAWaiterLeavesWithItsContextAndTheOthersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": aliceRules})
		source.gate = make(chan struct{})
		s := newTestStore(t, Config{Source: source})
		cause := errors.New("the client is gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Token(ctx, "alice", "T"); !errors.Is(err, cause) {
				t.Errorf("%v, want %v", err, cause)
			}
		})
		synctest.Wait() // the read is that of the one who leaves
		wg.Go(func() {
			if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel(cause)
		synctest.Wait()
		close(source.gate)
		wg.Wait()
		if n := source.calls.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestKnownUsersWorkWhileTheForgeIsDownForTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		f := newForge()
		f.files["alice"], f.files["bob"] = aliceRules, aliceRules
		s := newTestStore(t, Config{Source: f.serve(t), Log: debugLog(&log)})
		for _, user := range []string{"alice", "bob"} {
			if _, err := s.Token(t.Context(), user, "T"); err != nil {
				t.Fatal(err)
			}
		}
		f.set(func() { f.fault = faults["hanging"].fault })
		began := time.Now()
		var waited time.Duration
		for time.Since(began) < 10*time.Minute {
			asked := time.Now()
			for _, user := range []string{"alice", "bob"} {
				if _, err := s.Token(t.Context(), user, "T"); err != nil {
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
			}
			waited += time.Since(asked)
			pass(7 * time.Second)
		}
		if waited > 2*patience { // once each
			t.Errorf("they waited %v in all", waited)
		}
		st := s.Stats()
		if st.Stale == 0 || st.Failures == 0 || st.Down == 0 {
			t.Errorf("%+v", st)
		}
		if calls := f.count(); calls > 100 {
			t.Errorf("%d calls to a forge that is down", calls)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "what was read last serves on") {
			t.Errorf("%d warnings:\n%s", n, log.String())
		}
		f.set(func() { f.fault = nil })
		pass(30 * time.Second)
		for range 2 { // the first is answered from what is there, and has it read
			_, err := s.Token(t.Context(), "alice", "T")
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if st := s.Stats(); st.Down != 0 {
			t.Errorf("it is still said to be down: %+v", st)
		}
		if n := strings.Count(log.String(), "can be read again"); n != 1 {
			t.Errorf("its return was told %d times", n)
		}
	})
}

func TestWhatIsTooOldIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": aliceRules})
		s := newTestStore(t, Config{Source: source, MaxStale: time.Hour})
		p, err := s.Token(t.Context(), "alice", "T")
		if err != nil {
			t.Fatal(err)
		}
		source.set(func() { source.down = errDown })
		pass(time.Hour - time.Second)
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Errorf("within the hour: %v", err)
		}
		pass(time.Second)
		if _, err := s.Token(t.Context(), "alice", "T"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("after the hour: %v", err)
		}
		if err := p.Check(t.Context(), Receive, "GET", "alice/x"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("one who was known before: %v", err)
		}
		if p.Filter(t.Context(), Receive, "alice") != nil {
			t.Error("there is a filter")
		}
		source.set(func() { source.down = nil })
		pass(retryAfter)
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Errorf("when it is back: %v", err)
		}
	})
}

func TestWithoutPatienceForOldAnswersThereAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": aliceRules})
		s := newTestStore(t, Config{Source: source, TTL: time.Minute, MaxStale: -1})
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Fatal(err)
		}
		source.set(func() { source.down = errDown })
		pass(59 * time.Second)
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Error(err)
		}
		pass(time.Second)
		if _, err := s.Token(t.Context(), "alice", "T"); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

func TestASourceThatIsDownIsNotAskedAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(nil)
		source.down = errDown
		s := newTestStore(t, Config{Source: source})
		for range 1000 {
			if _, err := s.Token(t.Context(), "alice", "T"); !errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "refused") {
				t.Fatal(err)
			}
		}
		if n := source.calls.Load(); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestAChangeIsInForceAfterTheTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		f.files["alice"] = aliceRules
		s := newTestStore(t, Config{Source: f.serve(t), TTL: 5 * time.Minute})
		p, err := s.Token(t.Context(), "alice", "T")
		if err != nil {
			t.Fatal(err)
		}
		f.set(func() { f.files["alice"] = "tokens: {new: {GET: '*'}}" })
		pass(5*time.Minute - time.Nanosecond)
		if err := p.Check(t.Context(), Receive, "GET", "alice/x"); err != nil {
			t.Errorf("before: %v", err)
		}
		pass(time.Nanosecond)
		if _, err := s.Token(t.Context(), "alice", "new"); err != nil {
			t.Errorf("the new token: %v", err)
		}
		if err := p.Check(t.Context(), Receive, "GET", "alice/x"); !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("one who came with the old token: %v", err)
		}
		f.set(func() { delete(f.files, "alice") })
		pass(5 * time.Minute)
		if _, err := s.Token(t.Context(), "alice", "new"); !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("when the file is gone: %v", err)
		}
		calls := f.count()
		for range 10 {
			_, _ = s.Token(t.Context(), "alice", "new")
		}
		if n := f.count(); n != calls {
			t.Errorf("%d calls for a file that is known to be gone", n-calls)
		}
	})
}

func TestAFileWithAMistakeKeepsTheLastGoodOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		token := secret("an-old-form-token")
		source := newFake(map[string]string{"alice": aliceRules, "bob": "tokens: ["})
		source.plain = true // each read decodes it again
		s := newTestStore(t, Config{Source: source, Log: debugLog(&log)})
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Fatal(err)
		}
		source.set(func() { source.files["alice"] = "tokens: {}\n" + token + ": {GET: '*'}" })
		for range 30 { // also long after what is too old while the source is down
			pass(5 * time.Minute)
			if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
				t.Fatal(err)
			}
		}
		r, err := s.Report(t.Context(), "alice")
		if err != nil || !strings.HasPrefix(r.Problem, "line 2, column 1: unknown key") || !strings.Contains(r.Rules, "is_admin") || r.Stale {
			t.Errorf("%+v, %v", r, err)
		}
		if n := strings.Count(log.String(), "has a mistake"); n != 1 || !strings.Contains(log.String(), "user=alice line=2 column=1") {
			t.Errorf("it was told %d times:\n%s", n, log.String())
		}
		if _, err := s.Token(t.Context(), "bob", "T"); !errors.Is(err, ErrTokenNotFound) {
			t.Errorf("%v, want ErrTokenNotFound", err)
		}
		if r, err := s.Report(t.Context(), "bob"); err != nil || r.Problem == "" || r.Rules != "" {
			t.Errorf("%+v, %v", r, err)
		}
		source.set(func() { source.files["alice"] = "tokens: {U: {GET: '*'}}" })
		s.Invalidate("alice")
		if _, err := s.Token(t.Context(), "alice", "U"); err != nil {
			t.Error(err)
		}
		if r, _ := s.Report(t.Context(), "alice"); r.Problem != "" {
			t.Error(r.Problem)
		}
		if c := s.Cached(); len(c) != 2 || c[0].User != "alice" || c[0].Broken || !c[1].Broken {
			t.Errorf("%+v", c)
		}
	})
}

// A read that began before the rules were dropped must not bring the old ones
// back.
func TestADropDuringAReadHasItReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": aliceRules})
		gate := make(chan struct{})
		source.gate = gate
		s := newTestStore(t, Config{Source: source})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		s.Invalidate("alice")
		source.set(func() { source.gate = nil })
		close(gate)
		wg.Wait()
		if n := source.calls.Load(); n != 2 {
			t.Errorf("%d calls, want 2", n)
		}
	})
}

func TestInvalidateAllDropsWhatIsThereAndWhatIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": aliceRules, "bob": aliceRules})
		s := newTestStore(t, Config{Source: source})
		for _, user := range []string{"alice", "bob", "carol"} {
			_, _ = s.Token(t.Context(), user, "T")
		}
		source.set(func() {
			source.files["carol"] = aliceRules
			delete(source.files, "bob")
			source.files["alice"] = "tokens: {}"
		})
		s.InvalidateAll()
		for user, want := range map[string]error{"alice": ErrTokenNotFound, "bob": ErrTokenNotFound, "carol": nil} {
			if _, err := s.Token(t.Context(), user, "T"); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", user, err, want)
			}
		}
	})
}

// A million names that are not there must not push out the few that are.
func TestUnknownNamesDoNotPushOutKnownOnes(t *testing.T) {
	source := newFake(map[string]string{"alice": aliceRules})
	s := newTestStore(t, Config{Source: source, Log: debugLog()})
	if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
		t.Fatal(err)
	}
	for i := range maxNames + 1000 {
		_, _ = s.Token(t.Context(), fmt.Sprintf("u%d", i), "T")
	}
	source.set(func() { source.down = errDown })
	if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
		t.Error(err)
	}
	s.rules.none.CleanUp()
	if st := s.Stats(); st.Absent > maxNames || st.Users != 1 {
		t.Errorf("%+v", st)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{"alice": aliceRules})
		source.gate = make(chan struct{})
		s := newTestStore(t, Config{Source: source})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Token(t.Context(), "alice", "T"); !errors.Is(err, ErrUnavailable) {
				t.Error(err)
			}
		})
		synctest.Wait()
		s.Close()
		wg.Wait()
		if _, err := s.Token(t.Context(), "bob", "T"); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	})
}

func TestARelayWithoutUsersKnowsNoToken(t *testing.T) {
	s := newTestStore(t, Config{})
	for _, token := range []string{"", "T"} {
		if _, err := s.Token(t.Context(), "alice", token); !errors.Is(err, ErrTokenNotFound) {
			t.Error(err)
		}
	}
	if _, err := NewStore(Config{Admins: []string{"Alice"}}); err == nil {
		t.Error("an admin that is no user is taken")
	}
}

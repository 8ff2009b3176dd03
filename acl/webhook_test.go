package acl

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func sign(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestASignedPushIsInForceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newForge()
		hook := secret("the-hook's-secret")
		f.files["alice"] = "webhook_secret: " + hook + "\ntokens: {T: {GET: '*'}}"
		s := newTestStore(t, Config{Source: f.serve(t)})
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Fatal(err)
		}
		f.set(func() { f.files["alice"] = "webhook_secret: " + hook + "\ntokens: {U: {GET: '*'}}" })
		const body = `{"ref":"refs/heads/main"}`
		pushed := time.Now()
		for _, signature := range []string{"", "x", sign("other", body), sign(hook, "other"), sign("", body), "sha256=" + sign("other", body)} {
			if err := s.Push(t.Context(), "alice", []byte(body), signature); !errors.Is(err, ErrSignature) {
				t.Errorf("%q: %v", signature, err)
			}
		}
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Error("an unsigned push dropped the rules")
		}
		if err := s.Push(t.Context(), "alice", []byte(body), sign(hook, body)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(t.Context(), "alice", "U"); err != nil || time.Since(pushed) > time.Second {
			t.Errorf("%v after %v", err, time.Since(pushed))
		}
		if err := s.Push(t.Context(), "alice", []byte(body), "sha256="+sign(hook, body)); err != nil {
			t.Errorf("in GitHub's form: %v", err)
		}
	})
}

func TestTheFirstPushBringsItsOwnSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake(map[string]string{})
		s := newTestStore(t, Config{Source: source})
		const body = "{}"
		if _, err := s.Token(t.Context(), "alice", "T"); !errors.Is(err, ErrTokenNotFound) {
			t.Fatal(err)
		}
		source.set(func() { source.files["alice"] = "webhook_secret: k\ntokens: {T: {}}" })
		pass(pushRest)
		if err := s.Push(t.Context(), "alice", []byte(body), sign("k", body)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Token(t.Context(), "alice", "T"); err != nil {
			t.Error(err)
		}
		// Those who cannot sign get a read now and then, not one each.
		calls := source.calls.Load()
		for range 1000 {
			if err := s.Push(t.Context(), "alice", []byte(body), "00"); !errors.Is(err, ErrSignature) {
				t.Fatal(err)
			}
		}
		if n := source.calls.Load() - calls; n > 1 {
			t.Errorf("%d reads", n)
		}
	})
}

func TestWithoutASecretNoPushIsTaken(t *testing.T) {
	s := newTestStore(t, Config{Source: newFake(map[string]string{"alice": "tokens: {}", "bob": "webhook_secret: ''", "carol": "tokens: ["})})
	for _, user := range []string{"alice", "bob", "carol", "dave"} {
		for _, signature := range []string{"", sign("", "{}")} {
			if err := s.Push(t.Context(), user, []byte("{}"), signature); !errors.Is(err, ErrSignature) {
				t.Errorf("%s %q: %v", user, signature, err)
			}
		}
	}
}

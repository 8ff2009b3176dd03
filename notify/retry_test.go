package notify

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// TestRetryHonoursRetryAfter says "later" in every way there is, and is not asked
// sooner.
func TestRetryHonoursRetryAfter(t *testing.T) {
	for name, later := range map[string]http.HandlerFunc{
		"seconds": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "7"); w.WriteHeader(429) },
		"date": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(7*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(503)
		},
		"discord":  answerJSON(429, `{"message":"You are being rate limited.","retry_after":7.0}`),
		"telegram": answerJSON(429, `{"ok":false,"parameters":{"retry_after":7}}`),
		"matrix":   answerJSON(429, `{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":7000}`),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []time.Time
				s := New(Options{Transport: byHost{"a.test": func(w http.ResponseWriter, r *http.Request) {
					if asked = append(asked, time.Now()); len(asked) < 3 {
						later(w, r)
					}
				}}})
				send(t, s, config(t, hookTo("a")), Message{Text: "x"})
				if len(asked) != 3 {
					t.Fatalf("asked %d times, want 3", len(asked))
				}
				for i := range 2 {
					if pause := asked[i+1].Sub(asked[i]); pause <= 6*time.Second || pause > 9*time.Second { // a date has no fractions of a second
						t.Errorf("asked again after %v, want 7 s and a little", pause)
					}
				}
			})
		})
	}
}

func TestRetryGivesUpAtOnceWhenAskedToWaitTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := New(Options{Transport: byHost{"a.test": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(429)
		}}})
		result, err := s.Send(t.Context(), config(t, hookTo("a")), Message{Text: "x"}, "")
		if err != nil || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if got, want := fmt.Sprint(result.Err()), "a: answered 429 too many requests (it asks to wait 1h0m0s, longer than this message can)"; got != want {
			t.Errorf("said %q, want %q", got, want)
		}
	})
}

func TestRetriesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		s := New(Options{Transport: byHost{"a.test": func(w http.ResponseWriter, _ *http.Request) {
			asked = append(asked, time.Now())
			w.WriteHeader(500)
		}}})
		if _, err := s.Send(t.Context(), config(t, hookTo("a")), Message{Text: "x"}, ""); err != nil {
			t.Fatal(err)
		}
		if len(asked) < 5 || len(asked) > 8 || asked[len(asked)-1].Sub(asked[0]) > Budget {
			t.Fatalf("asked %d times within %v", len(asked), asked[len(asked)-1].Sub(asked[0]))
		}
		for i := 2; i < len(asked)-1; i++ {
			if before, after := asked[i-1].Sub(asked[i-2]), asked[i].Sub(asked[i-1]); after < before && after < maxWait {
				t.Errorf("pause %d was %v, the one before %v", i, after, before)
			}
		}
	})
}

// TestOtherRefusalsAreFinal: 4xx is not asked twice, and neither is a POST that
// got no answer.
func TestOtherRefusalsAreFinal(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"400": answerJSON(400, `{}`), "404": answerJSON(404, `{}`), "hang": hang,
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://b.test/", http.StatusTemporaryRedirect)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			s := New(Options{Transport: byHost{"a.test": func(w http.ResponseWriter, r *http.Request) { asked++; answer(w, r) }}})
			result, err := s.Send(t.Context(), config(t, hookTo("a")), Message{Text: "x"}, "")
			if err != nil || result.Err() == nil || asked != 1 {
				t.Errorf("%s: asked %d times, %v, %v", name, asked, err, result.Err())
			}
		})
	}
}

package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestToPicksTargets(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	count := func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen[r.URL.Hostname()]++
	}
	s := newSender(t, Options{Transport: byHost{"a.test": count, "b.test": count, "c.test": count}})
	c := config(t, list(hookTo("a"), hookTo("b"), hookTo("c")))
	for _, to := range []string{"", "b", "c, b"} {
		if result, err := s.Send(t.Context(), c, Message{Text: "x"}, to); err != nil || result.Err() != nil {
			t.Fatal(err, result.Err())
		}
	}
	if want := map[string]int{"a.test": 1, "b.test": 3, "c.test": 2}; !reflect.DeepEqual(seen, want) {
		t.Errorf("asked %v, want %v", seen, want)
	}
	if _, err := s.Send(t.Context(), c, Message{Text: "x"}, "b,d"); err == nil || err.Error() != `to: no target "d"; there are a, b, c` {
		t.Error(err)
	}
	if _, err := s.Send(t.Context(), Config{}, Message{Text: "x"}, ""); !errors.Is(err, ErrNone) {
		t.Error(err)
	}
	if want := (Stats{Sent: map[string]uint64{"webhook": 6}, Failed: map[string]uint64{}}); !reflect.DeepEqual(s.Stats(), want) {
		t.Errorf("Stats are %+v, want %+v", s.Stats(), want)
	}
}

// TestOneTargetsFailureDoesNotHoldUpTheOthers has one that hangs, one that is
// busy, one that refuses and one that works.
func TestOneTargetsFailureDoesNotHoldUpTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var served time.Duration
		s := New(Options{Transport: byHost{
			"hangs.test":   hang,
			"busy.test":    answerJSON(503, `{"error":"overloaded"}`),
			"refuses.test": answerJSON(403, `{"message":"go away","code":7}`),
			"works.test":   func(http.ResponseWriter, *http.Request) { served = time.Since(start) },
		}})
		c := config(t, list(hookTo("hangs"), hookTo("busy"), hookTo("refuses"), hookTo("works")))
		result, err := s.Send(t.Context(), c, Message{Text: "x"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if served != 0 {
			t.Errorf("the one that works had to wait %v", served)
		}
		if took := time.Since(start); took > Budget {
			t.Errorf("it took %v, longer than the budget", took)
		}
		status, _, body := Reply(result, err)
		for _, want := range []string{"hangs: no answer within 10s; ", "busy: gave up after ", " tries: answered 503: overloaded; ", "refuses: answered 403: go away (sent to works)\n"} {
			if status != 502 || !strings.Contains(string(body), want) {
				t.Errorf("%d: %s, want %q in it", status, body, want)
			}
		}
		if took := result.Outcomes[1].Took; took < 20*time.Second {
			t.Errorf("the busy one was given up after %v", took)
		}
	})
}

// TestATargetsQueueIsInOrderAndBounded fills the queue of a target that is slow,
// while another one stays free.
func TestATargetsQueueIsInOrderAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var got []string
		s := New(Options{Transport: byHost{
			"slow.test": func(_ http.ResponseWriter, r *http.Request) {
				<-release
				got = append(got, r.Header.Get("X-N"))
			},
			"fast.test": func(http.ResponseWriter, *http.Request) {},
		}})
		slow, fast := config(t, hookTo("slow")), config(t, hookTo("fast"))
		var wg sync.WaitGroup
		for i := range MaxQueue + 1 {
			wg.Go(func() {
				// Read anew each time, as after an edit of the file: the same target still.
				if result, err := s.Send(t.Context(), config(t, hookTo("slow")), Message{Text: fmt.Sprint(i)}, ""); err != nil || result.Err() != nil {
					t.Error(err, result.Err())
				}
			})
			synctest.Wait()
		}
		if active := s.Stats().Active; active != MaxQueue+1 {
			t.Errorf("%d are active, want %d", active, MaxQueue+1)
		}
		result, err := s.Send(t.Context(), slow, Message{Text: "too many"}, "")
		if err != nil || result.Err() == nil || !strings.Contains(result.Err().Error(), "are waiting for it already") {
			t.Errorf("one too many: %v, %v", err, result.Err())
		}
		send(t, s, fast, Message{Text: "x"})
		close(release)
		wg.Wait()
		if len(got) != MaxQueue+1 {
			t.Errorf("%d arrived, want %d", len(got), MaxQueue+1)
		}
		if s.Stats().Active != 0 || len(s.lanes.table) != 0 {
			t.Errorf("left over: %d active, %d lanes", s.Stats().Active, len(s.lanes.table))
		}
	})
}

func TestMessagesToOneTargetArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &double{}
		first := make(chan struct{})
		s := New(Options{Transport: byHost{"a.test": d.record(func(http.ResponseWriter, *http.Request) { <-first })}})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { send(t, s, config(t, hookTo("a")), Message{Text: fmt.Sprint(i)}) })
			synctest.Wait()
		}
		close(first)
		wg.Wait()
		for i, request := range d.all() {
			if request.field(t, "message") != fmt.Sprint(i) {
				t.Errorf("message %v came in place %d", request.field(t, "message"), i)
			}
		}
	})
}

// TestWaitingInTheQueueCountsTowardsTheBudget: nobody waits longer than 30 s in
// all.
func TestWaitingInTheQueueCountsTowardsTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Transport: byHost{"a.test": hang}})
		start := time.Now()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				result, err := s.Send(t.Context(), config(t, hookTo("a")), Message{Text: "x"}, "")
				if err != nil || result.Err() == nil {
					t.Error(err, result.Err())
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took > Budget {
			t.Errorf("the last one was answered after %v", took)
		}
	})
}

func TestASendEndsWithItsContextAndWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Options{Transport: byHost{"a.test": hang}})
		c := config(t, hookTo("a"))
		ctx, cancel := context.WithCancelCause(t.Context())
		results := make(chan Result)
		go func() {
			result, _ := s.Send(ctx, c, Message{Text: "x"}, "")
			results <- result
		}()
		synctest.Wait()
		cancel(errors.New("the client has gone"))
		if err := (<-results).Err(); err == nil || err.Error() != "a: the client has gone" {
			t.Error(err)
		}
		go func() {
			result, _ := s.Send(t.Context(), c, Message{Text: "x"}, "")
			results <- result
		}()
		synctest.Wait()
		go func() { _ = s.Close() }()
		if err := (<-results).Err(); err == nil || err.Error() != "a: "+ErrClosed.Error() {
			t.Error(err)
		}
		synctest.Wait()
		if _, err := s.Send(t.Context(), c, Message{Text: "x"}, ""); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

// TestAPanicInACourierIsAFailureOfItsTarget: a relay outlives its services.
func TestAPanicInACourierIsAFailureOfItsTarget(t *testing.T) {
	s := newSender(t, Options{Transport: byHost{"a.test": func(http.ResponseWriter, *http.Request) { panic("boom") }, "b.test": func(http.ResponseWriter, *http.Request) {}}})
	result, err := s.Send(t.Context(), config(t, list(hookTo("a"), hookTo("b"))), Message{Text: "x"}, "")
	if err != nil || result.Err() == nil || result.Err().Error() != "a: failed inside the relay: boom (sent to b)" {
		t.Error(err, result.Err())
	}
}

package httpfront_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestARequesterGetsTheAnswerToItsRequestByAnyMethod(t *testing.T) {
	r := start(t)
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"} {
		t.Run(method, func(t *testing.T) {
			var body io.Reader
			if method != "GET" {
				body = strings.NewReader("question")
			}
			asked := later(func() answer {
				return r.do(method, "/p/req/api?x=1&token="+secretToken, body, "Patch-H-Trace", "7", "Content-Type", "text/x")
			})
			q := r.get("/p/res/api")
			if q.code != 200 || method != "GET" && q.body != "question" {
				t.Fatalf("the responder got %+v", q)
			}
			for k, v := range map[string]string{
				"Patch-Method": method, "Patch-Uri": "/p/req/api?x=1", "Trace": "7", "Patch-H-Trace": "7",
			} {
				if got := q.header.Get(k); got != v {
					t.Errorf("%s: %q, want %q", k, got, v)
				}
			}
			id := q.header.Get("Patch-Reply")
			a := r.post("/p/res/api", "reply", "Patch-Reply", id, "Patch-Status", "207", "Patch-H-Location", "/there", "Content-Type", "text/y")
			want(t, a, 200, "")
			got := soon(t, asked)
			want(t, got, 207, "reply")
			if got.header.Get("Location") != "/there" || got.header.Get("Content-Type") != "text/y" {
				t.Errorf("headers %v", got.header)
			}
			wantLine(t, r.post("/p/res/api", "again", "Patch-Reply", id), 410, "nobody")
		})
	}
	r.empty()
}

func TestAHeadRequestIsAnsweredWithoutABody(t *testing.T) {
	r := start(t)
	asked := later(func() answer { return r.do("HEAD", "/p/req/site", nil) })
	q := r.get("/p/res/site")
	if q.header.Get("Patch-Method") != "HEAD" {
		t.Fatalf("%+v", q)
	}
	want(t, r.post("/p/res/site", "page", "Patch-Reply", q.header.Get("Patch-Reply")), 200, "")
	got := soon(t, asked)
	want(t, got, 200, "")
	if got.header.Get("Content-Length") != "4" {
		t.Errorf("%v", got.header)
	}
}

func TestAStatusWithoutABodyGetsNone(t *testing.T) {
	r := start(t)
	for _, status := range []int{204, 304} {
		asked := later(func() answer { return r.get("/p/req/x") })
		q := r.get("/p/res/x")
		want(t, r.post("/p/res/x", "ignored", "Patch-Reply", q.header.Get("Patch-Reply"), "Patch-Status", fmt.Sprint(status)), 200, "")
		want(t, soon(t, asked), status, "")
	}
}

func TestAnAnswerWithoutAnIDGoesToTheOldestTakenRequest(t *testing.T) {
	r := start(t)
	var asked [3]<-chan answer
	for i := range asked {
		asked[i] = later(func() answer { return r.post("/p/req/x", fmt.Sprint(i)) })
		r.producers("req/x", i+1)
	}
	for i := range asked {
		if q := r.get("/p/res/x"); q.body != fmt.Sprint(i) {
			t.Fatalf("request %d is %q", i, q.body)
		}
	}
	for i := range asked {
		want(t, r.post("/p/res/x", fmt.Sprint("to ", i)), 200, "")
	}
	for i := range asked {
		want(t, soon(t, asked[i]), 200, fmt.Sprint("to ", i))
	}
}

func TestAnAnswerThatComesFirstWaitsForItsRequest(t *testing.T) {
	r := start(t)
	answered := later(func() answer { return r.post("/p/res/x", "at once") })
	r.consumers("res/x", 1)
	want(t, r.post("/p/req/x", strings.Repeat("unread", 100)), 200, "at once")
	want(t, soon(t, answered), 200, "")
	r.empty()
}

func TestAnImpossibleStatusIsA502AndItsResponderIsTold(t *testing.T) {
	r := start(t)
	for _, status := range []string{"7", "99", "100", "199", "600", "abc", "2000", "-200", "+20"} {
		asked := later(func() answer { return r.get("/p/req/x") })
		q := r.get("/p/res/x")
		wantLine(t, r.post("/p/res/x", "x", "Patch-Reply", q.header.Get("Patch-Reply"), "Patch-Status", status), 400, "bad Patch-Status")
		wantLine(t, soon(t, asked), 502, "impossible status")
	}
}

func TestAResponderThatVanishesIsA502AndNobodyElsesAnswer(t *testing.T) {
	r := start(t)
	asked := later(func() answer { return r.post("/p/req/x?timeout=200ms", "q") })
	id := r.get("/p/res/x").header.Get("Patch-Reply")
	wantLine(t, soon(t, asked), 502, "did not answer")
	wantLine(t, r.post("/p/res/x", "late", "Patch-Reply", id), 410, "nobody")
	wantLine(t, r.post("/p/req/x?timeout=100ms", "q"), 408, "nobody came")
	r.empty()
}

func TestARequesterThatLeavesMakesItsAnswer410(t *testing.T) {
	r := start(t)
	w := r.dial("POST /p/req/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nq")
	id := r.get("/p/res/x").header.Get("Patch-Reply")
	w.Close()
	until(t, "the call to end", func() bool { return r.broker.Stats().Calls == 0 })
	wantLine(t, r.post("/p/res/x?reply="+id, "late"), 410, "nobody")
	r.empty()
}

func TestASwitchedRequestIsAnsweredByTheNextPostToThatChannel(t *testing.T) {
	r := start(t)
	asked := later(func() answer { return r.post("/p/req/service", "task") })
	q := r.post("/p/res/service?switch=true", "worker-1")
	want(t, q, 200, "task")
	a := r.post("/p/worker-1", "done", "Patch-Status", "202", "Patch-H-X", "y")
	want(t, a, 200, "")
	got := soon(t, asked)
	want(t, got, 202, "done")
	if got.header.Get("X") != "y" || got.header.Get("User-Agent") != "" || got.header.Get("Patch-Uri") != "" {
		t.Errorf("%v", got.header)
	}
	r.empty()
}

func TestASwitchChannelNobodyPostsToIsA504(t *testing.T) {
	r := start(t)
	asked := later(func() answer { return r.post("/p/req/service", "task") })
	r.producers("req/service", 1) // the time is the responder's for waiting, too
	want(t, r.post("/p/res/service?switch=true&timeout=100ms", "worker-1"), 200, "task")
	wantLine(t, soon(t, asked), 504, "nobody posted")
	r.empty()
}

func TestABadSwitchChannelIsRefusedBeforeARequestIsTaken(t *testing.T) {
	r := start(t)
	for _, to := range []string{"", "a/b", "a?b", "service", "\x01", "req", strings.Repeat("x", 1100)} {
		if a := r.post("/p/res/service?switch=true", to); a.code != 400 || strings.Count(a.body, "\n") != 1 {
			t.Errorf("%.20q: %+v", to, a)
		}
	}
}

// responder answers requests on a service until ctx ends: an echo, after a while
// and out of order, unless it dies.
func (r *relay) responder(ctx context.Context, dies func() bool) {
	for ctx.Err() == nil {
		req, _ := http.NewRequestWithContext(ctx, "GET", r.url+"/p/res/many", nil)
		res, err := r.client.Do(req)
		if err != nil {
			continue
		}
		q, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || dies() {
			continue
		}
		runtime.Gosched()
		a, _ := http.NewRequestWithContext(ctx, "POST", r.url+"/p/res/many", strings.NewReader("answer to "+string(q)))
		a.Header.Set("Patch-Reply", res.Header.Get("Patch-Reply"))
		if res, err := r.client.Do(a); err == nil {
			res.Body.Close()
		}
	}
}

func TestFiftyRequestersAndTenRespondersNeverMixAnswersUp(t *testing.T) {
	r := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	var responders sync.WaitGroup
	var killed atomic.Int64
	for i := range 10 {
		responders.Go(func() {
			r.responder(ctx, func() bool {
				if i < 3 && rand.IntN(10) == 0 { // three of them drop every tenth request
					killed.Add(1)
					return true
				}
				return false
			})
		})
	}
	var right, failed atomic.Int64
	var requesters sync.WaitGroup
	for i := range 50 {
		requesters.Go(func() {
			for j := range 20 {
				q := fmt.Sprintf("%d/%d", i, j)
				a := r.post("/p/req/many?timeout=2s", q)
				switch {
				case a.code == 200 && a.body == "answer to "+q:
					right.Add(1)
				case a.code == 502:
					failed.Add(1)
				default:
					t.Errorf("%s got %+v", q, a)
				}
			}
		})
	}
	requesters.Wait()
	cancel()
	responders.Wait()
	if right.Load()+failed.Load() != 1000 || failed.Load() != killed.Load() {
		t.Errorf("%d right, %d failed, %d dropped", right.Load(), failed.Load(), killed.Load())
	}
	t.Logf("%d answers right, %d requests dropped by their responder and answered 502", right.Load(), failed.Load())
	r.empty()
}

// heap returns what the process has in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}

func TestAGigabyteIsAnsweredByAGigabyteWhileItStillArrives(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 64 << 20
	}
	r := start(t)
	before := heap()
	var sent atomic.Int64 // of the request
	body := io.TeeReader(io.LimitReader(zeros{}, size), counter{&sent})
	first := make(chan int64, 1)
	asked := later(func() answer {
		req, _ := http.NewRequestWithContext(within(t, 10*patience), "POST", r.url+"/p/req/big", io.NopCloser(body))
		req.ContentLength = size
		res, err := r.client.Do(req)
		if err != nil {
			return answer{err: err}
		}
		defer res.Body.Close()
		var one [1]byte
		io.ReadFull(res.Body, one[:]) //nolint:errcheck // the count below tells
		first <- sent.Load()
		n, err := io.Copy(io.Discard, res.Body)
		return answer{code: res.StatusCode, body: fmt.Sprint(n + 1), err: err}
	})
	// The responder sends back what it gets, as it gets it.
	res, err := r.client.Get(r.url + "/p/res/big")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	req, _ := http.NewRequest("POST", r.url+"/p/res/big", res.Body)
	req.Header.Set("Patch-Reply", res.Header.Get("Patch-Reply"))
	back, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	back.Body.Close()
	if back.StatusCode != 200 {
		t.Errorf("the responder got %d", back.StatusCode)
	}
	select {
	case a := <-asked:
		want(t, a, 200, fmt.Sprint(size))
	case <-time.After(10 * patience):
		t.Fatal("no answer")
	}
	if n := <-first; n >= size {
		t.Errorf("the first byte of the answer came after all %d of the request", n)
	}
	if grown := int64(heap()) - int64(before); grown > 32<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) { c.n.Add(int64(len(p))); return len(p), nil }

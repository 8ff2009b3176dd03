package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"patchwork/cmd/patchwork/bench"
)

// A badRelay is a queue relay that makes mistakes: of every hundred messages it loses
// number 10, gives 20 out twice, changes 30, and says 502 for 40, which it delivers.
type badRelay struct {
	mu       sync.Mutex
	channels map[string]chan []byte
}

var benchNumber = regexp.MustCompile(`^\[b \S+ (\d+) `)

func (b *badRelay) channel(path string) chan []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.channels[path] == nil {
		b.channels[path] = make(chan []byte, 1000)
	}
	return b.channels[path]
}

func (b *badRelay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	messages := b.channel(r.URL.Path)
	if r.Method == http.MethodGet {
		select {
		case m := <-messages:
			w.Write(m)
		case <-r.Context().Done():
		}
		return
	}
	m, _ := io.ReadAll(r.Body)
	n, _ := strconv.Atoi(string(benchNumber.FindSubmatch(m)[1]))
	switch n % 100 {
	case 10:
		return
	case 20:
		messages <- m
	case 30:
		m[len(m)/2] = '!'
	case 40:
		w.WriteHeader(http.StatusBadGateway)
	}
	messages <- m
}

// benchJSON runs bench and returns what it reports.
func benchJSON(t *testing.T, ctx context.Context, args ...string) (bench.Report, int, string) {
	t.Helper()
	code, out, talk := command(t, ctx, append([]string{"bench", "--json"}, args...)...)
	var r bench.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s%s", err, out, talk)
	}
	return r, code, talk
}

func TestBenchFindsLostAndDoubledMessages(t *testing.T) {
	for _, template := range []string{"/{run}/{n}", "/{run}/{channel}"} {
		t.Run(template, func(t *testing.T) {
			s := httptest.NewServer(&badRelay{channels: map[string]chan []byte{}})
			defer s.Close()
			r, code, _ := benchJSON(t, t.Context(), "--send", s.URL+template, "--receive", s.URL+template,
				"--messages", "100", "--pairs", "5", "--timeout", "1s")
			if code != exitFailed || len(r.Targets) != 1 {
				t.Fatalf("exit code %d, %+v", code, r)
			}
			got := r.Targets[0]
			// The changed one never came as it was, so it is lost as well.
			if got.Lost != 2 || got.Doubled != 1 || got.Damaged != 1 || got.Unconfirmed != 1 || got.Errors["send: 502"] != 1 || got.Unsettled != 0 {
				t.Errorf("%+v", got)
			}
			// All others arrived, and so did the unconfirmed one.
			if got.Deliveries != 98 {
				t.Errorf("%d arrived, want 98", got.Deliveries)
			}
		})
	}
}

// hub broadcasts to whoever asks; an answer is one message, or goes on. It takes a
// message when as many listen as are to have it: bench waits for a moment until they
// do, but cannot know when an asking has come to a relay.
type hub struct {
	oneShot bool
	forget  int // which message it keeps from one of its listeners; 0 is none
	want    int

	mu    sync.Mutex
	ears  map[chan []byte]bool
	asked chan struct{} // closed when one more listens
	early map[int]bool  // messages that came before all listened
}

// await returns with h locked and all listening to message n, or without when ctx ends.
func (h *hub) await(ctx context.Context, n int) bool {
	for {
		h.mu.Lock()
		if len(h.ears) >= h.want {
			return true
		}
		asked := h.asked
		h.early[n] = true
		h.mu.Unlock()
		select {
		case <-asked:
		case <-ctx.Done():
			return false
		}
	}
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		m, _ := io.ReadAll(r.Body)
		n, _ := strconv.Atoi(string(benchNumber.FindSubmatch(m)[1]))
		if !h.await(r.Context(), n) {
			return
		}
		defer h.mu.Unlock()
		skip := h.forget > 0 && n == h.forget
		for ear := range h.ears {
			if skip {
				skip = false
				continue
			}
			ear <- m
			if h.oneShot {
				delete(h.ears, ear)
			}
		}
		return
	}
	ear := make(chan []byte, 1000)
	h.mu.Lock()
	h.ears[ear] = true
	close(h.asked)
	h.asked = make(chan struct{})
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		delete(h.ears, ear)
		h.mu.Unlock()
	}()
	for {
		select {
		case m := <-ear:
			w.Write(m)
			if h.oneShot {
				return
			}
			io.WriteString(w, "\n")
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

func TestBenchMeasuresBroadcastsOfBothSorts(t *testing.T) {
	for _, oneShot := range []bool{false, true} {
		for _, forget := range []int{0, 7} {
			t.Run(fmt.Sprintf("one message an answer %v, forgets %d", oneShot, forget), func(t *testing.T) {
				h := &hub{oneShot: oneShot, forget: forget, want: 3, ears: map[chan []byte]bool{}, asked: make(chan struct{}), early: map[int]bool{}}
				s := httptest.NewServer(h)
				defer s.Close()
				r, code, talk := benchJSON(t, t.Context(), "--mode", "pubsub", "--send", s.URL, "--receive", s.URL,
					"--messages", "30", "--subscribers", "3", "--timeout", "1s")
				wantCode, lost := exitDone, 0
				if forget > 0 {
					wantCode, lost = exitFailed, 1
				}
				h.mu.Lock()
				defer h.mu.Unlock()
				early := 0
				for n := range 30 { // the rest are probes
					if h.early[n] {
						early++
					}
				}
				if early > 20 { // a busy machine makes some late
					t.Errorf("%d of 30 messages were sent before all listened again", early)
				}
				if got := r.Targets[0]; code != wantCode || got.Lost != lost || got.Deliveries != 90-lost || got.Doubled != 0 || got.Ears != 3 {
					t.Errorf("exit code %d, %s%+v", code, talk, got)
				}
			})
		}
	}
}

func TestBenchComparesTwoByTurns(t *testing.T) {
	var mu sync.Mutex
	var turns []string
	relays := [2]string{}
	for i := range relays {
		queue := &badRelay{channels: map[string]chan []byte{}}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			if name := strconv.Itoa(i); len(turns) == 0 || turns[len(turns)-1] != name {
				turns = append(turns, name)
			}
			mu.Unlock()
			queue.ServeHTTP(w, r)
		}))
		defer s.Close()
		relays[i] = s.URL + "/{run}/{n}"
	}
	r, code, talk := benchJSON(t, t.Context(), "--send", relays[0], "--receive", relays[0],
		"--vs-send", relays[1], "--vs-receive", relays[1], "--messages", "30", "--rounds", "3")
	if code != exitDone || r.Rounds != 3 || len(r.Targets) != 2 || r.Targets[0].Messages != 30 || r.Targets[1].Deliveries != 30 {
		t.Fatalf("exit code %d, %s%+v", code, talk, r)
	}
	// Round by round the other one begins: 01 10 01.
	if got := strings.Join(turns, ""); got != "0101" {
		t.Errorf("the turns are %s", got)
	}
	if m := r.Ratios["messages/s"]; m.Least <= 0 || m.Least > m.Median || m.Median > m.Most {
		t.Errorf("ratios %+v", r.Ratios)
	}
}

func TestBenchEndsWithWhatItHas(t *testing.T) {
	relay := &badRelay{channels: map[string]chan []byte{}}
	nine := make(chan struct{})
	var count int
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		relay.mu.Lock()
		if r.Method == http.MethodPost {
			if count++; count == 9 {
				close(nine)
			}
		}
		stuck := count >= 9
		relay.mu.Unlock()
		if stuck {
			io.Copy(io.Discard, r.Body) // only then does the server see that the client is gone
			<-r.Context().Done()
			return
		}
		relay.ServeHTTP(w, r)
	}))
	defer s.Close()
	go func() {
		<-nine
		cancel()
	}()
	r, code, talk := benchJSON(t, ctx, "--send", s.URL+"/{n}", "--receive", s.URL+"/{n}", "--messages", "1000000")
	if code != exitInterrupted || talk != "" {
		t.Errorf("exit code %d, stderr %q", code, talk)
	}
	if got := r.Targets[0]; got.Deliveries < 7 || got.Deliveries > 8 || got.Lost != 0 || got.Unsettled > 2 || got.Messages != 1000000 {
		t.Errorf("%+v", got)
	}
}

func TestBenchSendsTheTokenToItsRelayAlone(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]bool{}
	listen := func(name string) *httptest.Server {
		queue := &badRelay{channels: map[string]chan []byte{}}
		return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seen[name+" "+r.Header.Get("Authorization")] = true
			mu.Unlock()
			queue.ServeHTTP(w, r)
		}))
	}
	own, other := listen("own"), listen("other")
	defer own.Close()
	defer other.Close()
	template := other.URL + "/{run}/{n}"
	_, code, talk := benchJSON(t, t.Context(), "--server", own.URL, "--token", "secret", "--messages", "5", "--vs-send", template, "--vs-receive", template)
	if code != exitDone {
		t.Errorf("exit code %d: %s", code, talk)
	}
	mu.Lock()
	defer mu.Unlock()
	if !seen["own Bearer secret"] || seen["own "] || seen["other Bearer secret"] || !seen["other "] {
		t.Errorf("seen: %v", seen)
	}
}

func TestBenchMistakesAreOneLineAndExit2(t *testing.T) {
	for line, want := range map[string]string{
		"extra":                                "bench: what is",
		"--mode loud":                          `--mode "loud" is no mode`,
		"--vs-mode loud":                       `--vs-mode "loud" is no mode`,
		"--send /p/x":                          "--send and --receive go together",
		"--vs-send /p/x":                       "--vs-send and --vs-receive go together",
		"--send /p/{x} --receive /p/{x}":       "there are {n}, {channel}, {pair} and {run}",
		"--send ftp://h/ --receive /p/x":       `--send "ftp://h/" is no http`,
		"--send /p/{n} --receive /p/x":         "{n} is to be in both or in none",
		"-m pubsub --send /{n} --receive /{n}": "{channel}, not {n}",
		"--size 10":                            "has 64 bytes at least",
		"--size big":                           `--size "big" is not a size`,
		"--messages 0":                         `--messages "0" is not a whole number`,
		"--messages 10000001":                  "may be 10000000",
		"--pairs 200 --subscribers 200":        "may be 10000",
		"--timeout 0s":                         "--timeout",
		"-H nonsense":                          "is not NAME:VALUE",
	} {
		code, out, talk := command(t, t.Context(), append([]string{"bench"}, strings.Fields(line)...)...)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, stdout %q", line, code, out)
		}
		wantLine(t, talk, want)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
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
func benchJSON(t *testing.T, ctx context.Context, args ...string) (benchReport, int, string) {
	t.Helper()
	code, out, talk := command(t, ctx, append([]string{"bench", "--json"}, args...)...)
	var r benchReport
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

// hub broadcasts to whoever asks; an answer is one message, or goes on.
type hub struct {
	oneShot bool
	forget  int // which message it keeps from one of its listeners; 0 is none

	mu   sync.Mutex
	ears map[chan []byte]bool
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		m, _ := io.ReadAll(r.Body)
		n, _ := strconv.Atoi(string(benchNumber.FindSubmatch(m)[1]))
		h.mu.Lock()
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
				s := httptest.NewServer(&hub{oneShot: oneShot, forget: forget, ears: map[chan []byte]bool{}})
				defer s.Close()
				r, code, talk := benchJSON(t, t.Context(), "--mode", "pubsub", "--send", s.URL, "--receive", s.URL,
					"--messages", "30", "--subscribers", "3", "--timeout", "1s")
				wantCode, lost := exitDone, 0
				if forget > 0 {
					wantCode, lost = exitFailed, 1
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

func TestBenchMessagesAreFoundInWhateverIsAroundThem(t *testing.T) {
	whole := func(n, size int) string {
		text, _ := io.ReadAll(benchMessage("run", n, size))
		if len(text) != size {
			t.Fatalf("%d bytes, want %d", len(text), size)
		}
		return string(text)
	}
	for name, test := range map[string]struct {
		stream string
		want   string
	}{
		"nothing":          {"", "EOF"},
		"one":              {whole(3, 64), "3 EOF"},
		"two":              {whole(0, 64) + whole(1, 100), "0 1 EOF"},
		"lines around":     {"[\n" + whole(0, 64) + "\r\n[b\n" + whole(1, 64) + "]", "0 1 EOF"},
		"in JSON":          {`{"id":"x","message":"` + whole(5, 64) + `"}` + "\n", "5 EOF"},
		"another run":      {strings.ReplaceAll(whole(0, 64), "run", "RUN") + whole(1, 64), "1 EOF"},
		"long":             {whole(0, 1<<20) + whole(1, 64), "0 1 EOF"},
		"cut in the head":  {whole(0, 64)[:6], "cut"},
		"cut in the mark":  {whole(0, 64)[:3], "cut"},
		"cut in the dots":  {whole(0, 64)[:30], "cut"},
		"cut in the tail":  {whole(1, 64) + whole(0, 64)[:60], "1 cut"},
		"changed":          {strings.Replace(whole(0, 64), "...", ".!.", 1) + whole(1, 64), "damaged 1 EOF"},
		"another tail":     {strings.Replace(whole(0, 64), "[e run 0]", "[e run 1]", 1) + whole(1, 64), "damaged 1 EOF"},
		"no number":        {"[b run x y]" + whole(1, 64), "damaged 1 EOF"},
		"impossibly short": {"[b run 1 5]" + whole(1, 64), "damaged 1 EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(test.stream), iotest.OneByteReader(strings.NewReader(test.stream))} {
				var got []string
				for s := scanBench(r, "run"); ; {
					n, err := s.next()
					switch {
					case err == nil:
						got = append(got, strconv.Itoa(n))
						continue
					case errors.Is(err, errDamaged):
						got = append(got, "damaged")
						continue
					case errors.Is(err, io.ErrUnexpectedEOF):
						got = append(got, "cut")
					default:
						got = append(got, err.Error())
					}
					break
				}
				if text := strings.Join(got, " "); text != test.want {
					t.Errorf("got %q, want %q", text, test.want)
				}
			}
		})
	}
}

func FuzzBenchMessagesAreFound(f *testing.F) {
	f.Add("data: ", "\n\n", uint16(7), uint16(64))
	f.Add("[b run 1 ", "]", uint16(0), uint16(40000))
	f.Fuzz(func(t *testing.T, before, after string, n, size uint16) {
		around := strings.NewReplacer("[b run ", "")
		stream := io.MultiReader(strings.NewReader(around.Replace(before)+"\n"), benchMessage("run", int(n), max(int(size), leastBench)), strings.NewReader("\n"+around.Replace(after)))
		s := scanBench(stream, "run")
		if got, err := s.next(); err != nil || got != int(n) {
			t.Fatalf("got %d (%v), want %d", got, err, n)
		}
		for {
			if got, err := s.next(); err == nil {
				t.Fatalf("%d was made up", got)
			} else if !errors.Is(err, errDamaged) {
				return
			}
		}
	})
}

func TestBenchFiguresAreRight(t *testing.T) {
	r := benchResult{Ears: 2, Size: 1000, Deliveries: 200, Seconds: 2}
	for i := 200; i > 0; i-- {
		r.latencies = append(r.latencies, time.Duration(i)*time.Millisecond)
	}
	r = r.figured()
	if want := (benchLatency{100, 180, 198, 200}); r.Latency != want {
		t.Errorf("latencies %+v, want %+v", r.Latency, want)
	}
	if r.MessagesPerSecond != 50 || r.BytesPerSecond != 100_000 {
		t.Errorf("%g messages/s, %g bytes/s", r.MessagesPerSecond, r.BytesPerSecond)
	}
	figure := func(r benchResult) float64 { return r.Seconds }
	got, ok := ratios([]benchResult{{Seconds: 1}, {Seconds: 2}, {Seconds: 0}, {Seconds: 4}}, []benchResult{{Seconds: 3}, {Seconds: 2}, {Seconds: 9}, {Seconds: 8}}, figure)
	if want := (benchRatio{2, 1, 3}); !ok || got != want {
		t.Errorf("ratio %+v, want %+v", got, want)
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

func TestBenchReportsInWords(t *testing.T) {
	var b bytes.Buffer
	benchResult{
		Send: "A", Receive: "B", Mode: "pubsub", Pairs: 2, Size: 100, Ears: 3, Messages: 10, Deliveries: 27, Lost: 2, Doubled: 1,
		Errors: map[string]int{"send: 502": 1}, Seconds: 1.5, MessagesPerSecond: 6, BytesPerSecond: 1800,
	}.write(&b)
	want := `send to A, receive from B
  pubsub, 2 at once, 3 subscribers each: 9 of 10 messages of 100 bytes arrived in 1.50 s
  6 messages/s, 0.00 MB/s; latency p50 0.00 ms, p90 0.00 ms, p99 0.00 ms, max 0.00 ms
  2 LOST, 1 DOUBLED, 1 × send: 502
`
	if b.String() != want {
		t.Errorf("got %q", b.String())
	}
}

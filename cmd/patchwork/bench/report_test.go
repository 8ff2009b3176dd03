package bench

import (
	"bytes"
	"testing"
	"time"
)

func TestBenchFiguresAreRight(t *testing.T) {
	r := Result{Ears: 2, Size: 1000, Deliveries: 200, Seconds: 2}
	for i := 200; i > 0; i-- {
		r.latencies = append(r.latencies, time.Duration(i)*time.Millisecond)
	}
	r = r.figured()
	if want := (Latency{100, 180, 198, 200}); r.Latency != want {
		t.Errorf("latencies %+v, want %+v", r.Latency, want)
	}
	if r.MessagesPerSecond != 50 || r.BytesPerSecond != 100_000 {
		t.Errorf("%g messages/s, %g bytes/s", r.MessagesPerSecond, r.BytesPerSecond)
	}
	figure := func(r Result) float64 { return r.Seconds }
	got, ok := ratios([]Result{{Seconds: 1}, {Seconds: 2}, {Seconds: 0}, {Seconds: 4}}, []Result{{Seconds: 3}, {Seconds: 2}, {Seconds: 9}, {Seconds: 8}}, figure)
	if want := (Ratio{2, 1, 3}); !ok || got != want {
		t.Errorf("ratio %+v, want %+v", got, want)
	}
}

func TestBenchReportsInWords(t *testing.T) {
	var b bytes.Buffer
	Result{
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

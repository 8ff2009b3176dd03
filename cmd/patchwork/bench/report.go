package bench

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// A Result is what one relay did, in one round or in all of them.
type Result struct {
	Send    string `json:"send"`
	Receive string `json:"receive"`
	Mode    string `json:"mode"`
	Pairs   int    `json:"pairs"`
	Size    int    `json:"size"`
	Ears    int    `json:"receivers"` // of each message

	Messages    int            `json:"messages"`    // that were to be sent
	Deliveries  int            `json:"deliveries"`  // that arrived whole
	Lost        int            `json:"lost"`        // confirmed to the sender, and never there
	Doubled     int            `json:"doubled"`     // there once more
	Damaged     int            `json:"damaged"`     // not as they were sent
	Unconfirmed int            `json:"unconfirmed"` // there, and their sender was told otherwise
	Unsettled   int            `json:"unsettled"`   // cut short by the end of the time, or by the user
	Errors      map[string]int `json:"errors"`

	Seconds           float64 `json:"seconds"`
	MessagesPerSecond float64 `json:"messages_per_second"`
	BytesPerSecond    float64 `json:"bytes_per_second"` // that arrived
	Latency           Latency `json:"latency_ms"`

	latencies []time.Duration // sorted
}

// A Latency is in milliseconds, from the start of the sending until the last
// byte is there.
type Latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// result judges a round that is over. cut says that it was ended before its time, so
// that what is missing may have been under way.
func (l *ledger) result(cut bool) Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := Result{
		Ears: l.ears, Messages: len(l.messages), Deliveries: len(l.latencies), Doubled: l.doubled, Damaged: l.damaged,
		Errors: maps.Clone(l.errors), latencies: slices.Clone(l.latencies),
	}
	for _, m := range l.messages {
		for _, times := range m.arrived {
			switch {
			case times > 0 && m.outcome == benchRefused:
				r.Unconfirmed++
			case times == 0 && m.outcome == benchConfirmed && !cut:
				r.Lost++
			case times == 0 && m.outcome != benchRefused && !m.sent.IsZero():
				r.Unsettled++
			}
		}
	}
	if !l.ended.IsZero() {
		r.Seconds = l.ended.Sub(l.begun).Seconds()
	}
	return r.figured()
}

// figured computes what follows from the rest.
func (r Result) figured() Result {
	slices.Sort(r.latencies)
	at := func(q float64) float64 { // nearest rank
		if len(r.latencies) == 0 {
			return 0
		}
		rank := max(int(math.Ceil(q*float64(len(r.latencies)))), 1)
		return float64(r.latencies[rank-1].Microseconds()) / 1000
	}
	r.Latency = Latency{at(.50), at(.90), at(.99), at(1)}
	if r.Seconds > 0 {
		r.MessagesPerSecond = float64(r.Deliveries) / float64(r.Ears) / r.Seconds
		r.BytesPerSecond = float64(r.Deliveries) * float64(r.Size) / r.Seconds
	}
	return r
}

// together adds rounds of the same relay up.
func together(rounds []Result) Result {
	sum := rounds[0]
	sum.Errors = maps.Clone(sum.Errors)
	sum.latencies = slices.Clone(sum.latencies)
	for _, r := range rounds[1:] {
		sum.Messages += r.Messages
		sum.Deliveries += r.Deliveries
		sum.Lost += r.Lost
		sum.Doubled += r.Doubled
		sum.Damaged += r.Damaged
		sum.Unconfirmed += r.Unconfirmed
		sum.Unsettled += r.Unsettled
		sum.Seconds += r.Seconds
		sum.latencies = append(sum.latencies, r.latencies...)
		for what, n := range r.Errors {
			sum.Errors[what] += n
		}
	}
	return sum.figured()
}

// well tells whether everything that was sent arrived, once.
func (r Result) well() bool {
	return r.Lost+r.Doubled+r.Damaged+r.Unconfirmed+len(r.Errors) == 0
}

// write says it in a few lines.
func (r Result) write(w io.Writer) {
	fmt.Fprintf(w, "send to %s, receive from %s\n", r.Send, r.Receive)
	each := ""
	if r.Ears > 1 {
		each = fmt.Sprintf(", %d subscribers each", r.Ears)
	}
	fmt.Fprintf(w, "  %s, %d at once%s: %d of %d messages of %d bytes arrived in %.2f s\n",
		r.Mode, r.Pairs, each, r.Deliveries/r.Ears, r.Messages, r.Size, r.Seconds)
	if r.Deliveries > 0 {
		fmt.Fprintf(w, "  %.0f messages/s, %.2f MB/s; latency p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms\n",
			r.MessagesPerSecond, r.BytesPerSecond/1e6, r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max)
	}
	var trouble []string
	for _, t := range []struct {
		n    int
		what string
	}{
		{r.Lost, "LOST"},
		{r.Doubled, "DOUBLED"},
		{r.Damaged, "DAMAGED"},
		{r.Unconfirmed, "arrived though the sender was told otherwise"},
		{r.Unsettled, "not settled when it ended"},
	} {
		if t.n > 0 {
			trouble = append(trouble, fmt.Sprintf("%d %s", t.n, t.what))
		}
	}
	for _, what := range slices.Sorted(maps.Keys(r.Errors)) {
		trouble = append(trouble, fmt.Sprintf("%d × %s", r.Errors[what], what))
	}
	if len(trouble) == 0 {
		trouble = []string{"nothing lost, nothing doubled"}
	}
	fmt.Fprintf(w, "  %s\n", strings.Join(trouble, ", "))
}

// A Ratio is how the second relay did in relation to the first: the median of
// the rounds, and the least and the most.
type Ratio struct {
	Median float64 `json:"median"`
	Least  float64 `json:"least"`
	Most   float64 `json:"most"`
}

// ratios compares figures that were taken side by side. Rounds without a figure are
// left out; without any there is no ratio.
func ratios(first, second []Result, figure func(Result) float64) (Ratio, bool) {
	var all []float64
	for i := range min(len(first), len(second)) {
		if a, b := figure(first[i]), figure(second[i]); a > 0 && b > 0 {
			all = append(all, b/a)
		}
	}
	if len(all) == 0 {
		return Ratio{}, false
	}
	slices.Sort(all)
	middle := (all[(len(all)-1)/2] + all[len(all)/2]) / 2
	return Ratio{middle, all[0], all[len(all)-1]}, true
}

// figures are what two relays are compared by.
var figures = []struct {
	name string
	of   func(Result) float64
}{
	{"messages/s", func(r Result) float64 { return r.MessagesPerSecond }},
	{"latency p50", func(r Result) float64 { return r.Latency.P50 }},
	{"latency p99", func(r Result) float64 { return r.Latency.P99 }},
}

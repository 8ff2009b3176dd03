package bench

import (
	"sync"
	"time"
)

// A ledger is what is known of each message of one round: when it was sent,
// what its sender was told, and how often it arrived where. It is safe for
// concurrent use.
type ledger struct {
	ears int // how many have to get each message

	mu       sync.Mutex // guards all below
	messages []entry
	left     int           // deliveries that are still to come
	done     chan struct{} // closed when there are none

	begun, ended time.Time // of the first sending, and of the last arrival
	latencies    []time.Duration
	doubled      int
	damaged      int
	errors       map[string]int
}

type entry struct {
	sent    time.Time
	outcome outcome
	arrived []uint16 // by ear
}

type outcome uint8

const (
	benchUnsent    outcome = iota // or under way
	benchConfirmed                // the sender was told that it is well
	benchRefused                  // the sender was told otherwise
)

func newLedger(messages, ears int) *ledger {
	l := &ledger{
		ears: ears, messages: make([]entry, messages), left: messages * ears,
		done: make(chan struct{}), errors: map[string]int{},
		latencies: make([]time.Duration, 0, messages*ears),
	}
	counts := make([]uint16, messages*ears)
	for i := range l.messages {
		l.messages[i].arrived = counts[i*ears : (i+1)*ears]
	}
	return l
}

// sending books that the sending of n begins.
func (l *ledger) sending(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages[n].sent = time.Now()
	if l.begun.IsZero() {
		l.begun = l.messages[n].sent
	}
}

// sent books what the sender of n was told; trouble is "" when all is well.
func (l *ledger) sent(n int, trouble string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if trouble == "" {
		l.messages[n].outcome = benchConfirmed
		return
	}
	l.messages[n].outcome = benchRefused
	l.errors["send: "+trouble]++
	for _, times := range l.messages[n].arrived {
		if times == 0 {
			l.left--
		}
	}
	l.settle()
}

// arrived books that an ear got message n whole.
func (l *ledger) arrived(n, ear int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n >= len(l.messages) {
		return // one that looks whether anybody listens
	}
	m := &l.messages[n]
	if m.arrived[ear]++; m.arrived[ear] > 1 {
		l.doubled++
		return
	}
	l.ended = time.Now()
	l.latencies = append(l.latencies, l.ended.Sub(m.sent))
	if m.outcome != benchRefused {
		l.left--
		l.settle()
	}
}

// settle tells when nothing more is to come. Under mu.
func (l *ledger) settle() {
	if l.left > 0 {
		return
	}
	select {
	case <-l.done:
	default:
		close(l.done)
	}
}

// has tells whether an ear has got message n.
func (l *ledger) has(n, ear int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.messages[n].arrived[ear] > 0
}

// refused books that a probe was not taken.
func (l *ledger) refused(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors["send: "+what]++
}

// fault books trouble on the receiving side.
func (l *ledger) fault(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors["receive: "+what]++
}

func (l *ledger) damage() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.damaged++
}

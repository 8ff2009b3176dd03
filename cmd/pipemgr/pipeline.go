package main

import (
	"log/slog"
	"sync"
	"time"
)

// A pipeline is what all tails have in common: where lines go, and how.
type pipeline struct {
	queue    *queue
	state    *state
	log      *slog.Logger
	losses   *losses
	networks []string // only containers on one of these; nil is all
	format   format
	drop     bool          // lines of all logs are dropped when the queue is full
	looking  chan struct{} // has room for as many as may ask Docker for a container at once
}

// overhead is what a queued line costs besides its text, roughly.
const overhead = 96

// A line is one line on its way to the relay.
type line struct {
	text    []byte // as it is sent; nil when it was filtered out, and only keeps its place
	from    *tail
	instant // the entries it covers
}

func (l line) cost() int { return len(l.text) + overhead }

// losses tells the log of dropped lines, without a line for each.
type losses struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	unsaid int
	last   time.Time // when they were said
}

// between is the least time between two lines of the log on the same matter.
const between = 10 * time.Second

func (l *losses) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unsaid += n
	if time.Since(l.last) >= between {
		l.say()
	}
}

// flush says what was not said yet.
func (l *losses) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.say()
}

func (l *losses) say() {
	if l.unsaid > 0 {
		l.log.Warn("the relay was too slow or away: the oldest lines were dropped", "lines", l.unsaid)
		l.unsaid, l.last = 0, time.Now()
	}
}

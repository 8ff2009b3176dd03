package main

import (
	"sync"
	"time"
)

// A trouble is what a tail knows of its tries to read a log: whether they fail, which
// /health tells, and what the log of pipemgr tells of that. A log that breaks off after it
// was open for a probation is no trouble yet: a proxy may cut off those that are silent,
// again and again, and each is opened again at once.
type trouble struct {
	mu     sync.Mutex // guards what follows
	told   string     // the error that was told last; "" when that is over
	stuck  bool       // the last try failed
	opened time.Time  // when the log was opened; zero when it is not open
}

// open notes that the log is open.
func (t *trouble) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened = time.Now()
}

// close notes that the log is not open any more, and whether lines were read from it
// that had not been read before. It returns for how long it was open.
func (t *trouble) close(readOn bool) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	lived := time.Since(t.opened)
	t.opened = time.Time{}
	if lived >= probation {
		t.stuck = false
		if readOn {
			t.told = ""
		}
	}
	return lived
}

// over notes that the log can be read.
func (t *trouble) over() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck, t.told = false, ""
}

// fail notes that a try failed, and returns what is to be told of that: "" if it has been.
func (t *trouble) fail(err error) (news string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stuck = true
	if text := oneLine(withoutOwnEnd(err)); text != t.told {
		t.told, news = text, text
	}
	return news
}

// isStuck may be called by any goroutine.
func (t *trouble) isStuck() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stuck && (t.opened.IsZero() || time.Since(t.opened) < probation)
}

package sshfront

import "sync"

// A tally counts what comes and goes, and tells when nothing is left. Unlike a
// sync.WaitGroup it may be added to while somebody waits.
type tally struct {
	mu   sync.Mutex // guards all below
	n    int
	none chan struct{} // closed at zero; nil while nobody waits
}

func (t *tally) add() {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
}

func (t *tally) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n--
	if t.n == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

func (t *tally) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// zero returns a channel that is closed as soon as nothing is left.
func (t *tally) zero() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == 0 {
		c := make(chan struct{})
		close(c)
		return c
	}
	if t.none == nil {
		t.none = make(chan struct{})
	}
	return t.none
}

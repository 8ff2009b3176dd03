package monitor

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// maxNotifying is how many are told something at a time.
const maxNotifying = 16

// alive is called for everything that is sent, from the goroutine that sends it.
func (s *Store) alive(m *monitor) {
	m.last.Store(time.Now().UnixNano())
	if m.sick.Load() {
		s.poke(m)
	}
}

// poke has the monitor looked at soon. It does not block.
func (s *Store) poke(m *monitor) {
	if m.due.Swap(true) {
		return
	}
	s.dueMu.Lock()
	s.due = append(s.due, m)
	s.dueMu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// run looks after monitors until the store is closed.
func (s *Store) run() {
	for {
		select {
		case <-s.wake:
		case <-s.ctx.Done():
			return
		}
		s.dueMu.Lock()
		due := s.due
		s.due = nil
		s.dueMu.Unlock()
		for _, c := range s.look(due) {
			s.tell(c)
		}
	}
}

// A change is a topic that became unhealthy or recovered.
type change struct {
	m       *monitor
	healthy bool
	at      time.Time
	window  time.Duration
	last    time.Time
}

// look holds monitors against the clock and books what has changed, all of it in
// one write.
func (s *Store) look(due []*monitor) []change {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var changes []change
	for _, m := range due {
		m.due.Store(false)
		if m.gone {
			continue
		}
		before := m.last.Load()
		deadline := m.deadline()
		switch sick := m.sick.Load(); {
		case sick && now.Before(deadline):
			m.sick.Store(false)
			m.timer.Reset(deadline.Sub(now))
			changes = append(changes, change{m: m, healthy: true, at: now, window: m.window, last: m.seen()})
		case !sick && now.Before(deadline):
			m.timer.Reset(deadline.Sub(now))
		case !sick:
			m.sick.Store(true)
			if m.last.Load() != before { // a sign of life that did not know it was news
				s.poke(m)
			}
			changes = append(changes, change{m: m, at: now, window: m.window, last: m.seen()})
		}
	}
	if len(changes) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range changes {
			if err := c.put(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil { // the state in memory is right, the history has a gap
		s.o.Logger.Error("monitors cannot be written", "error", err)
	}
	return changes
}

// tell tells the owner, in a goroutine of its own.
func (s *Store) tell(c change) {
	if s.o.Notify == nil {
		return
	}
	s.jobs.Go(func() {
		select {
		case s.turns <- struct{}{}:
		case <-s.ctx.Done():
			return
		}
		defer func() { <-s.turns }()
		title, text := words(c.m.topic.String(), c.healthy, c.window, c.last)
		s.o.Notify(s.ctx, c.m.user, title, text)
	})
}

// words say what happened to a topic.
func words(topic string, healthy bool, window time.Duration, last time.Time) (title, text string) {
	if healthy {
		return topic + " has recovered", "something was sent again"
	}
	title = topic + " is unhealthy"
	if last.IsZero() {
		return title, fmt.Sprintf("nothing was sent within %v, or ever", window)
	}
	return title, fmt.Sprintf("nothing was sent within %v; the last time was %s", window, last.UTC().Format(time.RFC3339))
}

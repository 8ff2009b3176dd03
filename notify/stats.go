package notify

import (
	"maps"
	"sync"
)

// Stats are a Sender's counters and its one gauge. The keys are names of
// backends, a closed set, fit for metric labels.
type Stats struct {
	Sent    map[string]uint64
	Failed  map[string]uint64
	Retried uint64
	Active  int // being sent or waiting
}

type stats struct {
	mu sync.Mutex // guards s
	s  Stats
}

func (s *stats) count(backend string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s.Sent == nil {
		s.s.Sent, s.s.Failed = map[string]uint64{}, map[string]uint64{}
	}
	if err != nil {
		s.s.Failed[backend]++
		return
	}
	s.s.Sent[backend]++
}

func (s *stats) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Retried++
}

// Stats says how the Sender has fared so far.
func (s *Sender) Stats() Stats {
	s.stats.mu.Lock()
	now := s.stats.s
	now.Sent, now.Failed = maps.Clone(now.Sent), maps.Clone(now.Failed)
	s.stats.mu.Unlock()
	now.Active = s.lanes.members()
	return now
}

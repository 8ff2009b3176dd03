package acl

import (
	"sync/atomic"
	"time"
)

// counters only grow.
type counters struct {
	fetches, failures, hits, misses, stale, refused atomic.Uint64
}

// Stats are a Store's counters since its start, and its gauges.
type Stats struct {
	Fetches  uint64 // reads of the source: files, keys and lists
	Failures uint64 // of them, those that got no answer
	Hits     uint64 // questions answered from what was kept
	Misses   uint64 // questions that had to look at the source, or wait for another's look
	Stale    uint64 // answers older than they should be, because the source could not be read
	Refused  uint64 // files that had a mistake, each time they were read

	Users  int           // whose rules are kept
	Absent int           // names of which it is kept that there is nothing
	Down   time.Duration // how long the source has not been readable; 0: it is
}

// Stats never blocks for long.
func (s *Store) Stats() Stats {
	c := &s.run.stats
	return Stats{
		Fetches: c.fetches.Load(), Failures: c.failures.Load(), Hits: c.hits.Load(),
		Misses: c.misses.Load(), Stale: c.stale.Load(), Refused: c.refused.Load(),
		Users: s.rules.good.EstimatedSize(), Absent: s.rules.none.EstimatedSize(), Down: s.run.down(),
	}
}

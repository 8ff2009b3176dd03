package transfer

import (
	"context"
	"time"
)

const (
	// graceForLast is how long a share that failed waits for the first report of
	// whoever may have begun to take the file.
	graceForLast = 5 * time.Second
	// graceForNext is how long it waits for another one then: anybody who has seen the
	// file's headers can report.
	graceForNext = time.Second
	// lateWords is how long such a reporter may take to listen.
	lateWords = 4 * time.Second
)

// farewell tells receivers that it is over, so that they do not wait in vain. What
// they report meanwhile is taken, for they listen only after that. grace is how long
// somebody who may have begun to receive is waited for. It ends early with stop.
func (s *sharing) farewell(ctx context.Context, why string, within, grace time.Duration, stop <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	var late <-chan time.Time
	if grace > 0 && s.unheard() {
		late = time.After(grace)
	}
	s.callOff()
	said := make(chan struct{})
	told := map[string]bool{}
	saying := 0
	soon := false // the grace was shortened
	tell := func(hook string, within time.Duration) {
		told[hook] = true
		saying++
		s.running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, within)
			defer cancel()
			s.posted(ctx, hook, answerFailed, "", why)
			said <- struct{}{}
		})
	}
	for _, p := range s.peers {
		s.forget(p)
		tell(p.hook, within)
	}
	for saying > 0 || late != nil {
		select {
		case r := <-s.reports:
			if r.Failed == "" && !told[r.Answer] && len(told) < maxPeers {
				tell(r.Answer, lateWords)
				if late != nil && !s.broadcast && !soon {
					late, soon = time.After(graceForNext), true
				}
			}
		case <-said:
			saying--
		case <-late:
			late = nil
		case <-stop:
			stop, late = nil, nil
			cancel()
		}
	}
}

// unheard tells whether somebody may be taking the file, or have just taken it, who
// has not said so yet. That some of it was read is no proof: a part may be on its way
// before anybody comes.
func (s *sharing) unheard() bool {
	if s.broadcast && s.begun >= s.want || !s.broadcast && len(s.peers) > 0 {
		return false
	}
	if s.offered == nil {
		return !s.graceAt.IsZero()
	}
	n, _ := s.offered.sum.sum()
	return n > 0
}

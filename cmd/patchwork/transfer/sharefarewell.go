package transfer

import (
	"context"
	"time"
)

// graceForLast is how long a share that failed waits for the first report of whoever
// may have begun to take the file.
const graceForLast = 5 * time.Second

// farewell tells receivers that it is over, so that they do not wait in vain. What
// they report meanwhile is taken, for they listen only after that. grace is how long
// somebody who may have begun to receive is waited for.
func (s *sharing) farewell(ctx context.Context, why string, within, grace time.Duration) {
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
	tell := func(hook string) {
		told[hook] = true
		saying++
		s.running.Go(func() {
			s.posted(ctx, hook, answerFailed, "", why)
			said <- struct{}{}
		})
	}
	for _, p := range s.peers {
		s.forget(p)
		tell(p.hook)
	}
	for saying > 0 || late != nil {
		select {
		case r := <-s.reports:
			if r.Failed == "" && !told[r.Answer] && len(told) < maxPeers {
				tell(r.Answer)
				if !s.broadcast {
					late = nil
				}
			}
		case <-said:
			saying--
		case <-late:
			late = nil
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

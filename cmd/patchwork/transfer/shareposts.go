package transfer

import (
	"context"
	"errors"
	"net/http"
	"time"

	"patchwork/cmd/patchwork/client"
)

// ended books how a post ended.
func (s *sharing) ended(ctx context.Context, p posted) error {
	to := p.post.to
	if to == nil && s.offered != p.post || to != nil && to.posting != p.post {
		return nil // it was called off
	}
	p.post.cancel()
	if p.sum != nil {
		s.whole = p.sum
	}
	var own *client.SourceError
	if errors.As(p.err, &own) {
		return own
	}
	if to == nil {
		return s.offerEnded(p)
	}
	to.posting = nil
	switch {
	case p.err != nil && !client.Passing(p.err):
		return p.err
	case isStatus(p.err, http.StatusBadGateway): // it took a part, and went
		s.failed(p.err)
		to.asked, to.lateAt = nil, s.lateFrom(time.Now())
		if !s.broadcast { // to whoever comes first: it, or another
			to.lateAt = time.Time{}
			s.offerAt = time.Now().Add(s.again.Step())
		}
	case isStatus(p.err, http.StatusRequestTimeout) && to.told:
		to.lateAt = time.Now()
	case isStatus(p.err, http.StatusRequestTimeout): // it asked, and went
		s.forget(to)
		s.offerOn(ctx)
	case p.err != nil:
		s.failed(p.err)
		to.told = to.told || p.answer == answerDone
		to.answerAt = time.Now().Add(to.again.Step())
	case p.answer == answerDone:
		s.got++
		s.forget(to)
		s.offerOn(ctx)
	case p.answer == answerFailed && !s.broadcast:
		s.forget(to) // it knows
		return errors.New("the receiver has other bytes than were sent; share it again")
	case p.answer == answerFailed:
		s.c.Say("a receiver has other bytes than were sent; going on without it")
		s.forget(to)
		s.offerOn(ctx)
	default:
		to.again.Reset()
		to.asked, to.lateAt = nil, s.lateFrom(time.Now())
	}
	return nil
}

// offerEnded books how an offer of the whole file ended.
func (s *sharing) offerEnded(p posted) error {
	s.offered = nil
	switch {
	case p.err != nil && !client.Passing(p.err):
		return p.err
	case isStatus(p.err, http.StatusRequestTimeout): // the relay lets nobody wait longer
		s.offerAt = time.Now()
		return nil
	case p.err != nil:
		s.failed(p.err)
		s.offerAt = time.Now().Add(s.again.Step())
		return nil //nolint:nilerr // it is offered again
	}
	s.again.Reset()
	s.took = p.delivered
	for _, old := range s.peers { // somebody else has it instead
		if !s.broadcast && old.posting == nil && old.offers < s.offers {
			s.forget(old)
		}
	}
	s.graceAt = time.Now()
	switch {
	case s.took <= s.begun: // all have reported
	case s.broadcast:
		s.graceAt = s.graceAt.Add(graceInBroadcast)
	default:
		s.graceAt = s.graceAt.Add(graceForReports)
	}
	for _, peer := range s.peers {
		if peer.posting == nil && peer.lateAt.IsZero() {
			peer.lateAt = s.lateFrom(time.Now())
		}
	}
	return nil
}

func (s *sharing) lateFrom(now time.Time) time.Time { return now.Add(s.patience) }

// forget ends what is under way to a receiver.
func (s *sharing) forget(p *peer) {
	s.stop(p.posting)
	delete(s.peers, p.hook)
}

// stop ends a post whose end is not waited for. What it has learned of the file is
// kept: a receiver may have all of it, and say so, before the relay does.
func (s *sharing) stop(p *post) {
	if p == nil {
		return
	}
	p.cancel()
	if p.sum == nil {
		return
	}
	if n, sum := p.sum.sum(); n == s.src.size {
		s.whole = sum
	}
}

// callOff ends the offer under way, and those to come.
func (s *sharing) callOff() {
	s.stop(s.offered)
	s.offered, s.offerAt, s.graceAt, s.took = nil, time.Time{}, time.Time{}, 0
}

func isStatus(err error, status int) bool {
	var answer *client.AnswerError
	return errors.As(err, &answer) && answer.Status == status
}

// failed says why a message did not get through.
func (s *sharing) failed(err error) {
	switch {
	case isStatus(err, http.StatusBadGateway):
		s.meter.line(s.c.Stderr)
		s.c.Say("the receiver went away; offering the file again")
	case errors.As(err, new(*client.AnswerError)): // the relay will say more when it is asked again
	default:
		s.link.Lost(err)
	}
}

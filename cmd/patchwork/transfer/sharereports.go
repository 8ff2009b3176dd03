package transfer

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// longestReport is how many bytes of a report are read.
const longestReport = 64 << 10

// heard does what a report asks for.
func (s *sharing) heard(ctx context.Context, r report) error {
	p := s.peers[r.Answer]
	switch {
	case p == nil && r.Failed != "":
		return nil // nothing is done for it
	case r.Failed != "":
		s.meter.line(s.c.Stderr)
		s.c.Say("a receiver gave up: %s; offering the file again", cmdline.Printable(r.Failed))
		s.forget(p)
		s.offerOn(ctx)
		return nil
	case p == nil && !s.admits():
		s.tell(ctx, r.Answer, answerBusy, "somebody else is receiving the file now")
		return nil
	case p == nil:
		p = &peer{hook: r.Answer, again: client.NewBackoff(5 * time.Second), offers: s.offers}
		s.peers[r.Answer] = p
		if s.begun++; s.begun >= s.took && s.offered == nil {
			s.graceAt = time.Time{}
		}
	}
	if s.offered == nil {
		p.lateAt = s.lateFrom(time.Now())
	}
	if r.Begun {
		return nil
	}
	if p.asked != nil && *p.asked == r && p.posting != nil {
		return nil // the answer is on its way
	}
	p.asked, p.answerAt, p.lateAt = &r, time.Time{}, time.Time{}
	if !s.broadcast {
		s.callOff() // it has what it could get of the offer
	}
	s.answer(ctx, p)
	return nil
}

// admits tells whether a new receiver can be served. To a queue's message there is
// one at a time; one that is not being answered has made place for it.
func (s *sharing) admits() bool {
	if s.broadcast {
		return len(s.peers) < maxPeers
	}
	for _, p := range s.peers {
		if p.posting != nil {
			return false
		}
	}
	for _, p := range s.peers {
		s.forget(p)
	}
	return true
}

// take waits for one report, and reads it. One that does not come to its end keeps its
// place, as far as there are any: if its connection were closed, the relay would hand
// it on to the next take, again and again.
func (s *sharing) take(ctx context.Context, path string) error {
	resp, err := s.c.Do(ctx, client.Call{Method: http.MethodGet, Path: path, Secret: s.back.Secret})
	if err != nil {
		return err
	}
	select {
	case s.reading <- struct{}{}:
	default:
		resp.Body.Close()
		return nil
	}
	read := make(chan report, 1)
	s.running.Go(func() { // ends with the report, or with ctx
		defer func() { <-s.reading }()
		defer resp.Body.Close()
		var r report
		err := json.NewDecoder(io.LimitReader(resp.Body, longestReport)).Decode(&r)
		io.Copy(io.Discard, io.LimitReader(resp.Body, longestReport)) //nolint:errcheck // so that its sender hears that it arrived
		if err != nil || !client.HookWord.MatchString(r.Answer) {
			r = report{} // not of a receiver: anybody who has seen the file's headers can send here
		}
		read <- r
	})
	late := time.NewTimer(s.reportTime)
	defer late.Stop()
	select {
	case r := <-read:
		if r.Answer == "" {
			return nil
		}
		select {
		case s.reports <- r:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	case <-late.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package httpfront

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"patchwork/broker"
)

// subscribe opens the subscription of a follower. Its context ends with the
// client, and when the follower is cut off for being too slow.
func (s *Server) subscribe(w *response, r *http.Request, c channel, o broker.SubscribeOptions) (*broker.Subscription, context.Context, func(), error) {
	var err error
	if o.As, o.Access, err = accessList(r, c); err != nil {
		return nil, nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	rc := http.NewResponseController(w.ResponseWriter)
	o.OnCut = func(err error) {
		cancel(err)
		rc.SetWriteDeadline(time.Unix(1, 0)) //nolint:errcheck // wakes a write that is blocked
	}
	sub, err := s.broker.Subscribe(c.name, o)
	if err != nil {
		cancel(nil)
		return nil, nil, nil, err
	}
	return sub, ctx, func() { sub.Close(); cancel(nil) }, nil
}

// followRaw streams the bytes of message after message. stay follows on when the
// last publisher left. With atOnce the response begins before anything came;
// else it begins with the first message, takes its type, and until then waits as
// a receiver of one message does.
func (s *Server) followRaw(w *response, r *http.Request, c channel, stay, atOnce bool) error {
	sub, ctx, leave, err := s.subscribe(w, r, c, broker.SubscribeOptions{Stay: stay})
	if err != nil {
		return err
	}
	defer leave()
	out := &plainSink{s: s, w: w, code: http.StatusOK, header: http.Header{}}
	waiting, rest, err := s.wait(w, r)
	if err != nil {
		return err
	}
	defer rest()
	var events []broker.Event
	if !atOnce {
		events, err = sub.Next(waiting)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	rest()
	var from broker.Header
	if len(events) > 0 {
		from = events[0].Info.Header
	}
	messageHeader(out.header, typeOnly(from), false)
	if mime := r.URL.Query().Get("mime"); mime != "" && validValue(mime) {
		out.header.Set("Content-Type", mime)
	}
	if errors.Is(err, io.EOF) {
		return out.finish()
	}
	var buf []byte
	cut := false
	for {
		buf = buf[:0]
		for _, e := range events {
			buf = append(buf, e.Data...)
			cut = e.Last && e.Cut
		}
		if err := out.write(buf); err != nil {
			return err
		}
		if err := s.took(r, events); err != nil {
			return err
		}
		next, stop := ctx, context.CancelFunc(func() {})
		if s.cfg.Heartbeat > 0 {
			next, stop = context.WithTimeoutCause(ctx, s.cfg.Heartbeat, errBeat)
		}
		events, err = sub.Next(next)
		stop()
		if errors.Is(err, errBeat) { // nothing can be written to see whether the client is there
			if conn := connOf(r); conn != nil && hungUp(conn) {
				return errClientGone
			}
			err = nil
		}
		switch {
		case errors.Is(err, io.EOF) && !cut:
			return nil
		case errors.Is(err, io.EOF):
			return broker.ErrCut
		case err != nil:
			return err
		}
	}
}

// typeOnly keeps of a message's headers what describes a stream of many.
func typeOnly(h broker.Header) broker.Header {
	if v := h["Content-Type"]; len(v) > 0 {
		return broker.Header{"Content-Type": v}
	}
	return nil
}

// A visit is how long a follower stays.
type visit struct {
	begun time.Time
	stay  time.Duration // 0: until its client ends it
	rest  time.Duration // so much longer for a message that it has the beginning of, while it comes
}

// newVisit reads ?for= and ?rest=, as Go durations or seconds.
func newVisit(r *http.Request, now time.Time) (v visit, err error) {
	v.begun = now
	q := r.URL.Query()
	if !q.Has("for") {
		if q.Has("rest") {
			err = errorf(http.StatusBadRequest, "?rest= is for followers that end: say ?for= as well")
		}
		return v, err
	}
	if v.stay, err = parseDuration("for", q.Get("for")); err != nil {
		return v, err
	}
	if v.stay == 0 {
		return v, errorf(http.StatusBadRequest, "bad ?for=0: say how long to follow, such as 30s")
	}
	v.rest = v.stay
	if q.Has("rest") {
		v.rest, err = parseDuration("rest", q.Get("rest"))
	}
	return v, err
}

// left is how long a visit with a stay still lasts, with these unfinished messages. It
// lasts as long again for any of them, and up to rest for one that it has the
// beginning of, as long as that does not pause for as long as stay.
func (v visit) left(now time.Time, asm *assembler) time.Duration {
	end := v.begun.Add(v.stay)
	if len(asm.open) == 0 {
		return end.Sub(now)
	}
	longest, pause := end.Add(v.rest), asm.fed().Add(v.stay)
	if pause.Before(longest) {
		longest = pause
	}
	if again := end.Add(v.stay); again.After(longest) {
		longest = again
	}
	return longest.Sub(now)
}

// A format writes events of a framing door.
type format interface {
	contentType() string
	// append adds the text of f to buf, beat that of a heartbeat.
	append(buf []byte, f frame) []byte
	beat(buf []byte) []byte
}

var errBeat = errors.New("time for a heartbeat")

// took makes sure, before a follower asks for more and so acknowledges what it
// got, that the client's system has the queue messages among these events and that
// the client is there. More a stream cannot tell: whether the client read them is
// known of those alone that take one message (see wire).
func (s *Server) took(r *http.Request, events []broker.Event) error {
	if !slices.ContainsFunc(events, func(e broker.Event) bool { return e.Last && e.Info.Queue }) {
		return nil
	}
	conn := connOf(r)
	if conn == nil {
		return nil
	}
	limit := s.cfg.WriteTimeout
	if limit <= 0 {
		limit = lastWord
	}
	pause := time.Duration(0)
	for end := time.Now().Add(limit); ; {
		switch {
		case hungUp(conn):
			return errClientGone
		case unsent(conn) == 0:
			return nil
		case time.Now().After(end):
			return broker.ErrSlow
		}
		// The system does not tell when the last acknowledgement comes. It is a
		// round trip away, or as far as the client is slow.
		pause = nextLook(pause)
		select {
		case <-time.After(pause):
		case <-r.Context().Done():
			return errClientGone
		}
	}
}

// nextLook is how long to wait for the next look at a socket. It grows with what was
// waited already, up to a quarter of a second: thousands of followers that do not read
// must not keep the relay busy.
func nextLook(last time.Duration) time.Duration {
	return min(max(2*last, 2*time.Millisecond), 250*time.Millisecond)
}

// followFramed streams message after message as events, until the client ends
// it, or for the time of ?for= and ?rest=. Behind a proxy that holds responses back until their end, a
// client hears everything by such requests that overlap.
func (s *Server) followFramed(w *response, r *http.Request, c channel, as format) error {
	visit, err := newVisit(r, time.Now())
	if err != nil {
		return err
	}
	sub, ctx, leave, err := s.subscribe(w, r, c, broker.SubscribeOptions{Stay: true})
	if err != nil {
		return err
	}
	defer leave()
	out := &plainSink{s: s, w: w, code: http.StatusOK, header: http.Header{}}
	messageHeader(out.header, broker.Header{"Content-Type": {as.contentType()}}, false)
	if err := out.write(as.beat(nil)); err != nil {
		return err
	}
	var asm assembler
	var buf []byte
	for {
		wait := asm.wait(time.Now(), s.cfg.Heartbeat)
		if visit.stay > 0 {
			left := visit.left(time.Now(), &asm)
			if left <= 0 {
				sub.Written()
				return nil
			}
			if wait == 0 || left < wait {
				wait = left
			}
		}
		next, stop := ctx, context.CancelFunc(func() {})
		if wait > 0 {
			next, stop = context.WithTimeoutCause(ctx, wait, errBeat)
		}
		events, err := sub.Next(next)
		stop()
		buf = buf[:0]
		now := time.Now()
		switch {
		case errors.Is(err, errBeat):
			if conn := connOf(r); conn != nil && hungUp(conn) {
				return errClientGone
			}
			for f := range asm.due(now) {
				buf = as.append(buf, f)
			}
			if len(buf) == 0 {
				buf = as.beat(buf)
			}
		case err != nil:
			return err
		}
		for _, e := range events {
			for f := range asm.add(e, now) {
				buf = as.append(buf, f)
			}
		}
		if len(buf) > 0 {
			if err := out.write(buf); err != nil {
				return err
			}
		}
		if err := s.took(r, events); err != nil {
			return err
		}
	}
}

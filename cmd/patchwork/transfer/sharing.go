package transfer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// maxPeers bounds how many receivers are served at a time: whoever has seen the
// file's headers can claim to be one.
const maxPeers = 100

// graceForReports is how long after a message has gone out a receiver may be silent
// before it counts as one that does not report, such as curl. A small file is gone
// before its receiver, on a slow line, has made the hook for the answers.
const graceForReports = 3 * time.Second

// graceInBroadcast is the same for the receivers of a broadcast. One that counts too
// early would be left alone, and several at one address wait for the relay's limit of
// requests.
const graceInBroadcast = 10 * time.Second

// sharing is one run of 'share'. Its loop owns all of it and decides; goroutines
// post messages and take reports.
type sharing struct {
	c         *client.Client
	src       sharable
	seal      *seal
	back      client.Hook // takes the reports
	path      string
	broadcast bool // to all who wait, else a queue message to one
	want      int  // how many receivers are to have it
	patience  time.Duration
	// reportTime is how long one report may take to come in.
	reportTime time.Duration
	meter      *meter
	link       *client.Link
	posts      chan posted
	reports    chan report

	keepers []*keyKeeper // of the key of each message
	whole   []byte       // checksum of all, once somebody has read it all
	peers   map[string]*peer
	offered *post          // the offer under way, nil while there is none
	again   client.Backoff // between offers that failed
	offerAt time.Time
	graceAt time.Time // when those who took the last offer and never reported are counted
	took    int       // receivers that took all of the last offer
	begun   int       // receivers that began to report since it was made
	offers  int       // how many were made
	got     int       // receivers that have the file, as far as one can know
	unsure  int       // those among them that do not confirm it

	running sync.WaitGroup // posts, tellings and readings
	telling chan struct{}  // has room for those who may be told something at a time
	reading chan struct{}  // has room for the reports that may be on their way at a time
}

// newSharing shares src with one receiver. back takes the reports; the rest is for
// the caller to set before run.
func newSharing(c *client.Client, src sharable, back client.Hook) *sharing {
	return &sharing{
		c: c, src: src, back: back, want: 1, patience: patienceDefault, reportTime: 10 * time.Second,
		link:  client.NewLink(c, back.Secret),
		posts: make(chan posted), reports: make(chan report), peers: map[string]*peer{}, telling: make(chan struct{}, 8), reading: make(chan struct{}, 32),
		again: client.NewBackoff(15 * time.Second),
	}
}

// A peer is a 'patchwork download' that has begun to receive. The zero times mean
// never.
type peer struct {
	hook     string         // takes the answers
	asked    *report        // the newest, until it is answered
	posting  *post          // the answer under way, nil while there is none
	again    client.Backoff // between answers that did not arrive
	answerAt time.Time
	lateAt   time.Time // when it has been silent for too long
	offers   int       // how many offers had been made when it began
	told     bool      // that all is well, but perhaps it has not heard
}

// A post is a message under way: an offer of the whole file, or an answer.
type post struct {
	to     *peer   // nil: it is an offer
	sum    *digest // of what it has sent of the file, with what is before; nil: it sends none
	cancel context.CancelFunc
}

// posted is how a post ended.
type posted struct {
	post      *post
	answer    string // what it was, "" for an offer
	sum       []byte // of the whole file, when it was needed
	delivered int    // of an offer: how many took all of it
	err       error
}

// run offers the file until as many receivers as are wanted have it. It returns
// when they do, when nothing can be done any more, or when ctx ends.
func (s *sharing) run(until context.Context) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(until)) // there are last words to say
	broken := make(chan error, 1)
	taken := make(chan struct{})
	go func() { // takes the reports
		defer close(taken)
		path := "/r/" + s.back.Channel
		broken <- s.link.Hold(ctx, path, func() error { return s.take(ctx, path) })
	}()
	defer func() {
		cancel()
		<-taken
		s.running.Wait()
	}()

	s.offer(ctx)
	for {
		var err error
		grace := graceForLast
		select {
		case <-until.Done():
			s.farewell(ctx, "it was stopped", 2*time.Second, 0, nil)
			return until.Err()
		case err = <-broken:
			grace = 0 // no report is heard any more
		case p := <-s.posts:
			err = s.ended(ctx, p)
		case r := <-s.reports:
			err = s.heard(ctx, r)
		case <-s.alarm():
			err = s.due(ctx, time.Now())
		}
		if err != nil {
			s.farewell(ctx, cmdline.OneLine(err), 10*time.Second, grace, until.Done())
			return err
		}
		if s.got >= s.want && s.offered == nil {
			s.hurry(time.Now())
		}
		if s.got >= s.want && len(s.peers) == 0 && s.offered == nil && s.graceAt.IsZero() {
			s.meter.line(s.c.Stderr)
			s.done()
			return nil
		}
	}
}

// done says what was reached.
func (s *sharing) done() {
	switch sure := s.got - s.unsure; {
	case sure == 0:
		s.c.Say("sent; the receiver was not 'patchwork download', so nobody confirms that it arrived whole")
	case s.want == 1 && s.got == 1:
		s.c.Say("done: %s, SHA-256 %x, confirmed by the receiver", cmdline.Sized(s.src.size), s.whole)
	default:
		s.c.Say("done: %s, SHA-256 %x, confirmed by %d of %d receivers", cmdline.Sized(s.src.size), s.whole, sure, s.got)
	}
}

// hurry shortens the patience with silent receivers when enough others have the
// file: one that lives asks again in less.
func (s *sharing) hurry(now time.Time) {
	soon := now.Add(2 * askAgain)
	for _, p := range s.peers {
		if p.posting == nil && p.answerAt.IsZero() && (p.lateAt.IsZero() || p.lateAt.After(soon)) {
			p.lateAt = soon
		}
	}
}

// alarm is the next moment at which something is due, nil when nothing is.
func (s *sharing) alarm() <-chan time.Time {
	next := time.Time{}
	earliest := func(t time.Time) {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	earliest(s.offerAt)
	earliest(s.graceAt)
	for _, p := range s.peers {
		earliest(p.answerAt)
		earliest(p.lateAt)
	}
	if next.IsZero() {
		return nil
	}
	return time.After(time.Until(next))
}

// due does what the time has come for.
func (s *sharing) due(ctx context.Context, now time.Time) error {
	reached := func(t *time.Time) bool {
		if t.IsZero() || t.After(now) {
			return false
		}
		*t = time.Time{}
		return true
	}
	if reached(&s.offerAt) {
		s.offer(ctx)
	}
	if reached(&s.graceAt) {
		silent := max(s.took-s.begun, 0)
		s.got += silent
		s.unsure += silent
		s.took = 0
		s.offerOn(ctx)
	}
	for _, p := range s.peers {
		if reached(&p.answerAt) {
			s.answer(ctx, p)
		}
		if reached(&p.lateAt) {
			s.forget(p)
			if !s.broadcast && s.got < s.want {
				return fmt.Errorf("the receiver has not said for %s whether all is well; share it again if it is not", s.patience)
			}
			s.c.Say("a receiver has not said for %s whether all is well; going on without it", s.patience)
			s.offerOn(ctx)
		}
	}
	return nil
}

// offerOn offers the file anew when receivers are missing and none is under way.
func (s *sharing) offerOn(ctx context.Context) {
	if s.offered == nil && s.offerAt.IsZero() && s.graceAt.IsZero() && s.got+len(s.peers) < s.want {
		s.offer(ctx)
	}
}

package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"patchwork/cmd/patchwork/client"
)

// A audience is one sender and its subscribers, on a channel of their own.
//
// A relay tells nobody whether its subscribers are in place, so probes are sent until
// everybody has heard two. That also tells the two sorts of relays apart: those whose
// answer goes on, and those whose answer is one message, where a subscriber is away
// between two of them. With those the sender waits before each message until
// everybody has the last one and has asked again.
type audience struct {
	b    *round
	pair int

	mu      sync.Mutex // guards all below
	ears    []subscriber
	changed chan struct{} // closed, and made anew, when anything below changes
}

type subscriber struct {
	probes  int  // that were heard
	here    int  // of these, in the answer that is being read
	oneShot bool // an answer is one message
	asked   bool // and waits for the next one
	last    int  // message that was heard; -1 is none
}

func newAudience(b *round, pair int) *audience {
	a := &audience{b: b, pair: pair, ears: make([]subscriber, b.target.ears), changed: make(chan struct{})}
	for i := range a.ears {
		a.ears[i].last = -1
	}
	return a
}

// change changes what is known of an ear and wakes who waits for it.
func (a *audience) change(ear int, f func(*subscriber)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(&a.ears[ear])
	close(a.changed)
	a.changed = make(chan struct{})
}

// until waits until something is so for all ears; false is the end of ctx.
func (a *audience) until(ctx context.Context, so func(subscriber) bool) bool {
	for {
		a.mu.Lock()
		all, changed := true, a.changed
		for _, e := range a.ears {
			all = all && so(e)
		}
		a.mu.Unlock()
		if all {
			return true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// listen is one subscriber, until ctx ends.
func (a *audience) listen(ctx context.Context, ear int) {
	b := a.b
	address := fill(b.target.receive, b.run, a.pair, 0)
	asked := func() { a.change(ear, func(e *subscriber) { e.here, e.asked = 0, true }) }
	for ctx.Err() == nil {
		trouble, wait := b.target.listen(ctx, address, b.run, asked, func(n int, err error) {
			if n < b.messages || err != nil {
				b.heard(n, ear, err)
			}
			a.change(ear, func(e *subscriber) {
				e.asked = e.asked && !e.oneShot
				if n < b.messages {
					e.last = n
					return
				}
				e.probes++
				e.here++
			})
		})
		if ctx.Err() != nil {
			return
		}
		a.change(ear, func(e *subscriber) {
			e.asked = false
			e.oneShot = e.oneShot || e.here == 1 && trouble == ""
		})
		if trouble != "" {
			b.ledger.fault(trouble)
			b.heed(trouble)
		}
		if client.Pause(ctx, wait) != nil {
			return
		}
	}
}

// reaskAfter is how long a subscriber that has asked again may take to be in place.
const reaskAfter = 10 * time.Millisecond

// send finds out whether everybody listens, and sends the pair's messages.
func (a *audience) send(ctx context.Context) {
	b := a.b
	if !a.gathered(ctx) {
		if ctx.Err() == nil {
			b.ledger.fault(fmt.Sprintf("a subscriber heard nothing in %s", b.timeout))
			for n := a.pair; n < b.messages; n += b.pairs {
				b.ledger.sending(n)
				b.ledger.sent(n, "nobody listens")
			}
		}
		return
	}
	a.mu.Lock()
	shots := false
	for _, e := range a.ears {
		shots = shots || e.oneShot
	}
	a.mu.Unlock()
	for n, last := a.pair, -1; n < b.messages && ctx.Err() == nil; n += b.pairs {
		if shots {
			within, cancel := context.WithTimeout(ctx, b.timeout)
			if a.until(within, func(e subscriber) bool { return e.asked && e.last >= last }) {
				client.Pause(within, reaskAfter) //nolint:errcheck // the sending notices
			}
			cancel()
		}
		b.sendOne(ctx, a.pair, n)
		last = n
	}
}

// gathered sends probes until every subscriber has heard two.
func (a *audience) gathered(ctx context.Context) bool {
	b := a.b
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	address := fill(b.target.send, b.run, a.pair, 0)
	for probe := b.messages; ctx.Err() == nil; probe++ {
		if b.target.sendOne(ctx, address, b.run, probe, b.size) == tooMany {
			b.ledger.refused(tooMany)
			b.stop()
			return false
		}
		within, stop := context.WithTimeout(ctx, listenAgainAfter)
		heard := a.until(within, func(e subscriber) bool { return e.probes >= 2 })
		stop()
		if heard {
			return true
		}
	}
	return false
}

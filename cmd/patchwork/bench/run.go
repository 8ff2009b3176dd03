package bench

import (
	"context"
	"sync"
	"time"

	"patchwork/cmd/patchwork/client"
)

// A round is so many messages sent to one relay and received from it.
type round struct {
	target   *target
	run      string // names it, in channels and messages
	messages int
	size     int
	pairs    int
	timeout  time.Duration // how long one message may take, each side
	stop     func()        // ends the run: a relay that has said "too many" measures its limit, not itself

	ledger *ledger
}

const (
	// benchSettle is how long receivers listen on for messages that come twice.
	benchSettle = 300 * time.Millisecond
	// sweepers is how many channels of one message each are asked for a second one.
	sweepers = 100
)

// do runs the round and returns what came of it. When ctx ends, it ends at once with
// what there is.
func (b *round) do(ctx context.Context) Result {
	b.ledger = newLedger(b.messages, b.target.ears)
	hearing, deaf := context.WithCancel(ctx)
	defer deaf()
	var senders, receivers sync.WaitGroup
	for pair := range b.pairs {
		if b.target.mode == "pubsub" {
			a := newAudience(b, pair)
			for ear := range b.target.ears {
				receivers.Go(func() { a.listen(hearing, ear) })
			}
			senders.Go(func() { a.send(ctx) })
			continue
		}
		if b.target.each() {
			senders.Go(func() { b.meetEach(ctx, pair) })
			continue
		}
		receivers.Go(func() { b.receiveAll(hearing, pair) })
		senders.Go(func() { b.sendPair(ctx, pair) })
	}
	senders.Wait()
	if b.target.mode == "pubsub" || !b.target.each() {
		b.awaitRest(ctx)
	}
	cut := ctx.Err() != nil
	if !cut {
		b.awaitDoubles(ctx)
	}
	deaf()
	receivers.Wait()
	r := b.ledger.result(cut)
	r.Send, r.Receive, r.Mode, r.Pairs, r.Size = b.target.send, b.target.receive, b.target.mode, b.pairs, b.size
	return r.figured()
}

// awaitRest waits until all has arrived that was sent, or for as long as a message
// may take.
func (b *round) awaitRest(ctx context.Context) {
	late := time.NewTimer(b.timeout)
	defer late.Stop()
	select {
	case <-b.ledger.done:
	case <-late.C:
	case <-ctx.Done():
	}
}

// sendPair sends the messages of one pair, one after the other.
func (b *round) sendPair(ctx context.Context, pair int) {
	for n := pair; n < b.messages && ctx.Err() == nil; n += b.pairs {
		b.sendOne(ctx, pair, n)
	}
}

// sendOne tells whether the message was sent, as far as its sender knows.
func (b *round) sendOne(ctx context.Context, pair, n int) bool {
	within, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	b.ledger.sending(n)
	trouble := b.target.sendOne(within, fill(b.target.send, b.run, pair, n), b.run, n, b.size)
	if ctx.Err() == nil || trouble == "" { // else it is neither sent nor refused
		b.ledger.sent(n, trouble)
	}
	b.heed(trouble)
	return trouble == ""
}

// heed ends the run when the trouble is that the relay wants fewer requests.
func (b *round) heed(trouble string) {
	if trouble == tooMany {
		b.stop()
	}
}

// meetEach sends the messages of one pair and receives each on a channel of its own,
// one after the other.
func (b *round) meetEach(ctx context.Context, pair int) {
	for n := pair; n < b.messages && ctx.Err() == nil; n += b.pairs {
		hearing, deaf := context.WithCancel(ctx)
		var receiver sync.WaitGroup
		receiver.Go(func() {
			b.receive(hearing, fill(b.target.receive, b.run, pair, n), func() bool { return b.ledger.has(n, 0) })
		})
		patience := benchSettle // for one that comes though its sender heard otherwise
		if b.sendOne(ctx, pair, n) {
			patience = b.timeout
		}
		late := time.AfterFunc(patience, deaf)
		receiver.Wait()
		late.Stop()
		deaf()
	}
}

// receiveAll receives on a channel of many messages, until ctx ends.
func (b *round) receiveAll(ctx context.Context, pair int) {
	b.receive(ctx, fill(b.target.receive, b.run, pair, 0), func() bool { return false })
}

// receive asks again and again, until enough is true or ctx ends. An answer is read
// to its end, which some relays take for the receipt, if it has one.
func (b *round) receive(ctx context.Context, address string, enough func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for ctx.Err() == nil && !enough() {
		trouble, wait := b.target.listen(ctx, address, b.run, func() {}, func(n int, err error) {
			b.heard(n, 0, err)
			if enough() {
				time.AfterFunc(benchSettle, cancel)
			}
		})
		if ctx.Err() != nil || enough() {
			return
		}
		if trouble != "" {
			b.ledger.fault(trouble)
			b.heed(trouble)
		}
		if client.Pause(ctx, wait) != nil {
			return
		}
	}
}

func (b *round) heard(n, ear int, err error) {
	if err != nil {
		b.ledger.damage()
		return
	}
	b.ledger.arrived(n, ear)
}

// awaitDoubles listens on for a moment. Receivers of a channel of many messages do so
// by themselves; of channels with one message each the first are asked again.
func (b *round) awaitDoubles(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, benchSettle)
	defer cancel()
	if b.target.mode == "queue" && b.target.each() {
		var all sync.WaitGroup
		for n := range min(b.messages, sweepers) {
			all.Go(func() {
				b.target.listen(ctx, fill(b.target.receive, b.run, n%b.pairs, n), b.run, func() {}, func(n int, err error) { b.heard(n, 0, err) })
			})
		}
		all.Wait()
		return
	}
	<-ctx.Done()
}

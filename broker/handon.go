package broker

import (
	"context"
	"slices"
	"time"
)

// Drain blocks, when the publisher waits, until all receivers took what was
// written to them, so that nothing is left that could be lost; when the last
// receiver left before, it waits for another one. It returns the cause of ctx,
// [ErrClosed] or [ErrDestroyed].
func (p *Publisher) Drain(ctx context.Context) error {
	for p.opts.Wait {
		p.fresh()
		lists := [3][]*target{p.followers, p.oneshots, p.past}
		now := time.Now()
		for _, list := range lists {
			for _, t := range list {
				t.took, _, _ = t.m.position()
				t.since = now
			}
		}
		for _, list := range lists {
			for _, t := range list {
				if err := p.settled(ctx, t); err != nil {
					return err
				}
			}
		}
		p.past = nil
		p.pending.prune()
		if len(p.pending.all()) == 0 {
			return nil
		}
		if err := p.handOn(ctx); err != nil {
			return err
		}
	}
	return nil
}

// handOn hands what the receivers that left had not taken to others, and waits
// for one if there is none. It returns when every such chunk is with somebody
// again, or a follower is there that went on without it.
//
// Followers that came since get everything, in order; without any, a Receive
// gets the first message that is still there from its beginning. With RoundRobin
// each message goes to one of them, a Receive before a follower.
func (p *Publisher) handOn(ctx context.Context) error {
	for {
		orphans := p.orphans()
		if len(orphans) == 0 {
			return nil
		}
		p.b.mu.Lock()
		p.version-- // somebody may have ended without leaving
		p.refresh()
		if !p.opts.RoundRobin && p.current() {
			p.b.mu.Unlock()
			p.pending.disown()
			return nil
		}
		heirs, chunks := p.heirs(orphans)
		if len(heirs) == 0 {
			if err := p.barred(); err != nil {
				p.b.mu.Unlock()
				return err
			}
			if err := p.awaitArrival(ctx); err != nil {
				return err
			}
			continue
		}
		p.b.mu.Unlock()
		for _, c := range chunks {
			live, err := p.push(ctx, [2][]*target{heirs}, c)
			if err != nil {
				return err
			}
			if live == 0 {
				break
			}
		}
	}
}

// orphans returns what nobody took and nobody has any more. A part that others
// went on without, so that its message has a gap behind it, is let go.
func (p *Publisher) orphans() []*chunk {
	p.pending.prune()
	lost := p.pending.orphans()
	for n := -1; n != len(lost); { // until no receiver was leaving meanwhile
		n = len(lost)
		for _, list := range [3][]*target{p.followers, p.oneshots, p.past} {
			for _, t := range list {
				t.m.settled(0) // lets one that is leaving finish that
			}
		}
		lost = p.pending.orphans()
	}
	for i := len(lost) - 1; i >= 0; i-- {
		c := lost[i]
		if c.last || p.open.Load() && c.info == p.info && c.part == p.part-1 {
			continue
		}
		if i+1 == len(lost) || lost[i+1].info != c.info || lost[i+1].part != c.part+1 {
			c.taken.Store(true)
			lost = slices.Delete(lost, i, i+1)
		}
	}
	return lost
}

// heirs finds who gets which of the orphans. Under Broker.mu.
func (p *Publisher) heirs(orphans []*chunk) ([]*target, []*chunk) {
	from := 0
	if p.opts.RoundRobin {
		orphans = message(orphans)
	} else if len(p.followers) > 0 {
		for _, t := range p.followers {
			t.whole = slices.ContainsFunc(orphans, func(c *chunk) bool { return c.first && c.info == p.info })
		}
		return slices.Clone(p.followers), orphans
	} else {
		from = slices.IndexFunc(orphans, func(c *chunk) bool { return c.first })
	}
	if w := p.ch.waiter(); w != nil && from >= 0 && fromStart(message(orphans[from:])) {
		chunks := message(orphans[from:])
		info := chunks[0].info
		t := p.take(w, info)
		switch {
		case !p.open.Load() || info != p.info:
			p.past = append(p.past, t)
		default:
			p.oneshots = append(p.oneshots, t)
			p.chosen = t // only looked at with RoundRobin
		}
		return []*target{t}, chunks
	}
	if !p.opts.RoundRobin {
		return nil, nil
	}
	t := p.follower()
	if t == nil {
		return nil, nil
	}
	if p.open.Load() && orphans[0].info == p.info {
		t.whole = orphans[0].first
		p.chosen = t
	}
	return []*target{t}, orphans
}

// message returns the chunks of the first message of a list.
func message(chunks []*chunk) []*chunk {
	end := slices.IndexFunc(chunks, func(c *chunk) bool { return c.info != chunks[0].info })
	if end < 0 {
		end = len(chunks)
	}
	return chunks[:end]
}

// fromStart tells whether the chunks are a message, so far, with nothing missing.
func fromStart(chunks []*chunk) bool {
	for i, c := range chunks {
		if c.part != i {
			return false
		}
	}
	return true
}

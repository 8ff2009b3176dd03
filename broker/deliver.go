package broker

import (
	"context"
	"time"
)

// deliver puts c into the mailboxes of all receivers of the message. A publisher
// that waits finds another receiver when there is none left, and hands on what
// the last one left behind first.
func (p *Publisher) deliver(ctx context.Context, c *chunk) error {
	p.fresh()
	if p.opts.Wait {
		current := !p.opts.RoundRobin && p.current()
		stranded := !current && p.stranded()
		p.pending.push(c, current)
		if stranded {
			return p.handOn(ctx)
		}
	}
	live, err := p.push(ctx, p.receivers(), c)
	if err == nil && live == 0 && p.opts.Wait {
		err = p.handOn(ctx)
	}
	return err
}

// stranded tells, when no follower is current, whether the others that got
// something are gone too, and left something behind.
func (p *Publisher) stranded() bool {
	if len(p.pending.all()) == 0 || p.opts.RoundRobin {
		return false
	}
	for _, t := range p.oneshots {
		if !t.gone && t.m.live() {
			return false
		}
	}
	return p.pending.anyOrphan()
}

// push puts c into every mailbox: first into those that have room, then, one
// after the other, into those that must be waited for. It returns how many
// receivers are left.
func (p *Publisher) push(ctx context.Context, lists [2][]*target, c *chunk) (live int, err error) {
	full := 0
	for _, list := range lists {
		for _, t := range list {
			if t.gone {
				continue
			}
			if t.put(c) {
				full++
			} else if !t.gone {
				live++
			}
		}
	}
	if full == 0 {
		return live, nil
	}
	now := time.Now() // all of them keep this publisher waiting from now on
	for _, list := range lists {
		for _, t := range list {
			if !t.full || t.gone {
				continue
			}
			t.since = now
			if p.opts.Wait || p.left > 0 && t.whole {
				p.b.count.held.Add(1)
			}
		}
	}
	for _, list := range lists {
		for _, t := range list {
			if !t.full || t.gone {
				continue
			}
			if err := p.pushFull(ctx, t, c); err != nil {
				return live, err
			}
			if !t.gone {
				live++
			}
		}
	}
	return live, nil
}

// put puts c into t's mailbox if it can; it tells whether that is full.
func (t *target) put(c *chunk) (full bool) {
	ok, seq := t.m.push(c, false)
	t.full = ok == pushFull
	switch ok {
	case pushOK:
		t.upto, t.began = seq, c.info.ID
	case pushFull:
		t.took = seq
	case pushGone:
		t.gone = true
	}
	return t.full
}

// pushFull puts c into a mailbox that was full, as far as this publisher waits.
func (p *Publisher) pushFull(ctx context.Context, t *target, c *chunk) error {
	for {
		took := t.took
		_, _, change := t.m.position()
		if !t.put(c) {
			return nil
		}
		if !p.opts.Wait && (p.left <= 0 || !t.whole || time.Since(t.since) >= p.opts.Patience) {
			p.miss(t, c)
			return nil
		}
		if t.took != took {
			t.since = time.Now()
		}
		if err := p.await(ctx, t, change); err != nil || t.gone {
			return err
		}
	}
}

// miss books that a receiver does without this chunk. What began there gets its
// end all the same.
func (p *Publisher) miss(t *target, c *chunk) {
	if c.last && len(c.data) == 0 && (t.m.owner == nil || t.began == c.info.ID) {
		t.full = false
		t.m.push(c, true)
		return
	}
	p.b.count.dropped.Add(1)
	t.whole, t.full = false, false
	switch {
	case t.m.owner == nil: // half a message is none
		p.b.count.evicted.Add(1)
		t.m.end(ErrSlow, false)
		t.gone = true
	case c.last && t.began == c.info.ID:
		end := newChunk(c.info, nil)
		end.last, end.cut = true, true
		t.m.push(end, true)
		end.release()
	}
}

// await waits for a change of t's mailbox, and cuts t off when it took nothing
// for the stall limit. A publisher that does not wait has its patience instead.
func (p *Publisher) await(ctx context.Context, t *target, change <-chan struct{}) error {
	start := time.Now()
	limit := min(p.left, p.opts.Patience-start.Sub(t.since))
	if p.opts.Wait {
		limit = p.b.opts.Stall - start.Sub(t.since)
	}
	if p.timer == nil {
		p.timer = time.NewTimer(limit)
	} else {
		p.timer.Reset(limit)
	}
	defer p.timer.Stop()
	select {
	case <-change:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.timer.C:
		if took, gone, _ := t.m.position(); p.opts.Wait && took == t.took && !gone {
			p.cut(t)
		}
	}
	if !p.opts.Wait {
		p.left -= max(time.Since(start), 1)
	}
	return nil
}

// settled waits until t took all that was put in, or is gone. Its took and since
// are set.
func (p *Publisher) settled(ctx context.Context, t *target) error {
	for !t.gone {
		took, gone, change := t.m.position()
		if gone || took >= t.upto {
			return nil
		}
		if took != t.took {
			t.took, t.since = took, time.Now()
		}
		if err := p.await(ctx, t, change); err != nil {
			return err
		}
	}
	return nil
}

// cut ends a receiver that holds this publisher back.
func (p *Publisher) cut(t *target) {
	t.gone = true
	if t.m.owner != nil {
		p.b.evict(t.m.owner)
		return
	}
	p.b.count.evicted.Add(1)
	t.m.end(ErrSlow, false)
}

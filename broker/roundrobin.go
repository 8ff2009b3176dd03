package broker

import "context"

// choose picks the receiver of the next round-robin message: a Receive that was
// claimed, else the follower that came after the one served last. Followers
// whose mailbox has room go before those that are full.
func (p *Publisher) choose() {
	if p.claimed {
		p.chosen, p.claimed = p.oneshots[len(p.oneshots)-1], false
		return
	}
	p.chosen = target{}
	start := 0
	for start < len(p.followers) && p.followers[start].id <= p.turn {
		start++
	}
	for i := range p.followers {
		t := p.followers[(start+i)%len(p.followers)]
		if t.gone || !t.m.live() {
			continue
		}
		if p.chosen.m == nil {
			p.chosen = t
		}
		if t.m.room() {
			p.chosen = t
			break
		}
	}
	p.chosen.gone, p.chosen.whole = false, true
	p.turn = p.chosen.id
}

// room tells whether a middling chunk would fit.
func (m *mailbox) room() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes == 0 || m.bytes+4<<10 <= m.limit
}

// deliverOne puts c into the mailbox of the chosen receiver; when that one is
// gone, a publisher that waits finds another.
func (p *Publisher) deliverOne(ctx context.Context, c *chunk) error {
	if ok, err := p.pushOne(ctx, c); ok || err != nil {
		return err
	}
	if p.opts.Wait {
		return p.rescue(ctx, c)
	}
	return nil
}

// pushOne tells whether the chosen receiver has c now.
func (p *Publisher) pushOne(ctx context.Context, c *chunk) (bool, error) {
	t := &p.chosen
	if t.m == nil || t.gone {
		return false, nil
	}
	ok, seq := t.m.push(c)
	switch ok {
	case pushFull:
		if err := p.pushFull(ctx, t, c); err != nil {
			return false, err
		}
	case pushOK:
		t.upto = seq
	case pushGone:
		t.gone = true
	}
	for _, list := range [2][]target{p.followers, p.oneshots} {
		for i := range list {
			if list[i].m == t.m {
				list[i].upto, list[i].gone = t.upto, t.gone // for Drain
			}
		}
	}
	return !t.gone, nil
}

// rescue hands the chunks that a receiver left behind to others: those that
// nobody took and nobody but this publisher holds. inHand is the chunk that the
// caller holds besides, or nil.
func (p *Publisher) rescue(ctx context.Context, inHand *chunk) error {
	for {
		p.prune()
		var orphan *chunk
		for _, c := range p.pending {
			if refs := c.refs.Load(); refs == 1 || refs == 2 && c == inHand {
				orphan = c
				break
			}
		}
		if orphan == nil {
			return nil
		}
		p.b.mu.Lock()
		p.version--
		p.refresh()
		if len(p.followers) == 0 {
			if p.b.down {
				p.b.mu.Unlock()
				return ErrClosed
			}
			if err := p.awaitArrival(ctx); err != nil {
				return err
			}
			continue
		}
		p.b.mu.Unlock()
		p.choose()
		if _, err := p.pushOne(ctx, orphan); err != nil {
			return err
		}
	}
}

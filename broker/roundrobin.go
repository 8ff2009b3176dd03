package broker

// choose picks the receiver of the next round-robin message: a Receive that was
// claimed, else the follower whose turn it is, if any.
func (p *Publisher) choose() {
	if len(p.oneshots) > 0 {
		p.chosen = p.oneshots[0]
	} else {
		p.chosen = p.follower()
	}
	if p.chosen != nil {
		p.chosen.whole = true
	}
}

// follower returns the follower that came after the one served last, or nil.
// Those whose mailbox has room go before those that are full.
func (p *Publisher) follower() *target {
	start := 0
	for start < len(p.followers) && p.followers[start].id <= p.turn {
		start++
	}
	var chosen *target
	for i := range p.followers {
		t := p.followers[(start+i)%len(p.followers)]
		if t.gone || !t.m.live() {
			continue
		}
		if chosen == nil {
			chosen = t
		}
		if t.m.room() {
			chosen = t
			break
		}
	}
	if chosen != nil {
		p.turn = chosen.id
	}
	return chosen
}

package broker

// Close ends the broker: nothing new begins, whoever waits gets [ErrClosed].
// What is under way may finish; a subscription with no broadcast under way ends
// when its mailbox is empty, the others with the last of them. Close does not
// wait, and may be called again.
func (b *Broker) Close() {
	var stops stops
	defer stops.call()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return
	}
	b.down = true
	close(b.closed)
	for _, ch := range b.channels {
		for ch.offers.head != nil {
			b.count.withdrawn.Add(1)
			stops.add(ch.offers.head.v.dismiss(ErrClosed))
		}
		for _, a := range ch.subs {
			if a.s.exact != nil && !a.s.busy() {
				b.end(a.s, ErrClosed)
			}
		}
	}
	for _, s := range b.wild {
		if !s.busy() {
			b.end(s, ErrClosed)
		}
	}
}

// Closed is closed when the broker is going down.
func (b *Broker) Closed() <-chan struct{} { return b.closed }

// endIdle ends the subscriptions of a channel that have no broadcast under way,
// once the broker is going down. Under mu.
func (b *Broker) endIdle(ch *channel) {
	for _, a := range ch.subs {
		if !a.s.busy() {
			b.end(a.s, ErrClosed)
		}
	}
}

// busy tells whether a broadcast is under way on a channel of s. Under Broker.mu.
func (s *Subscription) busy() bool {
	for ch := range s.attached {
		for p := range ch.pubs {
			if p.open.Load() {
				return true
			}
		}
	}
	return false
}

// end lets nothing more come to s; what it has it still gets. It stays on its
// channels until it is closed. Under mu.
func (b *Broker) end(s *Subscription, err error) {
	for ch := range s.attached {
		ch.version.Add(1) // for publishers to look again
	}
	s.box.end(err, true)
}

// Destroy ends everybody who waits on the channel with [ErrDestroyed], publishers
// that wait for a receiver too; transfers under way go on. It tells whether there
// was anybody.
func (b *Broker) Destroy(n Name) bool {
	var stops stops
	defer stops.call()
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := b.channels[n.Request()]
	if ch == nil {
		return false
	}
	found := ch.arrival != nil
	ch.arrived(true)
	for ch.offers.head != nil {
		found = true
		stops.add(ch.offers.head.v.dismiss(ErrDestroyed))
	}
	for x := ch.consumers.head; x != nil; {
		t, next := x.v, x.next
		found = true
		switch {
		case t.waiter != nil:
			ch.consumers.remove(x)
			t.waiter.got <- taken{err: ErrDestroyed}
		case t.answer != nil:
			ch.consumers.remove(x)
			t.answer.got <- nil
		case t.sub != nil:
			b.end(t.sub.s, ErrDestroyed)
		}
		x = next
	}
	return found
}

// stops are the stop functions of messages that were settled, to be called when
// no lock is held.
type stops []func()

func (s *stops) add(f func()) {
	if f != nil {
		*s = append(*s, f)
	}
}

func (s *stops) call() {
	for _, f := range *s {
		f()
	}
}

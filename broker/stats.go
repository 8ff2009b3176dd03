package broker

import "sync/atomic"

// Stats is what an operator wants to see of a broker.
type Stats struct {
	// Gauges: all zero once every client is gone.
	Channels    int // names in use
	Producers   int // queue producers that wait
	Consumers   int // receivers of one message that wait
	Subscribers int // followers, once for every channel they are on, and patterns once more
	Publishers  int // broadcast publishers
	Transfers   int // queue messages on their way
	Calls       int // requests without a complete answer

	// Counters: they only grow.
	Messages    uint64 // begun to be handed over
	Delivered   uint64 // receivers that got a message whole
	Redelivered uint64 // queue messages handed on after a receiver left
	Withdrawn   uint64 // queue producers that left before they were served
	Evicted     uint64 // receivers cut off for being too slow
	Dropped     uint64 // chunks that a full receiver missed
	Held        uint64 // times a full receiver held a publisher back
	Bytes       uint64 // handed to receivers
}

type counters struct {
	messages, delivered, redelivered, withdrawn, evicted, dropped, held, bytes atomic.Uint64
	transfers                                                                  atomic.Int64
}

// Stats returns a snapshot; its numbers are read one after the other.
func (b *Broker) Stats() Stats {
	s := Stats{
		Messages:    b.count.messages.Load(),
		Delivered:   b.count.delivered.Load(),
		Redelivered: b.count.redelivered.Load(),
		Withdrawn:   b.count.withdrawn.Load(),
		Evicted:     b.count.evicted.Load(),
		Dropped:     b.count.dropped.Load(),
		Held:        b.count.held.Load(),
		Bytes:       b.count.bytes.Load(),
		Transfers:   int(b.count.transfers.Load()),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s.Channels = len(b.channels)
	s.Subscribers = len(b.wild)
	s.Calls = len(b.calls)
	for _, ch := range b.channels {
		s.Producers += ch.offers.n
		s.Consumers += ch.consumers.n - len(ch.subs)
		s.Subscribers += len(ch.subs)
		s.Publishers += len(ch.pubs)
	}
	return s
}

package broker

import "sync"

// A mailbox is the bounded buffer between publishers and one receiver.
type mailbox struct {
	owner *Subscription // nil for a Receive
	info  *Info         // for a Receive: the one message
	limit int           // bytes
	wake  chan struct{} // wakes the receiver, capacity 1

	mu     sync.Mutex
	ring   []*chunk // chunks not handed out: n from head on, length a power of two
	head   int
	n      int
	held   []*chunk // handed out, not yet written by the receiver
	bytes  int      // cost of both
	pushed uint64   // chunks ever put in
	took   uint64   // chunks ever written by the receiver
	ended  error    // no more comes in
	left   bool     // and nobody takes out what is inside
	space  chan struct{}
}

func (m *mailbox) init(limit int, wake chan struct{}) {
	m.limit, m.wake = limit, wake
}

type pushed uint8

const (
	pushOK pushed = iota
	pushFull
	pushGone
)

// push puts c in without waiting and returns its position; of a full mailbox,
// the position up to which the receiver wrote. A chunk always fits into an empty
// mailbox, and with force into a full one: so the end of a message that began
// there is never missed.
func (m *mailbox) push(c *chunk, force bool) (pushed, uint64) {
	m.mu.Lock()
	if m.ended != nil {
		m.mu.Unlock()
		return pushGone, 0
	}
	if m.bytes > 0 && m.bytes+c.cost() > m.limit && !force {
		took := m.took
		m.mu.Unlock()
		return pushFull, took
	}
	c.refs.Add(1)
	c.holders.Add(1)
	if m.n == len(m.ring) {
		m.grow()
	}
	m.ring[(m.head+m.n)&(len(m.ring)-1)] = c
	m.n++
	m.bytes += c.cost()
	m.pushed++
	seq := m.pushed
	m.mu.Unlock()
	signal(m.wake)
	return pushOK, seq
}

func (m *mailbox) grow() {
	ring := make([]*chunk, max(8, 2*len(m.ring)))
	for i := range m.n {
		ring[i] = m.ring[(m.head+i)&(len(m.ring)-1)]
	}
	m.ring, m.head = ring, 0
}

// pop hands out the oldest chunk, or nil. Under mu.
func (m *mailbox) pop() *chunk {
	if m.n == 0 {
		return nil
	}
	c := m.ring[m.head]
	m.ring[m.head] = nil
	m.head = (m.head + 1) & (len(m.ring) - 1)
	m.n--
	m.held = append(m.held, c)
	return c
}

// written books all that was handed out as written and tells publishers that
// wait for space. Under mu.
func (m *mailbox) written() {
	if len(m.held) == 0 {
		return
	}
	for i, c := range m.held {
		if !m.left {
			c.taken.Store(true)
			c.holders.Add(-1) // after taken: see orphan
		}
		m.bytes -= c.cost()
		m.took++
		c.release()
		m.held[i] = nil
	}
	m.held = m.held[:0]
	m.spaced()
}

func (m *mailbox) spaced() {
	if m.space != nil {
		close(m.space)
		m.space = nil
	}
}

// one is for a mailbox with a single message: it books the last chunk as written
// and hands out the next. With nothing there it returns why no more comes, or
// neither.
func (m *mailbox) one() (*chunk, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written()
	if c := m.pop(); c != nil {
		return c, nil
	}
	return nil, m.ended
}

// end lets nothing more come in. With keep, what is inside is still handed out
// before err; without, it is dropped, and what the receiver is writing counts as
// lost.
func (m *mailbox) end(err error, keep bool) {
	m.mu.Lock()
	if m.ended == nil {
		m.ended = err
	}
	if !keep {
		m.abandon()
	}
	m.spaced()
	m.mu.Unlock()
	signal(m.wake)
}

// abandon drops what was not handed out; nobody counts on the rest any more.
// Under mu.
func (m *mailbox) abandon() {
	if m.left {
		return
	}
	m.left = true
	for _, c := range m.held {
		c.holders.Add(-1)
	}
	for m.n > 0 {
		c := m.ring[m.head]
		m.ring[m.head] = nil
		m.head = (m.head + 1) & (len(m.ring) - 1)
		m.n--
		m.bytes -= c.cost()
		c.holders.Add(-1)
		c.release()
	}
}

// leave is the receiver's last call: what it holds and what waits is let go,
// unwritten unless ok. Buffers it may still be looking at are not used again.
func (m *mailbox) leave(ok bool) {
	m.mu.Lock()
	if m.ended == nil {
		m.ended = errLeft
	}
	if ok {
		m.written()
	}
	m.abandon()
	for i, c := range m.held {
		m.bytes -= c.cost()
		c.stray.Store(true)
		c.release()
		m.held[i] = nil
	}
	m.held = m.held[:0]
	m.spaced()
	m.mu.Unlock()
	signal(m.wake)
}

// live tells whether push can succeed, now or after a wait.
func (m *mailbox) live() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended == nil
}

// position returns how far the receiver is, whether it is gone, and a channel
// that is closed when either changes.
func (m *mailbox) position() (took uint64, gone bool, change <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.space == nil {
		m.space = make(chan struct{})
	}
	return m.took, m.spent(), m.space
}

// spent tells whether nothing will be written any more. Under mu.
func (m *mailbox) spent() bool {
	return m.left || m.ended != nil && m.n == 0 && len(m.held) == 0
}

// settled tells whether the receiver wrote all up to a position, or never will.
func (m *mailbox) settled(upto uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.took >= upto || m.spent()
}

// room tells whether a middling chunk would fit.
func (m *mailbox) room() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes == 0 || m.bytes+4<<10 <= m.limit
}

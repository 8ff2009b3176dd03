package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

const (
	// packet is the most that one write to the relay holds, unless a single line is
	// longer: what one SSH packet carries. Writes end at a line's end.
	packet = 32 << 10
	// inFlight is how many bytes may be sent that the relay has not confirmed, in
	// whole packets: it is passed by one at most.
	inFlight = 1 << 20
	// patience is how long a log's reader waits for room with its log open.
	patience = 10 * time.Second
)

// errFull says that there was no room for longer than patience.
var errFull = errors.New("no room in the queue")

// A queue holds the lines that the relay has not confirmed, in the order in which
// they were read. Tails put them in, one link takes them out. It starts no
// goroutines; whoever waits is woken by the event or by the context.
type queue struct {
	limit int // bytes

	mu      sync.Mutex // guards what follows
	flying  []line     // sent, in the order they were sent
	waiting []line     // not sent, or not since the connection was made anew
	landed  uint64     // lines that were confirmed, ever
	written mark       // how far the connection took them
	bytes   int        // cost of all lines
	aloft   int        // cost of those that are flying
	closed  bool
	changed chan struct{} // closed and made anew when something changes that someone waits for
	waiters int
	count   queueCount
}

// A mark is a place in what is sent: lines since the queue was made, and bytes since
// the last rewind.
type mark struct{ lines, bytes uint64 }

// A queueCount is what /health tells of a queue. Lines that were filtered out are
// not counted.
type queueCount struct {
	Sent    int `json:"sent_lines"` // confirmed
	Waiting int `json:"waiting_lines"`
	Bytes   int `json:"waiting_bytes"`
	Dropped int `json:"dropped_lines"`
}

func newQueue(limit int) *queue {
	return &queue{limit: limit, changed: make(chan struct{})}
}

// until waits, with mu held, until ready says so, which it is asked with mu held.
// The error is ctx's cause.
func (q *queue) until(ctx context.Context, ready func() bool) error {
	q.waiters++
	defer func() { q.waiters-- }()
	for !ready() {
		changed := q.changed
		q.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		q.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// wake has all who wait look again. mu is held.
func (q *queue) wake() {
	if q.waiters > 0 {
		close(q.changed)
		q.changed = make(chan struct{})
	}
}

// put adds a line. Without room it waits, and returns errFull after patience; with
// drop it makes room by taking out the oldest lines that are not on their way. It
// returns the lines that have left the queue by this: those dropped, or the line
// itself, when it was filtered out and nothing is before it.
func (q *queue) put(ctx context.Context, l line, drop bool) (gone []line, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if l.text == nil && len(q.flying)+len(q.waiting) == 0 {
		return []line{l}, nil
	}
	room := func() bool { return q.bytes == 0 || q.bytes+l.cost() <= q.limit }
	if !drop && !room() {
		ctx, cancel := context.WithTimeoutCause(ctx, patience, errFull)
		defer cancel()
		if err := q.until(ctx, room); err != nil {
			return nil, err
		}
	}
	for !room() && len(q.waiting) > 0 {
		old := q.waiting[0]
		q.waiting[0], q.waiting = line{}, q.waiting[1:]
		q.bytes -= old.cost()
		if old.text != nil {
			q.count.Waiting--
			q.count.Dropped++
		}
		gone = append(gone, old)
	}
	q.waiting = append(q.waiting, l)
	q.bytes += l.cost()
	if l.text != nil {
		q.count.Waiting++
	}
	q.wake()
	return gone, nil
}

// room waits until the queue is half empty.
func (q *queue) room(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.until(ctx, func() bool { return q.bytes <= q.limit/2 })
}

// next waits for lines and returns a packet of them, which is on its way then. It
// holds no more back than it has to: what is there goes out. io.EOF says that the
// queue is closed and all was sent.
func (q *queue) next(ctx context.Context, buf []byte) ([]byte, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := min(inFlight, q.limit/2)
	for {
		err := q.until(ctx, func() bool {
			return len(q.waiting) > 0 && q.aloft < most || q.closed && len(q.waiting) == 0
		})
		if err != nil {
			return nil, err
		}
		if len(q.waiting) == 0 {
			return nil, io.EOF
		}
		n := 0
		for _, l := range q.waiting {
			if len(buf) > 0 && len(buf)+len(l.text) > packet {
				break
			}
			buf = append(buf, l.text...)
			q.aloft += l.cost()
			n++
		}
		q.flying = append(q.flying, q.waiting[:n]...)
		clear(q.waiting[:n])
		q.waiting = q.waiting[n:]
		q.wake()
		if len(buf) > 0 {
			return buf, nil
		}
	}
}

// wrote notes that the connection took the last packet of next.
func (q *queue) wrote(packet []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.written = mark{q.landed + uint64(len(q.flying)), q.written.bytes + uint64(len(packet))}
	q.wake()
}

// beyond waits until the connection took more than n lines, and returns how far it is.
func (q *queue) beyond(ctx context.Context, n uint64) (mark, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	err := q.until(ctx, func() bool { return q.written.lines > n })
	return q.written, err
}

// confirm takes out the first n lines, counted since the queue was made, and
// returns those that had not been taken out before.
func (q *queue) confirm(n uint64) []line {
	q.mu.Lock()
	defer q.mu.Unlock()
	if n <= q.landed {
		return nil
	}
	gone := slices.Clone(q.flying[:n-q.landed])
	clear(q.flying[:len(gone)])
	q.flying = q.flying[len(gone):]
	q.landed = n
	for _, l := range gone {
		q.bytes -= l.cost()
		q.aloft -= l.cost()
		if l.text != nil {
			q.count.Waiting--
			q.count.Sent++
		}
	}
	q.wake()
	return gone
}

// rewind has everything that was not confirmed sent again, over a new connection. It
// returns the number of lines that were.
func (q *queue) rewind() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.flying, q.waiting...)
	q.flying, q.aloft = nil, 0
	q.written = mark{lines: q.landed}
	q.wake()
	return q.landed
}

// all is the number of lines that were sent, ever.
func (q *queue) all() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.landed + uint64(len(q.flying))
}

// close says that no more lines come.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// done waits until the queue is closed and empty.
func (q *queue) done(ctx context.Context) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.until(ctx, func() bool { return q.closed && len(q.flying)+len(q.waiting) == 0 })
}

func (q *queue) counts() queueCount {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.count
	c.Bytes = q.bytes
	return c
}

package tunnel

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// outboxSize is how much a stream holds for the outlet to take.
const outboxSize = 256 << 10

// outbox is what a stream still has to say. Its writer puts bytes in, the newest
// outlet takes them out: so the outlet can be replaced between two bytes while
// the writer writes on, and none is lost or said twice.
type outbox struct {
	mu      sync.Mutex // guards what follows and the outlets' fields
	changed sync.Cond
	data    bytes.Buffer
	taker   *outlet // nil before the first
	closed  bool    // nothing is put in any more; what is there still goes out
	err     error   // nothing goes out any more
}

func newOutbox() *outbox {
	b := &outbox{}
	b.changed.L = &b.mu
	return b
}

// Write puts p in and waits for room as long as there is none.
func (b *outbox) Write(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(p) > 0 {
		for b.data.Len() >= outboxSize && !b.closed && b.err == nil {
			b.changed.Wait()
		}
		if b.err != nil {
			return n, b.err
		}
		if b.closed {
			return n, io.ErrClosedPipe
		}
		part := p[:min(len(p), outboxSize-b.data.Len())]
		b.data.Write(part)
		n, p = n+len(part), p[len(part):]
		b.changed.Broadcast()
	}
	return n, nil
}

// pass makes to the one that takes the bytes. The one before it comes to its end.
func (b *outbox) pass(to *outlet) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taker != nil {
		b.taker.retired = true
	}
	b.taker = to
	b.changed.Broadcast()
}

// close lets what is there go out, for at most patience, and ends with err then.
func (b *outbox) close(patience time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.changed.Broadcast()
	if patience > 0 && b.taker != nil {
		late := false
		t := time.AfterFunc(patience, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			late = true
			b.changed.Broadcast()
		})
		defer t.Stop()
		for b.err == nil && !late && !b.taker.over {
			b.changed.Wait()
		}
	}
	if b.err == nil {
		b.err = err
	}
	b.changed.Broadcast()
}

// outlet is one write half of a stream: the body of a response or of a request.
// It is read by whoever writes that body.
type outlet struct {
	box     *outbox
	first   []byte // its own lines, before the stream's bytes
	retired bool   // another one has taken over
	failed  error  // the hand-over to it did not work
	over    bool   // its end was read, or nobody will read it any more
}

// say adds a line of the outlet's own.
func (o *outlet) say(line string) {
	o.box.mu.Lock()
	defer o.box.mu.Unlock()
	o.first = append(o.first, line...)
	o.box.changed.Broadcast()
}

// fail ends the outlet with err.
func (o *outlet) fail(err error) {
	o.box.mu.Lock()
	defer o.box.mu.Unlock()
	if o.failed == nil {
		o.failed = err
	}
	o.box.changed.Broadcast()
}

// Read waits for bytes. It ends with io.EOF when the outlet has been replaced or
// the stream was closed and all has been taken; with the error otherwise.
func (o *outlet) Read(p []byte) (n int, err error) {
	b := o.box
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case o.failed != nil:
			err = o.failed
		case len(o.first) > 0:
			n = copy(p, o.first)
			o.first = o.first[n:]
			return n, nil
		case o.retired:
			err = io.EOF
		case o == b.taker && b.err == nil && b.data.Len() > 0:
			n, _ = b.data.Read(p)
			b.changed.Broadcast()
			return n, nil
		case o == b.taker && b.err == nil && b.closed:
			err = io.EOF
		case b.err != nil:
			err = b.err
		}
		if err != nil {
			o.over = true
			b.changed.Broadcast()
			return 0, err
		}
		b.changed.Wait()
	}
}

// leads says whether the stream's bytes go out here, or went and may be lost.
func (o *outlet) leads() bool {
	o.box.mu.Lock()
	defer o.box.mu.Unlock()
	return o == o.box.taker || o.retired
}

// finished says whether it is right that the outlet has come to its end.
func (o *outlet) finished() bool {
	o.box.mu.Lock()
	defer o.box.mu.Unlock()
	return o.retired || o.box.closed
}

// Close says that nobody reads the outlet any more.
func (o *outlet) Close() error {
	o.box.mu.Lock()
	defer o.box.mu.Unlock()
	o.over = true
	o.box.changed.Broadcast()
	return nil
}

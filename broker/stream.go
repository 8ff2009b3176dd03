package broker

import (
	"errors"
	"io"
	"sync"
)

// blockSize is how much of a long message is read at a time. Two blocks are in
// flight, so that reading the next one goes on while one is written.
const (
	blockSize = 128 << 10
	blocks    = 2
)

type block struct {
	data []byte // what was read
	buf  [blockSize]byte
}

var blockPool = sync.Pool{New: func() any { return new(block) }}

// A stream carries the bytes of one message from the goroutine that reads them
// (fill) to the one that writes them (next). Its first bytes, up to limit, are
// kept in head until a later one was handed out: so long it can be rewound and
// handed to another receiver from its start.
type stream struct {
	limit int
	pump  chan struct{} // wakes the producer, capacity 1

	mu    sync.Mutex    // guards all below
	wake  chan struct{} // wakes the receiver of the moment, capacity 1
	head  []byte
	ready []*block // read, not handed out
	free  int      // blocks that may still be read into
	eof   bool     // the producer sent its last byte
	err   error    // the producer went away before
	total int64    // bytes read from the producer

	pos      int    // how much of head the receiver has got
	inHand   *block // what the receiver is writing
	last     int    // bytes it is writing
	handed   int64  // bytes it has written
	streamed bool   // a block was handed out: no rewinding any more
	settled  bool   // result is final
	result   error
	stop     func()
}

func (s *stream) init(limit int, stop func()) {
	s.limit, s.free, s.stop = limit, blocks, stop
	s.pump = make(chan struct{}, 1)
}

// signal wakes whoever waits on a capacity 1 channel, now or next.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fillable tells, under mu, whether the producer has something to read and room
// to read it into.
func (s *stream) fillable() bool {
	return !s.eof && s.err == nil && (len(s.head) < s.limit || s.free > 0)
}

// fill reads once from body, which may block, and passes on what came. Only the
// producer calls it, when fillable.
func (s *stream) fill(body io.Reader, size int64) {
	if body == nil {
		s.mu.Lock()
		s.eof = true
		s.wakeReceiver()
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	if len(s.head) < s.limit {
		s.grow(size)
		spare := s.head[len(s.head):cap(s.head)]
		s.mu.Unlock()
		n, err := body.Read(spare) // nobody else touches the spare part
		s.mu.Lock()
		s.head = s.head[:len(s.head)+n]
		s.read(n, err)
		s.mu.Unlock()
		return
	}
	s.free--
	s.mu.Unlock()
	b := blockPool.Get().(*block)
	n, err := body.Read(b.buf[:])
	b.data = b.buf[:n]
	s.mu.Lock()
	if n > 0 {
		s.ready = append(s.ready, b)
	} else {
		s.free++
		blockPool.Put(b)
	}
	s.read(n, err)
	s.mu.Unlock()
}

// grow makes room for at least one byte in head, under mu. What a receiver holds
// of the old array stays as it is.
func (s *stream) grow(size int64) {
	if len(s.head) < cap(s.head) {
		return
	}
	room := max(512, 2*cap(s.head))
	if s.head == nil && size >= 0 && size < int64(s.limit) {
		room = int(size) + 1 // and one byte to see the end with
	}
	grown := make([]byte, len(s.head), min(room, s.limit))
	copy(grown, s.head)
	s.head = grown
}

// read books n bytes and an error from the body, under mu.
func (s *stream) read(n int, err error) {
	s.total += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		s.eof = true
	case err != nil:
		s.err = err
	case n == 0:
		return
	}
	s.wakeReceiver()
}

// fail cuts the receiver off as if the producer had gone away, if it has not sent
// everything. It takes mu.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.eof && s.err == nil {
		s.err = err
		s.wakeReceiver()
	}
}

func (s *stream) wakeReceiver() {
	if s.wake != nil {
		signal(s.wake)
	}
}

// rewind makes the stream ready for a receiver that is woken through wake.
func (s *stream) rewind(wake chan struct{}) {
	s.wake, s.pos, s.last, s.handed = wake, 0, 0, 0
}

// next returns the next bytes, valid until the following call, and books those
// of the last call as written. It never blocks: with nothing there yet it
// returns nil and no error. io.EOF is the end, [ErrCut] a producer that went
// away, errWithdrawn one that went before its first byte. Under mu.
func (s *stream) next() ([]byte, error) {
	s.written()
	switch {
	case s.pos < len(s.head):
		data := s.head[s.pos:len(s.head):len(s.head)]
		s.pos, s.last = len(s.head), len(data)
		return data, nil
	case len(s.ready) > 0:
		s.inHand = s.ready[0]
		s.ready = append(s.ready[:0], s.ready[1:]...)
		s.last, s.streamed = len(s.inHand.data), true
		return s.inHand.data, nil
	case s.eof:
		return nil, io.EOF
	case s.err != nil && s.total == 0:
		return nil, errWithdrawn
	case s.err != nil:
		return nil, ErrCut
	}
	return nil, nil
}

// written books what next returned last as written, under mu.
func (s *stream) written() {
	s.handed += int64(s.last)
	s.last = 0
	if s.inHand != nil {
		if poison != nil {
			poison(s.inHand.buf[:])
		}
		blockPool.Put(s.inHand)
		s.inHand = nil
		s.free++
		signal(s.pump)
	}
}

// atEnd tells, under mu, whether the receiver has got everything.
func (s *stream) atEnd() bool {
	return s.eof && s.pos == len(s.head) && len(s.ready) == 0
}

// settle fixes the producer's result, under mu. It returns the stop function to
// be called after mu when the producer may still be reading.
func (s *stream) settle(err error) (stop func()) {
	if s.settled {
		return nil
	}
	s.settled, s.result = true, err
	signal(s.pump)
	if s.eof || s.err != nil {
		return nil
	}
	return s.stop
}

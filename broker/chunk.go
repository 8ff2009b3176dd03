package broker

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// A chunk is a part of a broadcast message, shared by all its receivers and by
// the publisher that may have to hand it on. The last one to let go puts it back
// into its pool.
type chunk struct {
	info  *Info
	data  []byte
	part  int // of the message, from 0
	first bool
	last  bool
	cut   bool
	class int // index of its pool

	refs    atomic.Int32
	holders atomic.Int32 // mailboxes it is in, whose receivers may still write it
	taken   atomic.Bool  // some receiver wrote it
	stray   atomic.Bool  // a receiver left with it in hand, and may still look at it
}

// orphan tells whether no receiver wrote it, and none will.
func (c *chunk) orphan() bool { return c.holders.Load() == 0 && !c.taken.Load() }

// Chunks are pooled by the power of two of their capacity, so that a mailbox
// full of short lines does not pin long buffers.
const (
	minChunk   = 6  // 64 bytes
	maxChunk   = 16 // 64 KiB
	chunkBytes = 1 << maxChunk
	chunkCost  = 96 // bytes booked for a chunk besides its buffer
)

var chunkPools [maxChunk + 1]sync.Pool

// poison, set by a test, spoils the buffers of chunks that are let go, so that
// whoever still looks at them is found out.
var poison func([]byte)

// newChunk copies data, at most chunkBytes, into a chunk with one reference.
func newChunk(info *Info, data []byte) *chunk {
	class := minChunk
	if len(data) > 1<<minChunk {
		class = bits.Len(uint(len(data) - 1))
	}
	c, _ := chunkPools[class].Get().(*chunk)
	if c == nil {
		c = &chunk{data: make([]byte, 0, 1<<class), class: class}
	}
	c.info = info
	c.data = append(c.data[:0], data...)
	c.part, c.first, c.last, c.cut = 0, false, false, false
	c.taken.Store(false)
	c.refs.Store(1) // holders is 0: every mailbox counted itself out
	return c
}

func (c *chunk) release() {
	if c.refs.Add(-1) == 0 && !c.stray.Load() {
		c.info = nil
		if poison != nil {
			poison(c.data[:cap(c.data)])
		}
		chunkPools[c.class].Put(c)
	}
}

// cost is what the chunk counts in a mailbox, in bytes of memory.
func (c *chunk) cost() int { return cap(c.data) + chunkCost }

package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// A backoff waits longer from try to try, never exactly as long as others do.
type backoff struct{ first, most, next time.Duration }

// worked says for how long the last try worked. If that was longer than the wait for
// it, the waits begin anew.
func (b *backoff) worked(d time.Duration) {
	if d > b.next {
		b.next = 0
	}
}

// wait returns ctx's cause when that ends first.
func (b *backoff) wait(ctx context.Context) error {
	timer := time.NewTimer(b.step())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// step returns how long to wait this time: half of the full time to all of it.
func (b *backoff) step() time.Duration {
	b.next = min(max(b.next*2, b.first), b.most)
	return b.next/2 + rand.N(b.next/2+1)
}

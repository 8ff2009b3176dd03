package notify

import (
	"context"
	"sync"
)

// lanes holds one queue per target that is in use. Who waits is the goroutine of
// the message itself, so a lane is a table entry and no goroutine, and is gone
// with its last message.
type lanes struct {
	mu    sync.Mutex // guards all below; never held while anything blocks
	table map[targetID]*lane
}

type lane struct {
	turns   chan struct{} // holds one token while a message is being sent
	members int           // sending and waiting
}

// turn runs send when all that came before to the same target are done, in the
// order they came. It fails at once if too many wait, and when ctx ends first.
func (l *lanes) turn(ctx context.Context, id targetID, send func() error) error {
	lane, err := l.join(id)
	if err != nil {
		return err
	}
	defer l.leave(id, lane)
	select {
	case lane.turns <- struct{}{}: // senders on a channel are served first come, first served
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-lane.turns }()
	return send()
}

func (l *lanes) join(id targetID) (*lane, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.table == nil {
		l.table = map[targetID]*lane{}
	}
	one := l.table[id]
	if one == nil {
		one = &lane{turns: make(chan struct{}, 1)}
		l.table[id] = one
	}
	if one.members > MaxQueue {
		return nil, errQueueFull
	}
	one.members++
	return one, nil
}

func (l *lanes) leave(id targetID, one *lane) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.members--; one.members == 0 {
		delete(l.table, id)
	}
}

// members is how many messages are being sent or wait.
func (l *lanes) members() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, one := range l.table {
		n += one.members
	}
	return n
}

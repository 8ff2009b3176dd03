package broker

import "slices"

// A watch is somebody who wants to know that a channel is in use, without being a
// receiver in anybody's eyes.
type watch struct{ f func() }

// Watch has f called whenever a producer offers a message on the channel, and
// whenever a publisher writes there, received or not. f is called from that
// producer's goroutine, possibly with the broker's lock held: it must not block
// and not call the broker. stop ends it, and may be called again; f may still be
// running when it returns.
func (b *Broker) Watch(n Name, f func()) (stop func()) {
	n = n.Request()
	w := &watch{f}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.setWatches(n, append(slices.Clone(b.watches[n]), w))
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.setWatches(n, slices.DeleteFunc(slices.Clone(b.watches[n]), func(x *watch) bool { return x == w }))
	}
}

// setWatches replaces the watches of a channel, by a slice that is never changed.
// Under mu.
func (b *Broker) setWatches(n Name, list []*watch) {
	if len(list) == 0 {
		delete(b.watches, n)
	} else {
		b.watches[n] = list
	}
	if ch := b.channels[n]; ch != nil {
		ch.watchedBy(list)
	}
}

func (ch *channel) watchedBy(list []*watch) {
	if len(list) == 0 {
		ch.watched.Store(nil)
		return
	}
	ch.watched.Store(&list)
}

// seen tells the channel's watches, if there are any, that it is in use.
func (ch *channel) seen() {
	if list := ch.watched.Load(); list != nil {
		for _, w := range *list {
			w.f()
		}
	}
}

package broker

import "strings"

// A responder on "…/res/site" serves the requests on "…/req/site/index.html" as
// well, unless somebody responds there itself. For that a request that waits
// stands, besides in its own channel's line, in a line for each of the names above
// it, and goes to whatever channel the responder is on that takes it.

// maxAbove bounds the names above a channel on which its requests can be taken.
const maxAbove = 16

// above returns the names above a request channel, nearest first:
// "public/req/a/b" and "public/req/a" for "public/req/a/b/c".
func (n Name) above() []Name {
	if n.Kind() != Req {
		return nil
	}
	root := len(n.Namespace() + "/req/")
	var names []Name
	for s := n.s; len(names) < maxAbove; {
		i := strings.LastIndexByte(s, '/')
		if i < root {
			break
		}
		s = s[:i]
		names = append(names, Name{s})
	}
	return names
}

// line puts a waiting offer into its lines. Under mu.
func (b *Broker) line(o *offer) {
	o.ch.offers.push(&o.node)
	if o.call == nil {
		return
	}
	if o.above == nil {
		names := o.ch.name.above()
		o.above = make([]aboveNode, len(names))
		for i, n := range names {
			o.above[i].name = n
			o.above[i].node.v, o.above[i].node.seq = o, o.node.seq
		}
	}
	for i := range o.above {
		a := &o.above[i]
		l := b.below[a.name]
		if l == nil {
			l = &line[*offer]{}
			b.below[a.name] = l
		}
		l.push(&a.node)
	}
}

// unline takes an offer out of its lines, if it stands in any. Under mu.
func (o *offer) unline() {
	if o.node.in == nil {
		return
	}
	o.node.in.remove(&o.node)
	for i := range o.above {
		a := &o.above[i]
		l := a.node.in
		l.remove(&a.node)
		if l.n == 0 {
			delete(o.call.b.below, a.name)
		}
	}
}

// An aboveNode is a request's place in the line of a name above its channel.
type aboveNode struct {
	name Name
	node node[*offer]
}

// waiting returns the offer that a receiver on the channel is to get next, nil if
// there is none: the first in line, on the channel itself or below, that suits.
// Requests below are for whom serves lets have them, and none that an access list
// guards is for anybody but those on its own channel. Under mu.
func (b *Broker) waiting(ch *channel, serves func(Name) bool, suits func(*offer) bool) *offer {
	own := ch.offers.head
	for own != nil && suits != nil && !suits(own.v) {
		own = own.next
	}
	var below *node[*offer]
	if l := b.below[ch.name]; l != nil && ch.guard == nil {
		below = l.head
		for below != nil && (below.v.ch.guard != nil || !serves(below.v.ch.name) || suits != nil && !suits(below.v)) {
			below = below.next
		}
	}
	switch {
	case own != nil && (below == nil || own.seq < below.seq):
		return own.v
	case below != nil:
		return below.v
	}
	return nil
}

// placeAbove gives a request to a responder on a name above its own, nearest
// first; channels with an access list are passed over, and leave what is theirs to
// nobody. Under mu.
func (b *Broker) placeAbove(o *offer) bool {
	if o.ch.guard != nil {
		return false
	}
	for _, n := range o.ch.name.above() {
		if ch := b.channels[n]; ch != nil && ch.guard == nil && b.placeOn(o, ch) {
			return true
		}
	}
	return false
}

// serves tells whether a taker may have the request of another name. Under mu.
func (t taker) serves(n Name) bool {
	switch {
	case t.waiter != nil:
		return t.waiter.below(n)
	case t.answer != nil:
		return t.answer.below(n)
	}
	return publicOnly(n)
}

// moveTo books that a request is with a responder on another channel. Under mu.
func (c *Call) moveTo(ch *channel) {
	if c.ch == ch {
		return
	}
	ch.refs++ // it exists: the responder is on it
	c.ch, c.req.ch = ch, ch
}

// moveHome undoes moveTo. Under mu.
func (c *Call) moveHome() {
	if c.ch == c.home {
		return
	}
	c.b.release(c.ch)
	c.ch, c.req.ch = c.home, c.home
}

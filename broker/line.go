package broker

// A line is a doubly linked list in order of arrival. Its nodes live inside what
// they stand for, so that joining costs no allocation and leaving is O(1).
type line[T any] struct {
	head, tail *node[T]
	n          int
}

type node[T any] struct {
	prev, next *node[T]
	in         *line[T] // nil while it stands in no line
	seq        uint64   // order of arrival
	v          T
}

// push puts x at its place by seq: new arrivals at the end at once, one that
// comes back to its old place after a few steps from the front.
func (l *line[T]) push(x *node[T]) {
	x.in = l
	l.n++
	if l.tail == nil || l.tail.seq < x.seq {
		x.prev, x.next = l.tail, nil
		if l.tail == nil {
			l.head = x
		} else {
			l.tail.next = x
		}
		l.tail = x
		return
	}
	at := l.head
	for at.seq < x.seq {
		at = at.next
	}
	x.prev, x.next = at.prev, at
	if at.prev == nil {
		l.head = x
	} else {
		at.prev.next = x
	}
	at.prev = x
}

// remove takes x out; it does nothing when x stands in no line.
func (l *line[T]) remove(x *node[T]) {
	if x.in != l {
		return
	}
	if x.prev == nil {
		l.head = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		l.tail = x.prev
	} else {
		x.next.prev = x.prev
	}
	x.prev, x.next, x.in = nil, nil, nil
	l.n--
}

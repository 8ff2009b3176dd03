package broker

// A backlog is what a publisher that waits has written and nobody has taken yet,
// oldest first. It holds a reference to each of its chunks.
type backlog struct {
	list   []*chunk // from head on
	head   int
	resort int // length at which the whole list is looked through again
}

func (l *backlog) all() []*chunk { return l.list[l.head:] }

// push appends c, and lets go of what was taken, and with disown of orphans:
// always at the front, and everywhere as often as the list doubles, so that one
// slow receiver at the front does not make it grow.
func (l *backlog) push(c *chunk, disown bool) {
	for l.head < len(l.list) {
		if first := l.list[l.head]; !first.taken.Load() && !(disown && first.orphan()) {
			break
		}
		l.list[l.head].release()
		l.list[l.head] = nil
		l.head++
	}
	if l.head == len(l.list) {
		l.list, l.head = l.list[:0], 0
	}
	if len(l.list)-l.head >= max(16, l.resort) {
		if disown {
			l.disown()
		} else {
			l.prune()
		}
		l.resort = 2 * len(l.list)
	}
	if len(l.list) == cap(l.list) && l.head > cap(l.list)/2 {
		n := copy(l.list, l.all())
		clear(l.list[n:])
		l.list, l.head = l.list[:n], 0
	}
	c.refs.Add(1)
	l.list = append(l.list, c)
}

// keep lets go of the chunks for which f is false.
func (l *backlog) keep(f func(*chunk) bool) {
	n := 0
	for _, c := range l.all() {
		if f(c) {
			l.list[n] = c
			n++
		} else {
			c.release()
		}
	}
	clear(l.list[n:])
	l.list, l.head = l.list[:n], 0
}

// prune lets go of all that was taken.
func (l *backlog) prune() {
	l.keep(func(c *chunk) bool { return !c.taken.Load() })
}

// orphans returns what nobody took and nobody has any more.
func (l *backlog) orphans() []*chunk {
	var lost []*chunk
	for _, c := range l.all() {
		if c.orphan() {
			lost = append(lost, c)
		}
	}
	return lost
}

// anyOrphan tells whether orphans would return something.
func (l *backlog) anyOrphan() bool {
	for _, c := range l.all() {
		if c.orphan() {
			return true
		}
	}
	return false
}

// disown lets go of the orphans: a receiver that went on without them is there.
func (l *backlog) disown() {
	l.keep(func(c *chunk) bool { return !c.taken.Load() && !c.orphan() })
}

// forget lets go of a message that was aborted.
func (l *backlog) forget(info *Info) {
	l.keep(func(c *chunk) bool { return c.info != info })
}

package main

import (
	"slices"
	"time"
)

const (
	// disorder is how much later than its time an entry may stand in a log.
	// Docker gives entries of stdout and stderr their times in two goroutines
	// and writes them as they come, so they are not quite sorted.
	disorder = int64(2 * time.Second)
	// recent is how many times a cursor remembers one by one, at least. It
	// remembers no more than twice as many.
	recent = 8192
)

// A cursor tells how far a container's log has been read, in a way that survives
// the log's being opened anew: by the times of its entries, in nanoseconds of the
// Docker machine's clock, for a time is what Docker can be asked to read from.
//
// Everything up to floor counts as read. What was read of later entries is in
// after, in the order of the log. All pieces of a line have the time of its first,
// so while a line is open, more may come of a time that the floor has passed: what
// was read of that time is in late. A zero cursor has read nothing, and one with only
// a floor begins there. It is not safe for concurrent use.
//
// When the clock is set back, entries come whose times were passed long ago. The
// floor then goes down with them, so that none is missed; if the log is opened
// anew before the clock has caught up, some lines are read twice. Set back while
// the log is not open, it hides what is written until it has caught up.
type cursor struct {
	floor int64
	after []instant
	late  []instant
}

// An instant is n entries of the same time.
type instant struct {
	t int64
	n int
}

// add notes that the entry which follows in the log has been read. open are the
// lines that are not at their end then.
func (c *cursor) add(t int64, open ...instant) {
	if i := slices.IndexFunc(c.late, func(l instant) bool { return l.t == t }); i >= 0 {
		c.late[i].n++
	} else {
		c.note(t, open)
	}
	c.late = slices.DeleteFunc(c.late, func(l instant) bool { return !isOpen(l.t, open) })
}

func (c *cursor) note(t int64, open []instant) {
	c.floor = min(c.floor, t-1)
	if last := len(c.after) - 1; last >= 0 && c.after[last].t == t {
		c.after[last].n++
		return
	}
	c.after = append(c.after, instant{t, 1})
	switch {
	case len(c.after) > 2*recent:
		low := c.floor
		for _, i := range c.after[:len(c.after)-recent] {
			if i.t < t {
				low = max(low, i.t)
			}
		}
		c.rise(low, len(c.after)-recent, open)
	case c.after[0].t <= t-2*disorder:
		c.rise(t-disorder, 0, open)
	}
}

// rise lifts the floor. It forgets what is below, and the first n in any case.
func (c *cursor) rise(floor int64, n int, open []instant) {
	c.floor = floor
	var rest []instant
	for at, i := range c.after {
		switch late := slices.IndexFunc(c.late, func(l instant) bool { return l.t == i.t }); {
		case at >= n && i.t > floor:
			rest = append(rest, i)
		case late >= 0:
			c.late[late].n += i.n
		case isOpen(i.t, open):
			c.late = append(c.late, i)
		}
	}
	c.after = rest
}

func isOpen(t int64, open []instant) bool {
	return slices.ContainsFunc(open, func(o instant) bool { return o.n > 0 && o.t == t })
}

// settled returns a cursor that tells the same in fewer words, of a log that has been
// read to its end and in which nothing was written lately.
func (c cursor) settled(now int64) cursor {
	newest := c.floor
	for _, i := range c.after {
		newest = max(newest, i.t)
	}
	if newest > now-disorder {
		return c
	}
	return cursor{floor: newest}
}

// A replay tells which entries of a log, opened anew, have been read before. The
// log has to be opened at since. It is used up with that one reading.
type replay struct {
	since  int64
	floor  int64
	newest int64         // of all times read
	again  map[int64]int // how many entries of a time come again, above the floor or late
	late   map[int64]bool
	left   int // all in again
}

// replay begins a new reading of the log.
func (c *cursor) replay() *replay {
	r := &replay{since: c.floor + 1, floor: c.floor, newest: c.floor, again: map[int64]int{}, late: map[int64]bool{}}
	for _, i := range slices.Concat(c.after, c.late) {
		r.again[i.t] += i.n
		r.left += i.n
		r.newest = max(r.newest, i.t)
	}
	for _, i := range c.late {
		r.late[i.t] = true
		r.since = min(r.since, i.t)
	}
	return r
}

// skip tells whether the entry that comes next has been read before.
func (r *replay) skip(t int64) bool {
	if t > r.newest {
		r.left = 0 // what has not come again by now was rotated away
	}
	switch {
	case r.left == 0:
		return false
	case t <= r.floor && !r.late[t]:
		return true
	case r.again[t] == 0:
		return false
	}
	r.again[t]--
	r.left--
	return true
}

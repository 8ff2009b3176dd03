package httpfront

import (
	"bytes"
	"iter"
	"time"
	"unicode/utf8"

	"patchwork/broker"
)

// partDelay is how long an unfinished message is held back for its rest before
// what is there goes out as a part.
const partDelay = 100 * time.Millisecond

// maxOpen bounds the unfinished messages an assembler remembers.
const maxOpen = 64

// A frame is what a framing door sends at once: a message, or a part of one.
type frame struct {
	info *broker.Info
	data []byte // valid until the assembler's next call
	part int    // 0: the whole message; else from 1
	end  bool   // the last part of a message
	late bool   // a part of a message whose beginning was not seen
	cut  bool   // with end: its producer went away before it was whole
}

// An assembler makes frames of a subscription's events: messages of up to
// wholeLimit bytes that come soon enough are one frame; longer or unfinished
// ones go out in parts, cut at line ends where there are any. Its memory is
// bounded by maxOpen messages of wholeLimit bytes. The zero assembler is ready.
type assembler struct {
	open []*unfinished // oldest first
}

type unfinished struct {
	info  *broker.Info
	buf   []byte
	parts int
	late  bool      // its beginning was not seen
	since time.Time // when the oldest byte of buf came
	fed   time.Time // when the newest byte of all came
}

// add takes one event and yields the frames that can go out now. They must be
// consumed before the assembler or the subscription is used again.
func (a *assembler) add(e broker.Event, now time.Time) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		i := a.find(e.Info)
		if i < 0 {
			if e.First && e.Last && !e.Cut && len(e.Data) <= wholeLimit {
				yield(frame{info: e.Info, data: e.Data})
				return
			}
			if len(a.open) == maxOpen {
				old := a.open[0]
				a.open = append(a.open[:0], a.open[1:]...)
				if len(old.buf) > 0 && !yield(old.frame(len(old.buf))) {
					return
				}
			}
			a.open = append(a.open, &unfinished{info: e.Info, late: !e.First, since: now})
			i = len(a.open) - 1
		}
		u := a.open[i]
		if len(u.buf) == 0 {
			u.since = now
		}
		u.fed = now
		u.buf = append(u.buf, e.Data...)
		for len(u.buf) > wholeLimit {
			if !yield(u.take(wholeLimit)) {
				return
			}
		}
		if e.Last {
			a.open = append(a.open[:i], a.open[i+1:]...)
			yield(u.last(e.Cut))
		}
	}
}

// due yields what was held back long enough.
func (a *assembler) due(now time.Time) iter.Seq[frame] {
	return func(yield func(frame) bool) {
		for _, u := range a.open {
			if len(u.buf) > 0 && now.Sub(u.since) >= partDelay {
				if !yield(u.take(len(u.buf))) {
					return
				}
				u.since = now
			}
		}
	}
}

// wait returns how long to wait for the next event: until something is due, or
// the heartbeat; 0 is for ever.
func (a *assembler) wait(now time.Time, beat time.Duration) time.Duration {
	wait := beat
	for _, u := range a.open {
		if len(u.buf) > 0 {
			left := max(partDelay-now.Sub(u.since), time.Millisecond)
			if wait == 0 || left < wait {
				wait = left
			}
		}
	}
	return wait
}

// fed is when something last came of a message whose beginning was seen and whose
// end was not; zero if there is none.
func (a *assembler) fed() (last time.Time) {
	for _, u := range a.open {
		if !u.late && u.fed.After(last) {
			last = u.fed
		}
	}
	return last
}

func (a *assembler) find(info *broker.Info) int {
	for i, u := range a.open {
		if u.info == info {
			return i
		}
	}
	return -1
}

// take cuts a part off: up to the last line end within n bytes, or n bytes where
// there is none.
func (u *unfinished) take(n int) frame {
	if i := bytes.LastIndexByte(u.buf[:n], '\n'); i >= 0 {
		n = i + 1
	} else if n < len(u.buf) {
		for back := n; back > n-utf8.UTFMax; back-- {
			if utf8.RuneStart(u.buf[back]) {
				return u.frame(back) // not in the middle of a character
			}
		}
	} else if begun := u.begun(); begun < n {
		n -= begun
	}
	return u.frame(n)
}

// begun returns how many bytes at the end of buf are the beginning of a character
// whose rest has not come yet.
func (u *unfinished) begun() int {
	for i := 1; i < utf8.UTFMax && i <= len(u.buf); i++ {
		if tail := u.buf[len(u.buf)-i:]; utf8.RuneStart(tail[0]) {
			if !utf8.FullRune(tail) {
				return i
			}
			break
		}
	}
	return 0
}

func (u *unfinished) frame(n int) frame {
	u.parts++
	f := frame{info: u.info, data: u.buf[:n:n], part: u.parts, late: u.late}
	u.buf = u.buf[n:] // the rest is copied to a new array as it grows
	return f
}

// last is the end of the message: all of it if nothing went out before.
func (u *unfinished) last(cut bool) frame {
	if u.parts == 0 && !u.late && !cut {
		return frame{info: u.info, data: u.buf}
	}
	f := u.frame(len(u.buf))
	f.end, f.cut = true, cut
	return f
}

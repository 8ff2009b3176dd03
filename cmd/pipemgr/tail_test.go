package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// begin is when the logs of these tests begin.
var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()

// readThrough reads the log, cut at each of the given places, to its end.
func readThrough(t testing.TB, m *modelLog, from *tail, cuts ...int) {
	t.Helper()
	from.tty = m.tty
	for {
		seen, cut := from.read.replay(), 1<<40
		if len(cuts) > 0 {
			cut, cuts = cuts[0], cuts[1:]
		}
		log, whole := m.open(seen.since, cut)
		err := from.consume(t.Context(), log, seen)
		if whole && err != nil {
			t.Fatalf("the log is whole, but: %v", err)
		}
		if whole && len(cuts) == 0 {
			if err := from.finish(t.Context()); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

func texts(lines []wanted) (all []string) {
	for _, l := range lines {
		all = append(all, l.text)
	}
	return all
}

// compare says where two lists of lines part.
func compare(t testing.TB, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = fmt.Sprintf("%d bytes %.60q", len(got[i]), got[i])
		}
		if i < len(want) {
			w = fmt.Sprintf("%d bytes %.60q", len(want[i]), want[i])
		}
		if g != w {
			t.Errorf("%d lines, not %d; line %d is %s, not %s", len(got), len(want), i, g, w)
			return
		}
	}
}

// Several entries may have the same time, and the log is not quite sorted, for stdout
// and stderr get their times separately.
func TestEveryLineOnceWhereverTheLogIsCut(t *testing.T) {
	var m modelLog
	for i := range 24 {
		m.line(stream(i%2), begin+int64(i/4*100-i%2*150), fmt.Sprintf("line %d", i), nil)
	}
	whole, _ := m.open(0, 1<<40)
	size := whole.(*bytes.Buffer).Len()
	for cut := range size {
		from := newTail(t)
		readThrough(t, &m, from, cut, 200, size-cut)
		compare(t, sent(t, from), texts(m.lines))
		if from.pending != 0 || t.Failed() {
			t.Fatalf("cut after %d bytes: %d entries are pending", cut, from.pending)
		}
	}
}

func TestALogIsReadOnAfterMoreThanACursorRemembers(t *testing.T) {
	var m modelLog
	for i := range 3 * recent {
		m.line(stdout, begin+int64(i)*1000, fmt.Sprint(i), nil)
	}
	for name, step := range map[string]int64{"within a moment": 1000, "over hours": int64(time.Second)} {
		t.Run(name, func(t *testing.T) {
			for i := range m.entries {
				m.entries[i].time = begin + int64(i)*step
			}
			from := newTail(t)
			readThrough(t, &m, from, 400_000, 500_000, 40_000, 300_000)
			compare(t, sent(t, from), texts(m.lines))
			if n := len(from.read.after); n > 2*recent {
				t.Errorf("the cursor remembers %d times", n)
			}
		})
	}
}

// A line of several pieces carries the time of its first piece, and may end an hour of
// stderr later.
func TestALongLineGoesOnWhereItWasCut(t *testing.T) {
	for _, tty := range []bool{false, true} {
		m := modelLog{tty: tty}
		long, n := strings.Repeat("0123456789abcde.", 5*pieceSize/16), 0
		m.line(stdout, begin-1, "before", nil)
		m.line(stdout, begin, long, func() {
			for range 3 {
				if n++; !tty {
					m.line(stderr, begin+int64(n)*int64(10*time.Minute), fmt.Sprint("meanwhile ", n), nil)
				}
			}
		})
		m.line(stdout, begin+int64(5*time.Hour), "after", nil)
		whole, _ := m.open(0, 1<<40)
		size := whole.(*bytes.Buffer).Len()
		for cut := 0; cut < size; cut += 777 {
			from := newTail(t)
			readThrough(t, &m, from, cut, size/3)
			compare(t, sent(t, from), texts(m.lines))
			if t.Failed() {
				t.Fatalf("tty %v, cut after %d bytes", tty, cut)
			}
		}
	}
}

// What Docker writes while its clock is behind the cursor cannot be asked for, if the
// log was not open when the clock was set back. If it was, nothing is lost.
func TestAClockThatIsSetBackWhileALogIsReadLosesNothing(t *testing.T) {
	var m modelLog
	now, soonest := begin, 0
	for i := range 3000 {
		if i == 1500 {
			now -= int64(time.Hour)
			log, _ := m.open(0, 1<<40)
			soonest = log.(*bytes.Buffer).Len() + 100
		}
		m.line(stdout, now, fmt.Sprint(i), nil)
		now += int64(100 * time.Millisecond)
	}
	for cut := soonest; cut < soonest+50_000; cut += 9973 {
		from := newTail(t)
		readThrough(t, &m, from, cut)
		got := sent(t, from)
		compare(t, slices.Compact(slices.SortedFunc(slices.Values(got), strings.Compare)),
			slices.SortedFunc(slices.Values(texts(m.lines)), strings.Compare))
	}
}

func TestALineWithoutEndGoesOutInParts(t *testing.T) {
	var m modelLog
	text := strings.Repeat("x", 2*maxLine+5*pieceSize+7)
	m.line(stdout, begin, text, func() {})
	m.line(stdout, begin+1, strings.Repeat("y", maxLine-1), func() {}) // its end is a piece of its own
	m.line(stdout, begin+2, "", nil)
	m.entries = append(m.entries, entry{begin + 3, stderr, []byte("unfinished")})
	from := newTail(t)
	readThrough(t, &m, from, 100_000, 300_000)
	got := sent(t, from)
	for i, l := range got {
		if len(l) > maxLine {
			t.Errorf("line %d has %d bytes", i, len(l))
		}
	}
	all := strings.Join(got[:3], "")
	if all != text {
		t.Errorf("the parts are %d bytes together, not %d", len(all), len(text))
	}
	if want := []string{strings.Repeat("y", maxLine-1), "", "unfinished"}; !slices.Equal(got[3:], want) {
		t.Errorf("then %d lines: %.60q", len(got[3:]), got[3:])
	}
}

// A process that is killed has confirmed some lines and not others. The next one,
// which has only the state, sends all that were not confirmed, and none that was.
func TestTheNextProcessSendsWhatWasNotConfirmed(t *testing.T) {
	var m modelLog
	for i := range 500 {
		m.line(stream(i%2), begin+int64(i)*int64(20*time.Millisecond)-int64(i%2)*int64(50*time.Millisecond), fmt.Sprint(i), nil)
	}
	for confirmed := 0; confirmed <= 500; confirmed += 17 {
		first := newTail(t)
		readThrough(t, &m, first)
		first.pipe.queue.flying, first.pipe.queue.waiting = first.pipe.queue.waiting, nil
		for _, l := range first.pipe.queue.confirm(uint64(confirmed)) {
			l.from.confirm(l.instant)
		}
		saved := first.save(begin + int64(time.Hour))
		second := newTail(t)
		second.read, second.done = saved.cursor(), saved.cursor()
		readThrough(t, &m, second)
		compare(t, sent(t, second), texts(m.lines[confirmed:]))
		if after := len(second.save(begin + int64(time.Hour)).After); after != 0 {
			t.Errorf("the state of a log that is at rest remembers %d times", after)
		}
	}
}

// FuzzLinesInAreLinesOut writes a log and cuts it anywhere. Each byte of script is a line
// or lets time pass.
func FuzzLinesInAreLinesOut(f *testing.F) {
	f.Add([]byte("abcdefgh"), uint16(100), uint16(3), false)
	f.Add([]byte{0, 1, 2, 3, 4, 5, 250, 251, 252, 253, 7, 7, 7, 255, 1, 1}, uint16(17000), uint16(40000), true)
	f.Add([]byte{253, 255, 255, 255, 1, 253, 254, 2, 3, 254, 254, 253}, uint16(40000), uint16(20000), false)
	f.Fuzz(func(t *testing.T, script []byte, first, second uint16, tty bool) {
		if len(script) > 60 {
			script = script[:60]
		}
		m := modelLog{tty: tty}
		now, n := begin, 0
		write := func(s stream, text string) {
			if tty {
				s = stdout
			}
			n++
			m.line(s, now-int64(n*n%7)*disorder/8, fmt.Sprint(n, text), func() {
				now += disorder / 3
				if !tty {
					m.line(stderr, now, fmt.Sprint("between ", n), nil)
				}
			})
		}
		for _, b := range script {
			switch {
			case b >= 254:
				now += disorder
			case b >= 250:
				write(stdout, strings.Repeat(string('a'+rune(b-250)), pieceSize/2*int(b-249)))
			default:
				now += int64(b%4) * 1000
				write(stream(b%2), strings.Repeat("z", int(b%5)))
			}
		}
		from := newTail(t)
		readThrough(t, &m, from, int(first), int(second), int(first)+int(second))
		compare(t, sent(t, from), texts(m.lines))
	})
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// put adds a line that has to find room.
func put(t *testing.T, q *queue, from *tail, text string) {
	t.Helper()
	gone, err := q.put(t.Context(), line{text: []byte(text), from: from, instant: instant{1, 1}}, false)
	if err != nil || gone != nil {
		t.Fatalf("%v %v", gone, err)
	}
}

func next(t *testing.T, q *queue) string {
	t.Helper()
	packet, err := q.next(t.Context(), nil)
	must(t, err)
	q.wrote(packet)
	return string(packet)
}

func TestPacketsAreWholeLines(t *testing.T) {
	q, from := newQueue(1<<20), newTail(t)
	l := strings.Repeat("x", 10_000) + "\n"
	long := strings.Repeat("y", 2*packet) + "\n"
	for range 4 {
		put(t, q, from, l)
	}
	put(t, q, from, long)
	put(t, q, from, l)
	for _, want := range []string{l + l + l, l, long, l} {
		if got := next(t, q); got != want {
			t.Errorf("%d bytes, not %d", len(got), len(want))
		}
	}
}

func TestWhatWasNotConfirmedIsSentAgain(t *testing.T) {
	q, from := newQueue(1<<20), newTail(t)
	for i := range 3 {
		put(t, q, from, fmt.Sprint(i))
		next(t, q)
	}
	m, err := q.beyond(t.Context(), 0)
	if err != nil || m != (mark{3, 3}) {
		t.Errorf("%v %v", m, err)
	}
	if gone := q.confirm(2); len(gone) != 2 || string(gone[1].text) != "1" {
		t.Errorf("%v", gone)
	}
	if gone := q.confirm(1); gone != nil {
		t.Errorf("confirmed twice: %v", gone)
	}
	put(t, q, from, "3")
	if n := q.rewind(); n != 2 {
		t.Errorf("%d lines were confirmed", n)
	}
	if got := next(t, q); got != "23" {
		t.Errorf("%q", got)
	}
	if m, _ := q.beyond(t.Context(), 2); m != (mark{4, 2}) {
		t.Errorf("%v", m)
	}
	q.confirm(4)
	if c := q.counts(); c != (queueCount{Sent: 4}) || q.aloft != 0 {
		t.Errorf("%+v", c)
	}
	q.close()
	if _, err := q.next(t.Context(), nil); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	must(t, q.done(t.Context()))
}

func TestAFullQueueWaitsForRoomAndThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, from := newQueue(1000), newTail(t)
		for range 5 {
			put(t, q, from, strings.Repeat("x", 100))
		}
		l := line{text: []byte(strings.Repeat("y", 100)), from: from}
		begun := time.Now()
		if _, err := q.put(t.Context(), l, false); !errors.Is(err, errFull) || time.Since(begun) != patience {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		stop := errors.New("stop")
		go func() {
			synctest.Wait()
			cancel(stop)
		}()
		if _, err := q.put(ctx, l, false); !errors.Is(err, stop) {
			t.Error(err)
		}

		roomy := make(chan time.Time)
		go func() {
			if err := q.room(t.Context()); err != nil {
				t.Error(err)
			}
			roomy <- time.Now()
		}()
		synctest.Wait()
		go func() {
			time.AfterFunc(time.Second, func() {
				next(t, q)
				q.confirm(1)
			})
			time.AfterFunc(2*time.Second, func() { q.confirm(4) })
		}()
		begun = time.Now()
		if _, err := q.put(t.Context(), l, false); err != nil || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		if at := <-roomy; at.Sub(begun) != 2*time.Second {
			t.Errorf("half empty after %v", at.Sub(begun))
		}
	})
}

func TestAFullQueueDropsTheOldestThatAreNotOnTheirWay(t *testing.T) {
	q, from := newQueue(1000), newTail(t)
	text := func(i int) string { return fmt.Sprint(i) + strings.Repeat("x", 199) }
	put(t, q, from, text(0))
	next(t, q)
	put(t, q, from, text(1))
	put(t, q, from, text(2))
	gone, err := q.put(t.Context(), line{text: []byte(text(3)), from: from}, true)
	if err != nil || len(gone) != 1 || string(gone[0].text) != text(1) {
		t.Fatalf("%v %v", gone, err)
	}
	if c := q.counts(); c.Dropped != 1 || c.Waiting != 3 || c.Bytes > 1000 {
		t.Errorf("%+v", c)
	}
	q.rewind()
	if got := next(t, q); got != text(0)+text(2)+text(3) {
		t.Errorf("%.10q", got)
	}
}

// Lines that were filtered out keep their place, so that the state never runs ahead of
// what was sent; they cost no packet.
func TestFilteredLinesAreDoneWhenWhatWasBeforeThemIs(t *testing.T) {
	q, from := newQueue(1<<20), newTail(t)
	silent := line{from: from, instant: instant{5, 1}}
	if gone, err := q.put(t.Context(), silent, false); err != nil || len(gone) != 1 {
		t.Errorf("with nothing before it: %v %v", gone, err)
	}
	put(t, q, from, "a")
	if gone, err := q.put(t.Context(), silent, false); err != nil || gone != nil {
		t.Errorf("with a line before it: %v %v", gone, err)
	}
	if got := next(t, q); got != "a" {
		t.Errorf("%q", got)
	}
	if gone := q.confirm(q.all()); len(gone) != 2 {
		t.Errorf("%v", gone)
	}
	if c := q.counts(); c != (queueCount{Sent: 1}) {
		t.Errorf("%+v", c)
	}
}

func TestNoMoreIsOnItsWayThanIsToBe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, from := newQueue(8<<20), newTail(t)
		for range 200 {
			put(t, q, from, strings.Repeat("x", 20_000))
		}
		sent := 0
		go func() {
			for {
				p, err := q.next(t.Context(), nil)
				if err != nil {
					return
				}
				q.wrote(p)
				sent += len(p)
			}
		}()
		synctest.Wait()
		if sent < inFlight-packet || sent > inFlight+packet {
			t.Errorf("%d bytes", sent)
		}
		before := sent
		q.confirm(10)
		synctest.Wait()
		if sent <= before || sent > inFlight+packet+200_000 {
			t.Errorf("after a confirmation %d bytes", sent)
		}
	})
}

func TestLinesLookAsAskedFor(t *testing.T) {
	p := part{instant: instant{t: 1767323045000000001, n: 1}, stream: stderr, text: []byte("a <b> \xff")}
	for name, test := range map[string]struct {
		format format
		want   string
	}{
		"plain":  {plain, "a <b> \xff\n"},
		"prefix": {prefix, "web | a <b> \xff\n"},
		"json":   {asJSON, `{"time":"2026-01-02T03:04:05.000000001Z","container":"web","stream":"stderr","line":"a <b> \ufffd"}` + "\n"},
	} {
		if got := string(test.format("web", p)); got != test.want {
			t.Errorf("%s: %q, not %q", name, got, test.want)
		}
	}
}

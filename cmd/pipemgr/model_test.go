package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"regexp"
	"testing"
	"time"
)

// A modelLog is a container's log as Docker keeps it, in the order in which it was
// written.
type modelLog struct {
	tty     bool
	entries []entry
	lines   []wanted // that are in it, in the order of their ends
}

type wanted struct {
	stream stream
	text   string
}

// line writes a line whose entries have the time t; between is called between two
// pieces of it.
func (m *modelLog) line(s stream, t int64, text string, between func()) {
	end := "\n"
	if m.tty {
		end = "\r\n"
	}
	rest := []byte(text + end)
	for len(rest) > pieceSize {
		m.entries = append(m.entries, entry{t, s, rest[:pieceSize]})
		rest = rest[pieceSize:]
		between()
	}
	m.entries = append(m.entries, entry{t, s, rest})
	m.lines = append(m.lines, wanted{s, text})
}

// open is the answer to a request for the log since a time. It breaks off after so
// many bytes, or ends when it has no more.
func (m *modelLog) open(since int64, cut int) (log io.Reader, whole bool) {
	var b bytes.Buffer
	for _, e := range m.entries {
		if e.time < since {
			continue
		}
		stamp := time.Unix(0, e.time).UTC().Format("2006-01-02T15:04:05.000000000Z07:00 ")
		if !m.tty {
			head := [8]byte{byte(e.stream) + 1}
			binary.BigEndian.PutUint32(head[4:], uint32(len(stamp)+len(e.text)))
			b.Write(head[:])
		}
		b.WriteString(stamp)
		b.Write(e.text)
	}
	if cut >= b.Len() {
		return &b, true
	}
	return io.MultiReader(io.LimitReader(&b, int64(cut)), broken{}), false
}

// broken is a connection that broke.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// newTail is a tail without a Docker, on a queue of its own.
func newTail(t testing.TB) *tail {
	log := discard()
	pipe := &pipeline{queue: newQueue(1 << 30), log: log, losses: &losses{log: log}, format: plain}
	return &tail{id: "c", pipe: pipe, filter: regexp.MustCompile(""), tty: false}
}

// sent takes everything out of the tail's queue and confirms it.
func sent(t testing.TB, from *tail) (lines []string) {
	q := from.pipe.queue
	for q.bytes > 0 {
		packet, err := q.next(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.wrote(packet)
		for _, l := range q.confirm(q.all()) {
			l.from.confirm(l.instant)
			if l.text != nil {
				lines = append(lines, string(l.text[:len(l.text)-1]))
			}
		}
	}
	return lines
}

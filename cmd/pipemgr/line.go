package main

import "bytes"

const (
	// pieceSize is where Docker cuts a line: each entry of its log but the last of
	// a line has exactly so many bytes.
	pieceSize = 16 << 10
	// maxLine is where pipemgr cuts a line that is longer, so that one without an
	// end is not held whole. The parts are lines of their own.
	maxLine = 256 << 10
)

// An entry is what Docker keeps of one write to its log: a line, or a piece of
// one. The pieces of a line have the same time.
type entry struct {
	time   int64  // nanoseconds, as the Docker machine's clock had it
	stream stream // where it was written
	text   []byte // with the line's end, if it is there; valid during the call it is passed to
}

type stream byte

const (
	stdout stream = iota
	stderr
	streams // how many there are
)

func (s stream) String() string { return [...]string{"stdout", "stderr"}[s] }

// A partial is the line that a stream of a container is in the middle of. A zero
// partial is none.
type partial struct {
	instant        // the entries of the line so far
	due     int    // those of them that no line given out covers yet
	buf     []byte // the text of these
}

// A part is a line as it goes out, without its end, and the n entries it covers.
type part struct {
	instant
	stream stream
	text   []byte
	silent bool // nothing goes out: a line that was cut at maxLine had its end there
}

// join gives out what an entry completes: at first, if another line was begun,
// that line's rest, then the entry's own line, once it is at its end or too long.
// take has to return nil for each; with its error join ends, and has changed
// nothing since the last line taken, so that the same entry can come once more.
func (p *partial) join(e entry, take func(part) error) error {
	if p.n > 0 && p.t != e.time {
		if err := p.finish(e.stream, take); err != nil {
			return err
		}
	}
	text, ended := bytes.CutSuffix(e.text, []byte("\n"))
	// An entry that is shorter than a piece was the last of its line even without a
	// line's end: the driver 'local' drops the end of a line in pieces, and a
	// container may stop in the middle of a line.
	whole := ended || len(e.text) < pieceSize
	if whole || len(p.buf)+len(text) >= maxLine {
		done := part{instant: instant{e.time, p.due + 1}, stream: e.stream, text: append(p.buf, text...)}
		if ended { // a terminal ends lines with CR LF
			done.text = bytes.TrimSuffix(done.text, []byte("\r"))
		}
		done.silent = len(done.text) == 0 && p.n > p.due
		if err := take(done); err != nil {
			return err
		}
		p.due, p.buf = 0, nil
	} else {
		p.due, p.buf = p.due+1, append(p.buf, text...)
	}
	p.t, p.n = e.time, p.n+1
	if whole {
		*p = partial{}
	}
	return nil
}

// finish gives out what there is of a line that does not go on.
func (p *partial) finish(s stream, take func(part) error) error {
	if p.due > 0 {
		if err := take(part{instant: instant{p.t, p.due}, stream: s, text: p.buf}); err != nil {
			return err
		}
	}
	*p = partial{}
	return nil
}

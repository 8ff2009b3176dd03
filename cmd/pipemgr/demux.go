package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
)

// errNoTime is the error of a log that is not what Docker writes.
var errNoTime = errors.New("the log has an entry without a time")

// readLog reads a log that was asked for with timestamps, until it ends, which is
// no error, or breaks, or each returns an error. tty is whether the container has
// a terminal.
func readLog(r io.Reader, tty bool, each func(entry) error) error {
	if tty {
		return readRaw(r, each)
	}
	_, err := stdcopy.StdCopy(frames{stdout, each}, frames{stderr, each}, r)
	return err
}

// frames takes one stream of a multiplexed log. Docker makes each entry a frame of
// its own, and StdCopy each frame one Write.
type frames struct {
	stream stream
	each   func(entry) error
}

func (f frames) Write(frame []byte) (int, error) {
	stamp, text, ok := bytes.Cut(frame, []byte(" "))
	if !ok {
		return 0, errNoTime
	}
	t, err := parseTime(stamp)
	if err != nil {
		return 0, err
	}
	if err := f.each(entry{t, f.stream, text}); err != nil {
		return 0, err
	}
	return len(frame), nil
}

func parseTime(stamp []byte) (int64, error) {
	t, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return 0, fmt.Errorf("%w, but %.40q", errNoTime, stamp)
	}
	return t.UnixNano(), nil
}

// stampSize is the most that a time with the space behind it takes:
// 2006-01-02T15:04:05.000000000+07:00.
const stampSize = 36

// readRaw reads the log of a container with a terminal: there is one stream, and
// nothing but line ends tells where an entry ends. A line longer than pieceSize has
// the next entry's time in its middle, at exactly that place; a time anywhere else
// is the container's own text. So what stopped in the middle of a line and what
// ran after it are one line when both are read from history at once.
func readRaw(r io.Reader, each func(entry) error) error {
	b := bufio.NewReaderSize(r, pieceSize)
	var t int64
	piece := false // the last entry was one
	for {
		stamp, err := peekStamp(b)
		if len(stamp) == 0 {
			return ended(err)
		}
		switch next, wrong := parseTime(stamp[:len(stamp)-1]); {
		case wrong == nil:
			t = next
			_, _ = b.Discard(len(stamp))
		case ended(err) != nil:
			return err
		case !piece:
			return wrong
		}
		text, err := readPiece(b)
		if err != nil {
			return err
		}
		piece = len(text) == pieceSize && text[len(text)-1] != '\n'
		if err := each(entry{t, stdout, text}); err != nil {
			return err
		}
	}
}

// peekStamp returns what comes up to the first space, or where no time can be. It
// waits for no more than it needs: the next line may be an hour away.
func peekStamp(b *bufio.Reader) ([]byte, error) {
	for n := 1; ; n++ {
		_, err := b.Peek(n)
		n = min(b.Buffered(), stampSize)
		head, _ := b.Peek(n)
		if i := bytes.IndexAny(head, " \n"); i >= 0 {
			return head[:i+1], nil
		}
		if err != nil || n == stampSize {
			return head, err
		}
	}
}

// readPiece reads to the end of the line or of the log, and no further than a
// piece goes. Of an entry that breaks off it returns nothing, for it comes again.
func readPiece(b *bufio.Reader) ([]byte, error) {
	for n := 1; ; n++ {
		_, err := b.Peek(n)
		n = min(b.Buffered(), pieceSize)
		text, _ := b.Peek(n)
		switch end := bytes.IndexByte(text, '\n') + 1; {
		case end > 0:
			n = end
		case ended(err) != nil:
			return nil, err
		case err == nil && n < pieceSize:
			continue
		}
		_, _ = b.Discard(n)
		return text[:n], nil
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

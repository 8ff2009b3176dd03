package bench

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// A benchmark's message is one line of text without a line end:
//
//	[b RUN N SIZE].........[e RUN N]
//
// SIZE bytes in all, of letters, digits, dots and brackets only, so that relays may
// wrap it in JSON, or put lines around it, without changing it.
const (
	benchHead = "[b %s %d %d]"
	benchTail = "[e %s %d]"
	// leastSize is the size that every head and tail fits into.
	leastSize = 64
)

// numbered makes message n of a run.
func numbered(run string, n, size int) io.Reader {
	head, tail := fmt.Sprintf(benchHead, run, n, size), fmt.Sprintf(benchTail, run, n)
	return io.MultiReader(strings.NewReader(head), io.LimitReader(dots{}, int64(size-len(head)-len(tail))), strings.NewReader(tail))
}

type dots struct{}

func (dots) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '.'
	}
	return len(p), nil
}

// A scanner finds the messages of one run in a stream. What else is in it is
// passed over.
type scanner struct {
	r    *bufio.Reader
	mark string // what a head begins with, after its bracket
	run  string
}

func scan(r io.Reader, run string) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 32<<10), mark: "b " + run + " ", run: run}
}

// errDamaged is the error of a message that is not as it was sent. The next one can
// be looked for.
var errDamaged = errors.New("a message is damaged")

// next returns the number of the next message, when its last byte is there. io.EOF
// is the end of the stream between messages, io.ErrUnexpectedEOF one within.
func (s *scanner) next() (int, error) {
	for {
		if _, err := s.r.ReadSlice('['); errors.Is(err, bufio.ErrBufferFull) {
			continue
		} else if err != nil {
			return 0, err
		}
		begun, err := s.r.Peek(len(s.mark))
		if string(begun) == s.mark {
			return s.message()
		}
		if err != nil && (!errors.Is(err, io.EOF) || strings.HasPrefix(s.mark, string(begun)) && len(begun) > 0) {
			return 0, inMidst(err)
		}
	}
}

// message reads a message whose first bracket is behind.
func (s *scanner) message() (int, error) {
	line, err := s.r.ReadSlice(']')
	if errors.Is(err, bufio.ErrBufferFull) {
		return 0, errDamaged
	}
	if err != nil {
		return 0, inMidst(err)
	}
	head := "[" + string(line)
	words := strings.Fields(strings.TrimSuffix(head[len("[")+len(s.mark):], "]"))
	if len(words) != 2 {
		return 0, errDamaged
	}
	n, nErr := strconv.Atoi(words[0])
	size, sizeErr := strconv.Atoi(words[1])
	tail := fmt.Sprintf(benchTail, s.run, n)
	filler := size - len(head) - len(tail)
	if nErr != nil || sizeErr != nil || filler < 0 {
		return 0, errDamaged
	}
	whole := true
	for filler > 0 {
		part, err := s.r.Peek(min(filler, 16<<10))
		if err != nil {
			return n, inMidst(err)
		}
		whole = whole && bytes.Count(part, []byte(".")) == len(part)
		s.r.Discard(len(part)) //nolint:errcheck // it was looked at
		filler -= len(part)
	}
	end := make([]byte, len(tail))
	if _, err := io.ReadFull(s.r, end); err != nil {
		return n, inMidst(err)
	}
	if !whole || string(end) != tail {
		return n, errDamaged
	}
	return n, nil
}

func inMidst(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

package tunnel

import (
	"bufio"
	"fmt"
	"io"
	"sync"
)

// inlet is one read half of a stream: the body of a request or of a response.
type inlet struct {
	// stop interrupts a read under way, for good. It may be called at any time and
	// from anywhere until leave has returned.
	stop func()

	mu sync.Mutex // held while r is read
	r  *bufio.Reader

	open chan struct{} // closed when the hand-over to it is complete
	done chan struct{} // closed when its end has been read
	err  error         // why it is done; nil is a proper end
}

func newInlet(r io.Reader, stop func()) *inlet {
	return &inlet{r: bufio.NewReaderSize(r, 32<<10), stop: stop, open: make(chan struct{}), done: make(chan struct{})}
}

// expect reads one line of the hand-over, and not a byte past the first wrong one.
func (in *inlet) expect(line string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i := range len(line) {
		if in.r == nil {
			return fmt.Errorf("%w: the stream ended before its %s", ErrProtocol, line[:len(line)-1])
		}
		switch c, err := in.r.ReadByte(); {
		case err != nil:
			return fmt.Errorf("%w: the stream ended before its %s", ErrProtocol, line[:len(line)-1])
		case c != line[i]:
			return fmt.Errorf("%w: expected the line %s", ErrProtocol, line[:len(line)-1])
		}
	}
	return nil
}

// read is called by the stream alone.
func (in *inlet) read(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.r == nil {
		return 0, io.ErrClosedPipe
	}
	return in.r.Read(p)
}

// leave interrupts whoever reads and keeps everybody from reading again: after
// it, the body belongs to the caller.
func (in *inlet) leave() {
	select {
	case <-in.done: // nobody reads any more, and what carried it is as good as new
		return
	default:
	}
	in.stop()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.r = nil
}

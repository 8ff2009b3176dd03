package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// bufferSize is what one direction of a join carries at a time.
const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Join copies between a and b until both directions have ended, and closes both.
// The end of one direction is passed on with CloseWrite while the other goes on;
// an end without CloseWrite is closed. A direction that fails, rather than ends,
// takes the other with it once nothing more can arrive. When ctx ends, both are
// closed at once. An end's Close may be called several times, from several
// goroutines.
//
// Join returns when no goroutine of its own is left: nil after two proper ends,
// else the joined errors of the directions, or ctx's cause.
func Join(ctx context.Context, a, b io.ReadWriteCloser) error {
	hangUp := func() { a.Close(); b.Close() }
	stop := context.AfterFunc(ctx, hangUp)
	var up, down error
	var wg sync.WaitGroup
	wg.Go(func() { up = half(b, a) })
	wg.Go(func() { down = half(a, b) })
	wg.Wait()
	hangUp()
	if !stop() {
		return context.Cause(ctx)
	}
	return errors.Join(up, down)
}

// half copies one direction and passes its end on.
func half(dst, src io.ReadWriteCloser) error {
	read, write := transfer(dst, src)
	switch {
	case read != nil:
		// The source broke off: dst is closed whole, which those that can tell the
		// two apart do not take for an end.
		dst.Close()
		src.Close()
	case write == nil:
		write = closeWrite(dst)
	}
	// After a failed write nothing is closed: dst may have said its last words,
	// and they are on their way in the other direction, which ends by itself.
	return errors.Join(read, write)
}

// transfer copies until src ends or one of them fails, and says which of them
// did.
func transfer(dst io.Writer, src io.Reader) (read, write error) {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 { // also together with an error
			if _, write = dst.Write(buf[:n]); write != nil {
				return nil, write
			}
		}
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return err, nil
		}
	}
}

func closeWrite(w io.WriteCloser) error {
	if half, ok := w.(interface{ CloseWrite() error }); ok {
		err := half.CloseWrite()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
			return nil // it is more than half closed
		}
		return err
	}
	return w.Close()
}

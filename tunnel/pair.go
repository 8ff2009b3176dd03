package tunnel

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// read is the half of a pair that the client reads: the response carries the
// stream from here to there.
func (s *SendIt) read(w http.ResponseWriter, r *http.Request) error {
	x, err := s.session(r)
	if err != nil {
		return err
	}
	if !x.reading.CompareAndSwap(false, true) {
		return &statusError{http.StatusConflict, "there is a read stream already that waits for its write stream"}
	}
	out := x.stream.newOutlet()
	defer out.Close()
	control := newControl(w)
	defer control.release()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.WriteHeader(http.StatusOK)
	err = control.Flush() // the client sends its other half when it has this
	if err == nil {
		err = meet(s, r, x, func(ctx context.Context) error {
			select {
			case x.halves <- out:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}
	x.reading.Store(false)
	if err == nil {
		defer context.AfterFunc(x.stream.ctx, control.bound)()
		defer context.AfterFunc(r.Context(), x.stream.broken)()
		err = pump(w, control, out)
	}
	if err != nil {
		if out.leads() { // whatever was taken from the stream and not delivered is missing now
			x.stream.broken()
		}
		panic(http.ErrAbortHandler) // an end would say that all has been sent
	}
	return nil
}

// meet waits for the other half, for as long as there is a session.
func meet(s *SendIt, r *http.Request, x *session, f func(context.Context) error) error {
	ctx, cancel := s.wait(r)
	defer cancel()
	defer context.AfterFunc(x.stream.ctx, cancel)()
	return f(ctx)
}

// pump writes what the outlet brings, as it comes.
func pump(w io.Writer, control *control, out *outlet) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := out.Read(buf)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if err := control.Flush(); err != nil {
			return err
		}
	}
}

// write is the half of a pair that the client writes: the request's body carries
// the stream from there to here.
func (s *SendIt) write(w http.ResponseWriter, r *http.Request) error {
	x, err := s.session(r)
	if err != nil {
		return err
	}
	if !x.writing.CompareAndSwap(false, true) {
		return &statusError{http.StatusConflict, "there is a write stream already that waits for its read stream"}
	}
	var out *outlet
	err = meet(s, r, x, func(ctx context.Context) error {
		select {
		case out = <-x.halves:
			return nil
		case <-ctx.Done():
			return &statusError{http.StatusRequestTimeout, "no read stream came to this write stream"}
		}
	})
	x.writing.Store(false)
	if err != nil {
		return err
	}
	control := newControl(w)
	in := newInlet(r.Body, control.interrupt)
	defer func() {
		in.leave()
		if control.release() && r.ProtoMajor == 1 {
			w.Header().Set("Connection", "close")
		}
	}()
	if err := x.stream.adopt(r.Context(), in, out); err != nil {
		if !x.established() {
			x.stream.end(err)
		}
		return err
	}
	if err := x.started(); err != nil {
		return err
	}
	select {
	case <-in.done:
		if in.err != nil {
			panic(http.ErrAbortHandler)
		}
	case <-x.stream.ctx.Done():
	}
	return nil
}

// started establishes the session with its first pair.
func (s *session) started() (err error) {
	s.once.Do(func() {
		if err = s.establish(); err != nil {
			s.stream.end(err)
		}
	})
	return err
}

// control is a response's controls as long as its handler runs: afterwards they
// belong to the next request of that connection.
type control struct {
	*http.ResponseController
	mu          sync.Mutex // held while a deadline is set
	over        bool
	bounded     bool
	interrupted bool
}

func newControl(w http.ResponseWriter) *control {
	return &control{ResponseController: http.NewResponseController(w)}
}

// do calls f unless the handler is over.
func (c *control) do(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		f()
	}
}

// release gives the connection back, and says whether it is spoiled for another
// request.
func (c *control) release() (spoiled bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.bounded {
		_ = c.SetWriteDeadline(time.Time{})
	}
	return c.interrupted
}

// bound gives whoever does not take what is written a moment more.
func (c *control) bound() {
	c.do(func() {
		c.bounded = true
		_ = c.SetWriteDeadline(time.Now().Add(lastWords))
	})
}

// interrupt ends a read of the body.
func (c *control) interrupt() {
	c.do(func() {
		c.interrupted = true
		_ = c.SetReadDeadline(time.Unix(1, 0))
	})
}

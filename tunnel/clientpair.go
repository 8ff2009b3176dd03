package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// pair opens both halves and hands the stream over to them. When it fails, the
// stream may go on with the pair it has.
func (c *client) pair(ctx context.Context) error {
	// The requests live as long as the stream, not as this call.
	reading, stopReading := context.WithCancelCause(c.stream.ctx)
	writing, stopWriting := context.WithCancelCause(context.WithoutCancel(ctx))
	drop := func(why error) {
		stopReading(why)
		stopWriting(why)
	}
	opening := context.AfterFunc(ctx, func() { drop(context.Cause(ctx)) })
	response, err := c.post(reading, "read", http.NoBody)
	if err != nil {
		opening()
		drop(err)
		return err
	}
	in, out := newInlet(response.Body, func() { stopReading(ErrLost) }), c.stream.newOutlet()
	c.posts.Go(func() {
		select {
		case <-in.done:
		case <-reading.Done():
		}
		in.leave()
		response.Body.Close()
	})
	c.posts.Go(func() {
		defer context.AfterFunc(c.stream.ctx, func() {
			if errors.Is(context.Cause(c.stream.ctx), io.ErrClosedPipe) {
				time.AfterFunc(lastWords, func() { stopWriting(nil) }) // the last words may be on their way
			} else {
				stopWriting(nil)
			}
		})()
		if err := c.write(writing, out); err != nil {
			drop(err)
			out.fail(err)
			if out.leads() {
				c.stream.end(err)
			}
		}
		stopWriting(nil)
	})
	if err = c.stream.adopt(ctx, in, out); err != nil {
		if reading.Err() != nil && c.stream.ctx.Err() == nil {
			err = context.Cause(reading) // what the write half heard
		}
		drop(err)
	}
	opening()
	return err
}

// write sends what the outlet brings, to its end.
func (c *client) write(ctx context.Context, out *outlet) error {
	answer, err := c.post(ctx, "write", out)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<10))
	answer.Body.Close()
	if !out.finished() {
		return fmt.Errorf("%w: it ended the write stream", ErrLost)
	}
	return nil
}

// replace gives the stream a fresh pair before each has reached its time.
func (c *client) replace() error {
	// The old pair ends only once the new one is complete, and the very limit is
	// for something between that counts more strictly than we do.
	every := c.o.MaxTTL * 4 / 5
	t := time.NewTicker(every)
	defer t.Stop()
	for failures := 0; ; {
		select {
		case <-t.C:
		case <-c.stream.ctx.Done():
			return nil
		}
		ctx, cancel := context.WithTimeout(c.stream.ctx, handOverLimit)
		err := c.pair(ctx)
		cancel()
		var refused *RefusedError
		switch {
		case c.stream.ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
			t.Reset(every)
		case failures == 2, errors.As(err, &refused) && refused.Status != http.StatusConflict:
			return err
		default: // nothing has changed: once more, soon
			failures++
			t.Reset(every / 10)
		}
	}
}

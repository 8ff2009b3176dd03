package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// A tail follows the log of one container, through all restarts of the container
// and of Docker.
type tail struct {
	id   string
	pipe *pipeline // where lines go

	// Of the goroutine that follows, which is one at a time.
	name    string
	tty     bool
	drop    bool // lines are dropped when the queue is full: its log may not wait
	filter  *regexp.Regexp
	read    cursor // read, and put into the queue
	partial [streams]partial
	unread  bool // it was not read to its end, as far as is known
	readOn  bool // more of it was read since it was opened last
	wanted  bool // as far as was seen last

	mu      sync.Mutex // guards what follows
	done    cursor     // read, and confirmed by the relay
	pending int        // entries read that are not confirmed

	trouble trouble
	seat    // of the watch
}

// follow reads the log from where it was left to its end, and returns nil when the
// container does not run any more or is gone. It returns errUnwanted, an errUnfit and
// ctx's cause; all other errors it sits out, for what is wrong with Docker itself ends
// ctx.
func (t *tail) follow(ctx context.Context, docker *client.Client) error {
	wait := backoff{first: 100 * time.Millisecond, most: 5 * time.Second}
	for {
		running, err := t.look(ctx, docker)
		if err == nil && !t.wanted {
			return errUnwanted
		}
		var lived time.Duration
		if err == nil {
			lived, err = t.stream(ctx, docker)
		}
		if err == nil && !running {
			err = t.finish(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, new(errUnfit)):
			t.unread = false // nobody wants to
			return err
		case errdefs.IsNotFound(err), errdefs.IsConflict(err): // removed, or about to be
			t.removed()
			return nil
		case errdefs.IsNotImplemented(err):
			t.unread = false
			return errUnfit{"Docker cannot read its log: " + err.Error()}
		case errors.Is(err, errFull):
			t.trouble.over()
			t.pipe.log.Debug("not reading on before there is room", "container", t.name)
			if err := t.pipe.queue.room(ctx); err != nil {
				return err
			}
		case err != nil && lived >= probation:
			t.pipe.log.Debug("a log broke off, opening it again", "container", t.name, "error", oneLine(err))
			wait.worked(lived)
			if err := wait.wait(ctx); err != nil {
				return err
			}
		case err != nil:
			if news := t.trouble.fail(err); news != "" {
				t.pipe.log.Warn("a log cannot be read at the moment, trying again", "container", t.name, "error", news)
			}
			if err := wait.wait(ctx); err != nil {
				return err
			}
		case !running: // when the log was opened: it has been read to its end
			t.trouble.over()
			return nil
		default: // it stopped, and may run again already
			t.trouble.over()
			wait.worked(lived)
			if err := wait.wait(ctx); err != nil {
				return err
			}
		}
	}
}

// stream opens the log where it was left and reads until it ends, which it does
// when the container stops, or breaks. It returns for how long the log was open.
func (t *tail) stream(ctx context.Context, docker *client.Client) (time.Duration, error) {
	seen := t.read.replay()
	log, err := docker.ContainerLogs(ctx, t.id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: true, Since: since(seen.since),
	})
	if err != nil {
		return 0, err
	}
	defer log.Close()
	t.trouble.open()
	t.readOn = false
	err = t.consume(ctx, log, seen)
	t.unread = err != nil
	return t.trouble.close(t.readOn), err
}

// removed tells, once, that something was lost with the container. Whether it was on
// the right network is not known of one that was removed at once.
func (t *tail) removed() {
	if t.unread && (t.wanted || t.pipe.networks == nil) {
		t.pipe.log.Warn("a container was removed before its log was read to the end; what was left is lost", "container", t.name, "id", t.shortID())
	}
	t.unread = false
}

func (t *tail) shortID() string { return t.id[:min(len(t.id), 12)] }

// consume reads a log to its end, but for what was read before.
func (t *tail) consume(ctx context.Context, log io.Reader, seen *replay) error {
	take := func(p part) error { return t.put(ctx, p) }
	err := readLog(log, t.tty, func(e entry) error {
		if seen.skip(e.time) {
			return nil
		}
		t.expect(1)
		if err := t.partial[e.stream].join(e, take); err != nil {
			t.expect(-1) // it will come again
			return err
		}
		t.readOn = true
		t.read.add(e.time, t.partial[stdout].instant, t.partial[stderr].instant)
		return nil
	})
	return errors.Join(err, context.Cause(ctx))
}

// finish passes on the lines that the container left without their end.
func (t *tail) finish(ctx context.Context) error {
	for s := range streams {
		if err := t.partial[s].finish(s, func(p part) error { return t.put(ctx, p) }); err != nil {
			return err
		}
	}
	return nil
}

// since is a time as Docker's API takes it.
func since(t int64) string {
	t = max(t, 0)
	return fmt.Sprintf("%d.%09d", t/int64(time.Second), t%int64(time.Second))
}

// put passes a line on to the relay.
func (t *tail) put(ctx context.Context, p part) error {
	l := line{from: t, instant: p.instant}
	if !p.silent && t.filter.Match(p.text) {
		l.text = t.pipe.format(t.name, p)
	}
	gone, err := t.pipe.queue.put(ctx, l, t.drop)
	if err != nil {
		return err
	}
	lost := 0
	for _, l := range gone {
		l.from.confirm(l.instant)
		if l.text != nil {
			lost++
		}
	}
	t.pipe.losses.add(lost)
	return nil
}

// confirm notes that entries need not be read again, not even by the next process.
func (t *tail) confirm(i instant) {
	t.mu.Lock()
	for range i.n {
		if i.n == 1 || i.t > t.done.floor { // else it is a long line that came late
			t.done.add(i.t)
		}
	}
	t.pending -= i.n
	t.mu.Unlock()
	t.pipe.state.touch()
}

func (t *tail) expect(entries int) {
	t.mu.Lock()
	t.pending += entries
	t.mu.Unlock()
}

// save returns how far the log was sent. now is Docker's time if nothing is unread
// that is in the log for longer than a moment, else 0.
func (t *tail) save(now int64) savedCursor {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.done
	if t.pending == 0 {
		c = c.settled(now)
	}
	return saveCursor(c)
}

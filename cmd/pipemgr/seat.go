package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/moby/moby/client"
)

// errUnwanted says that a container is not to be followed, as long as it does not come
// to one of the networks.
var errUnwanted = errors.New("the container is not wanted")

// A seat is what a watch knows of a tail. The watch's mu guards it.
type seat struct {
	following bool
	stop      context.CancelCauseFunc // of the look under way
	again     bool                    // something happened: when it has ended, it has to look again
	unfit     bool                    // it is not to be followed, which has been said
	gone      bool                    // the container was removed
}

// follow has a tail follow the container, if its labels ask for that: from where it
// was left, else from the given time. The name may be missing. It does not wait for
// anything.
func (w *watch) follow(ctx context.Context, tails *sync.WaitGroup, docker *client.Client, id, name string, labels map[string]string, from int64) {
	if on, err := enabled(labels); err == nil && !on || id == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tails[id]
	if !ok {
		start := cursor{floor: from - 1}
		t = &tail{id: id, name: name, pipe: w.pipe, read: start, done: start, unread: true}
		w.tails[id] = t
	}
	if t.unfit {
		return
	}
	if t.following {
		t.again = true
		return
	}
	t.following = true
	tails.Go(func() {
		for {
			look, stop := w.start(ctx, t)
			err := t.follow(look, docker)
			stop(nil)
			if !w.ended(ctx, t, err) {
				return
			}
		}
	})
}

func (w *watch) start(ctx context.Context, t *tail) (context.Context, context.CancelCauseFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.again = false
	look, stop := context.WithCancelCause(ctx)
	t.stop = stop
	return look, stop
}

// ended tells whether a tail that has stopped following has to look once more.
func (w *watch) ended(ctx context.Context, t *tail, err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if why := (errUnfit{}); errors.As(err, &why) {
		t.unfit = true
		w.log.Error("a container is not followed", "container", t.name, "id", t.shortID(), "why", oneLine(why))
	}
	if t.again && !t.unfit && ctx.Err() == nil {
		return true
	}
	t.following = false
	if t.gone || errors.Is(err, errUnwanted) { // where it is wanted again, it begins then
		delete(w.tails, t.id)
	}
	return false
}

// lookAgain finds out whether a container that was cut off from a network is wanted
// still, and has its tail stop if not. Meanwhile the tail reads on: the container may
// just have ended, and then it is disconnected before its log is read to the end. It
// does not wait for anything.
func (w *watch) lookAgain(ctx context.Context, tails *sync.WaitGroup, docker *client.Client, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tails[id]
	if !ok || !t.following || t.stop == nil { // or it will look for the first time
		return
	}
	stop := t.stop
	tails.Go(func() {
		if t.hasLeft(ctx, docker) {
			stop(errUnwanted)
		}
	})
}

// forget drops what is known of a container that was removed. What its tail has not
// read by then, it reads on.
func (w *watch) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tails[id]
	if !ok {
		return
	}
	t.gone = true
	if !t.following {
		t.removed()
		delete(w.tails, id)
	}
	w.pipe.state.touch()
}

// keepOnly forgets the containers that are not there.
func (w *watch) keepOnly(there map[string]bool) {
	var gone []string
	w.mu.Lock()
	for id := range w.tails {
		if !there[id] {
			gone = append(gone, id)
		}
	}
	w.mu.Unlock()
	for _, id := range gone {
		w.forget(id)
	}
}

// A watchCount is what /health tells of a watch.
type watchCount struct {
	Following int `json:"following"`
	Unfit     int `json:"not_followed"` // though their labels ask for it
}

func (w *watch) counts() (c watchCount) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range w.tails {
		if t.unfit || t.following && t.trouble.isStuck() {
			c.Unfit++
		} else if t.following {
			c.Following++
		}
	}
	return c
}

// keep writes the state whenever it was touched, not more often than once in
// saveEvery, until ctx ends.
func (w *watch) keep(ctx context.Context) {
	if w.pipe.state == nil {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		select {
		case <-w.pipe.state.touched:
		case <-ctx.Done():
			return
		}
		w.store()
		timer.Reset(saveEvery)
	}
}

// store writes the state. That it cannot is said once.
func (w *watch) store() {
	if w.pipe.state == nil {
		return
	}
	w.mu.Lock()
	saved := savedState{Alive: w.saved.Alive, Cursors: map[string]savedCursor{}}
	if w.known {
		saved.Alive = time.Now().Add(w.offset).UnixNano()
	}
	now := saved.Alive
	if docker, _ := w.status.get(); docker != nil {
		now = 0
	}
	for id, t := range w.tails {
		if !t.gone && !t.unfit {
			saved.Cursors[id] = t.save(now)
		}
	}
	w.mu.Unlock()
	switch err := w.pipe.state.write(saved); {
	case err == nil:
		w.unsaved = false
	case !w.unsaved:
		w.unsaved = true
		w.log.Error("cannot write down how far logs were sent; after a restart lines may come twice", "error", oneLine(err))
	}
}

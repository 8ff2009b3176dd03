package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

const (
	pingEvery = 30 * time.Second // of a connection to Docker that is silent
	pingLimit = 10 * time.Second
)

// A watch keeps a tail for every container that wants one, and with them the
// connection to Docker. Containers that started and stopped while there was none
// are found in the list of all containers, so that no event need be remembered.
type watch struct {
	pipe   *pipeline
	status *status
	log    *slog.Logger
	begun  time.Time     // when pipemgr started
	back   time.Duration // how far back to read at the very first start; below 0 is all

	mu     sync.Mutex // guards what follows
	tails  map[string]*tail
	saved  savedState
	known  bool          // Docker's clock is known: epoch and offset are set
	epoch  int64         // where logs that have no cursor begin
	offset time.Duration // of Docker's clock to that of this machine

	brief   bool // of run: the last connection did not last for a probation
	unsaved bool // of keep, then of run: the state cannot be written, which was said
}

// newWatch begins where the state says.
func newWatch(pipe *pipeline, s *status, begun time.Time, back time.Duration, saved savedState) *watch {
	w := &watch{pipe: pipe, status: s, log: pipe.log, begun: begun, back: back, tails: map[string]*tail{}, saved: saved}
	for id, c := range saved.Cursors {
		w.tails[id] = &tail{id: id, pipe: pipe, read: c.cursor(), done: c.cursor()}
	}
	return w
}

// run follows until ctx ends, and has all tails at rest when it returns.
func (w *watch) run(ctx context.Context) {
	wait := backoff{first: 250 * time.Millisecond, most: 2 * time.Second}
	for {
		err := w.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		wait.worked(w.status.setDocker(err))
		if wait.wait(ctx) != nil {
			return
		}
	}
}

// connection works with Docker until that breaks or ctx ends.
func (w *watch) connection(ctx context.Context) error {
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer docker.Close()
	if err := ping(ctx, docker, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return notThere(docker.DaemonHost(), err)
	}
	now := w.synchronize(dockerTime(ctx, docker))

	ctx, cancel := context.WithCancel(ctx)
	var tails sync.WaitGroup
	defer tails.Wait()
	what := client.Filters{}.Add("type", "container").Add("event", "start", "destroy")
	if w.pipe.networks != nil {
		what.Add("type", "network").Add("event", "connect", "disconnect")
	}
	// Since now, for Docker answers the request before it begins to collect events.
	happened := docker.Events(ctx, client.EventsListOptions{Since: since(now), Filters: what})
	defer func() {
		for range happened.Err { // closed when its goroutine has ended
		}
	}()
	defer cancel()

	list, err := docker.ContainerList(ctx, client.ContainerListOptions{
		All: true, Filters: client.Filters{}.Add("label", labelEnable),
	})
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, c := range list.Items {
		there[c.ID] = true
		w.follow(ctx, &tails, docker, c.ID, "", c.Labels, w.epoch)
	}
	w.keepOnly(there)
	// After a connection that ended at once, as where a proxy refuses the events, it
	// is believed later, or each try would be told as a success and a failure.
	begun := time.Now()
	stands := time.NewTimer(0)
	if w.brief {
		stands.Reset(probation)
	}
	defer stands.Stop()
	defer func() { w.brief = time.Since(begun) < probation }()

	silent := time.NewTicker(pingEvery)
	defer silent.Stop()
	for {
		select {
		case e := <-happened.Messages:
			w.event(ctx, &tails, docker, e)
		case err := <-happened.Err:
			return fmt.Errorf("the event stream has ended: %w", err)
		case <-stands.C:
			w.status.setDocker(nil)
		case <-silent.C:
			if err := ping(ctx, docker, client.PingOptions{}); err != nil {
				return err
			}
		}
	}
}

func ping(ctx context.Context, docker *client.Client, o client.PingOptions) error {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	_, err := docker.Ping(ctx, o)
	return err
}

// dockerTime is the time on the Docker machine. Where Docker does not tell, as
// behind a proxy that allows only some calls, it is taken to be that of this one.
func dockerTime(ctx context.Context, docker *client.Client) time.Time {
	ctx, cancel := context.WithTimeout(ctx, pingLimit)
	defer cancel()
	found, err := docker.Info(ctx, client.InfoOptions{})
	if err != nil {
		return time.Now()
	}
	now, err := time.Parse(time.RFC3339Nano, found.Info.SystemTime)
	if err != nil {
		return time.Now()
	}
	return now
}

// synchronize notes what time it is for Docker, and the first time where logs
// begin that have no cursor.
func (w *watch) synchronize(docker time.Time) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offset = time.Until(docker)
	if !w.known {
		w.known = true
		switch {
		case w.saved.Alive > 0:
			w.epoch = w.saved.Alive
		case w.back >= 0:
			w.epoch = w.begun.Add(w.offset - w.back).UnixNano()
		}
	}
	return docker.UnixNano()
}

func (w *watch) event(ctx context.Context, tails *sync.WaitGroup, docker *client.Client, e events.Message) {
	switch {
	case e.Type == events.ContainerEventType && e.Action == events.ActionStart:
		w.follow(ctx, tails, docker, e.Actor.ID, e.Actor.Attributes["name"], e.Actor.Attributes, w.epoch)
	case e.Type == events.ContainerEventType && e.Action == events.ActionDestroy:
		w.forget(e.Actor.ID)
	case e.Type == events.NetworkEventType && e.Action == events.ActionConnect:
		// What it wrote before it came to the network is not asked for. Its labels
		// are not said here; the tail reads them.
		labels := map[string]string{labelEnable: "true"}
		if slices.Contains(w.pipe.networks, e.Actor.Attributes["name"]) {
			w.follow(ctx, tails, docker, e.Actor.Attributes["container"], "", labels, e.TimeNano)
		}
	case e.Type == events.NetworkEventType && e.Action == events.ActionDisconnect:
		if slices.Contains(w.pipe.networks, e.Actor.Attributes["name"]) {
			w.lookAgain(ctx, tails, docker, e.Actor.Attributes["container"])
		}
	}
}

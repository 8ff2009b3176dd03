package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/client"
)

// That a container was cut off from its network does not tell that it is wanted no more:
// so it is when it ends, or is removed, and what is left of its log is to be read.
func TestALogIsReadOnWhileDockerIsAskedWhetherItsContainerHasLeft(t *testing.T) {
	for name, test := range map[string]struct {
		off    bool
		looked []int
		reads  int // logs that are read afterwards
	}{
		"it ended":        {false, nil, 1},
		"it is removed":   {true, []int{http.StatusNotFound}, 1},
		"is being so":     {true, []int{http.StatusConflict}, 1},
		"it left":         {true, nil, 0},
		"at second sight": {true, []int{http.StatusInternalServerError}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &cuttingDocker{open: func(int) cutLog { return cutLog{lasts: time.Hour, lines: 1, err: io.EOF} }}
				docker, err := client.New(client.WithHTTPClient(&http.Client{Transport: d}), client.WithAPIVersion(client.MaxAPIVersion))
				must(t, err)
				pipe := newTail(t).pipe
				pipe.networks, pipe.looking = []string{"mine"}, make(chan struct{}, 1)
				w := newWatch(pipe, newStatus(pipe.log), time.Now(), 0, savedState{})
				ctx, stop := context.WithCancel(t.Context())
				var tails sync.WaitGroup
				w.follow(ctx, &tails, docker, "c", "cut", map[string]string{labelEnable: "true"}, 0)
				synctest.Wait()
				if n := w.counts().Following; n != 1 || d.asked != 1 {
					t.Errorf("%d logs are read, opened %d times", n, d.asked)
				}
				d.off, d.looked = test.off, test.looked
				w.lookAgain(ctx, &tails, docker, "c")
				<-time.After(time.Minute)
				synctest.Wait()
				if n := w.counts().Following; n != test.reads || len(w.tails) != test.reads || d.asked != 1 || len(d.looked) > 0 {
					t.Errorf("%d logs are read, opened %d times; the answers %v were not asked for", n, d.asked, d.looked)
				}
				stop()
				tails.Wait()
			})
		})
	}
}

// The tail finds out that the container is gone, and then Docker tells it.
func TestALogThatIsGoneUnreadIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &cuttingDocker{looked: []int{http.StatusNotFound}}
		docker, err := client.New(client.WithHTTPClient(&http.Client{Transport: d}), client.WithAPIVersion(client.MaxAPIVersion))
		must(t, err)
		pipe := newTail(t).pipe
		var log bytes.Buffer
		pipe.log, pipe.looking = slog.New(slog.NewTextHandler(&log, nil)), make(chan struct{}, 1)
		w := newWatch(pipe, newStatus(pipe.log), time.Now(), 0, savedState{})
		var tails sync.WaitGroup
		w.follow(t.Context(), &tails, docker, "c", "hasty", map[string]string{labelEnable: "true"}, 0)
		tails.Wait()
		w.forget("c")
		wantMatches(t, log.String(), `what was left is lost" container=hasty`, 1)
		if len(w.tails) > 0 {
			t.Error("it is not forgotten")
		}
	})
}

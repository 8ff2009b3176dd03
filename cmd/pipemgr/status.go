package main

import (
	"errors"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

var errNotYet = errors.New("not connected yet")

// A status knows how the two connections stand, and tells the log when that
// changes: once for an outage, and again when its reason is another one.
type status struct {
	log *slog.Logger

	mu            sync.Mutex // guards what follows
	docker, relay standing
}

// A standing is how one of them stands.
type standing struct {
	err   error // nil is connected
	since time.Time
}

func newStatus(log *slog.Logger) *status {
	return &status{log: log, docker: standing{err: errNotYet}, relay: standing{err: errNotYet}}
}

// setDocker and setRelay say how a connection stands now, and return for how long it
// had been up.
func (s *status) setDocker(err error) time.Duration { return s.set("Docker", &s.docker, err) }
func (s *status) setRelay(err error) time.Duration  { return s.set("the relay", &s.relay, err) }

// ends are the two sides of a connection in an error of the network: ADDRESS:PORT of this
// one, "->", and that of the other one.
var ends = regexp.MustCompile(`(^|\s)` + end + `->(` + end + `)`)

const end = `(?:[0-9.]+|\[[0-9A-Fa-f:.]+(?:%[^\]\s]+)?\]):[0-9]+`

// withoutOwnEnd leaves out this side, whose port is another one with each try.
func withoutOwnEnd(err error) error {
	return errors.New(ends.ReplaceAllString(err.Error(), "$1$2"))
}

func (s *status) set(who string, at *standing, err error) (up time.Duration) {
	if err != nil {
		err = withoutOwnEnd(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	was := *at
	*at = standing{err, time.Now()}
	switch {
	case err == nil && was.err != nil:
		s.log.Info("connected", "to", who)
	case err != nil && was.err == nil:
		up = time.Since(was.since)
		s.log.Warn("not connected any more, trying again", "to", who, "error", oneLine(err))
	case err != nil && was.err.Error() != err.Error():
		s.log.Warn("not connected, trying again", "to", who, "error", oneLine(err))
	}
	return up
}

func (s *status) get() (docker, relay error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.docker.err, s.relay.err
}

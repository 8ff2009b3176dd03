package main

import (
	"errors"
	"log/slog"
	"sync"
)

var errNotYet = errors.New("not connected yet")

// A status knows how the two connections stand, and tells the log when that
// changes: once for an outage, and again when its reason is another one.
type status struct {
	log *slog.Logger

	mu            sync.Mutex // guards what follows
	docker, relay error      // nil is connected
}

func newStatus(log *slog.Logger) *status {
	return &status{log: log, docker: errNotYet, relay: errNotYet}
}

func (s *status) setDocker(err error) { s.set("Docker", &s.docker, err) }
func (s *status) setRelay(err error)  { s.set("the relay", &s.relay, err) }

func (s *status) set(who string, at *error, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := *at
	*at = err
	switch {
	case err == nil && was != nil:
		s.log.Info("connected", "to", who)
	case err != nil && (was == nil || was.Error() != err.Error()):
		s.log.Warn("not connected, trying again", "to", who, "error", oneLine(err))
	}
}

func (s *status) get() (docker, relay error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.docker, s.relay
}

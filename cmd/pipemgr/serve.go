package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// serve follows logs until ctx ends. Then, in this order: nothing more is read, what
// is held is sent within the flush timeout, and what was sent is written down. It
// returns an error only if it cannot start.
func serve(ctx context.Context, cfg config, stderr io.Writer) error {
	begun := time.Now()
	log := newLogger(cfg, stderr)
	key, err := loadKey(cfg.key, os.Getenv("HOME"), os.Getenv(passphraseEnv))
	if err != nil {
		return err
	}
	if err := checkDocker(os.Getenv); err != nil {
		return err
	}
	kept, saved, err := recall(cfg, log)
	if err != nil {
		return err
	}
	defer kept.close()

	s := newStatus(log)
	q := newQueue(cfg.buffer)
	lost := &losses{log: log}
	pipe := &pipeline{queue: q, state: kept, log: log, losses: lost, networks: cfg.networks, format: cfg.format, drop: cfg.drop,
		looking: make(chan struct{}, 8)}
	w := newWatch(pipe, s, begun, cfg.since, saved)
	hosts := &hostKeys{log: log, pinned: cfg.hostKeys, file: cfg.knownHosts}
	if kept != nil {
		hosts.learned = filepath.Join(kept.dir, "known_hosts")
	}
	l := &link{relay: cfg.relay, command: cfg.command, key: key, hosts: hosts, queue: q, losses: lost, status: s, log: log}

	stopHealth, err := serveHealth(cfg.health, log, func() health { return newHealth(s, w.counts(), q.counts()) })
	if err != nil {
		return err
	}
	defer stopHealth()
	log.Info("started", "relay", cfg.relay.user+"@"+cfg.relay.addr, "command", cfg.command, "version", version())

	// The link outlives ctx, by the flush timeout.
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var link, keeper sync.WaitGroup
	link.Go(func() { l.run(sending) })
	keeper.Go(func() { w.keep(sending) })
	w.run(ctx)
	log.Info("stopping", "flush_timeout", cfg.flushTimeout)
	q.close()
	timer := time.AfterFunc(cfg.flushTimeout, cut)
	defer timer.Stop()
	link.Wait()
	cut()
	keeper.Wait()

	lost.flush()
	if c := q.counts(); c.Waiting > 0 {
		log.Warn("lines were left when the flush timeout was over", "lines", c.Waiting, "sent_after_the_next_start", kept != nil)
	}
	w.store()
	return nil
}

// recall opens the state, where one is wanted, and reads it. A folder that nobody
// named may be missing: then there is no state, which the log tells.
func recall(cfg config, log *slog.Logger) (*state, savedState, error) {
	if cfg.stateDir == "" {
		return nil, savedState{}, nil
	}
	kept, err := openState(cfg.stateDir)
	switch {
	case err != nil && cfg.stateWanted:
		return nil, savedState{}, fmt.Errorf("cannot use --state-dir: %w", err)
	case err != nil:
		log.Warn("nothing is kept over a restart; name a folder with --state-dir", "error", oneLine(err))
		return nil, savedState{}, nil
	}
	saved, err := kept.read()
	if err != nil {
		log.Error("cannot read how far logs were sent; they are sent from now on", "error", oneLine(err))
	}
	return kept, saved, nil
}

// serveHealth serves /health at the address, if there is one, until the function it
// returns is called.
func serveHealth(address string, log *slog.Logger, look func() health) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("the port of %s is taken; choose another with --health, or off", address)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; see --health", address, err)
	}
	log.Info("listening", "health", listener.Addr().String())
	server := healthServer(look)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the page /health is gone", "error", oneLine(err))
		}
	})
	return func() { server.Close(); serving.Wait() }, nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"patchwork/broker"
)

// door is one way into the relay.
type door struct {
	name   string // in the log, and the flag of its port
	flag   string
	port   int
	server server // nil when the door is off

	listener net.Listener
}

// server is what both fronts are. Serve blocks until the listener fails or
// Shutdown is called, which is no error. Shutdown waits for transfers under way
// until ctx ends, and cuts them then.
type server interface {
	Serve(net.Listener) error
	Shutdown(ctx context.Context) error
}

// serve runs the relay until ctx ends, and then shuts it down in this order:
// the broker tells all who wait, both doors finish their transfers side by side
// within the drain timeout. Transfers that are still under way then are cut,
// which is logged and no error.
func serve(ctx context.Context, cfg config, stderr io.Writer) error {
	log := newLogger(cfg, stderr)
	dir, err := stateDir(cfg, os.Getenv)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot use the data folder: %w; choose another with --data-dir", err)
	}

	b := broker.New(broker.Options{Replay: cfg.replayBuffer, Mailbox: cfg.mailbox, Stall: cfg.stallLimit})
	defer b.Close()
	p, err := build(cfg, dir, b, log)
	if err != nil {
		return err
	}
	defer p.close(log)
	doors := p.doors
	if err := listen(doors, cfg.bind); err != nil {
		return err
	}
	log.Info("listening", "http", address(doors[0]), "ssh", address(doors[1]))

	failed := make(chan error, len(doors))
	var serving sync.WaitGroup
	for _, d := range doors {
		if d.server == nil {
			continue
		}
		serving.Go(func() {
			if err := d.server.Serve(d.listener); err != nil {
				failed <- fmt.Errorf("%s door: %w", d.name, err)
			}
		})
	}

	select {
	case <-ctx.Done():
		log.Info("shutting down", "drain_timeout", cfg.drainTimeout)
	case err = <-failed:
	}
	b.Close()
	shutdown(doors, cfg, log)
	serving.Wait()
	return err
}

// listen opens all doors, or none.
func listen(doors []*door, bind string) error {
	for _, d := range doors {
		if d.server == nil {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort(bind, strconv.Itoa(d.port)))
		if err != nil {
			for _, opened := range doors {
				if opened.listener != nil {
					opened.listener.Close()
				}
			}
			return explain(d, bind, err)
		}
		d.listener = l
	}
	return nil
}

// explain words why a door does not open, and which flag helps.
func explain(d *door, bind string, err error) error {
	at := net.JoinHostPort(bind, strconv.Itoa(d.port))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s port %d is taken; choose another with %s", d.name, d.port, d.flag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("not allowed to listen on %s; choose a %s of 1024 or more", at, d.flag)
	default:
		return fmt.Errorf("cannot listen on %s: %w; see --bind and %s", at, err, d.flag)
	}
}

// shutdown closes all doors at the same time, so that one with a long transfer
// does not use up the time of the other.
func shutdown(doors []*door, cfg config, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), cfg.drainTimeout)
	defer cancel()
	var closing sync.WaitGroup
	for _, d := range doors {
		if d.server == nil {
			continue
		}
		closing.Go(func() {
			switch err := d.server.Shutdown(ctx); {
			case errors.Is(err, context.DeadlineExceeded):
				log.Warn("transfers cut off at the end of the drain timeout", "door", d.name)
			case err != nil:
				log.Error("door did not close cleanly", "door", d.name, "error", err)
			}
		})
	}
	closing.Wait()
}

// address is where the door really listens, or "off".
func address(d *door) string {
	if d.listener == nil {
		return "off"
	}
	return d.listener.Addr().String()
}

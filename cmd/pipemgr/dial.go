package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	dialLimit = 20 * time.Second // to connect, and once more to shake hands
	// keepAlive is how often a relay is asked whether it is there. It has as long to
	// answer, so a dead one is noticed after twice that time.
	keepAlive = 15 * time.Second
)

// dial connects and proves who both sides are.
func (l *link) dial(ctx context.Context) (*ssh.Client, error) {
	check, algorithms, err := l.hosts.check(l.relay.addr)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialLimit}
	raw, err := dialer.DialContext(ctx, "tcp", l.relay.addr)
	if err != nil {
		return nil, fmt.Errorf("cannot reach it, see --relay: %w", err)
	}
	defer context.AfterFunc(ctx, func() { raw.Close() })()
	if err := raw.SetDeadline(time.Now().Add(dialLimit)); err != nil {
		raw.Close()
		return nil, err
	}
	conn, channels, requests, err := ssh.NewClientConn(raw, l.relay.addr, &ssh.ClientConfig{
		User:              l.relay.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(l.key)},
		HostKeyCallback:   check,
		HostKeyAlgorithms: algorithms,
		ClientVersion:     "SSH-2.0-pipemgr",
	})
	if err != nil {
		raw.Close()
		return nil, l.explain(err)
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(conn, channels, requests), nil
}

// explain says what a failed handshake means.
func (l *link) explain(err error) error {
	switch {
	case errors.Is(err, errHostKey):
		return err
	case strings.Contains(err.Error(), "unable to authenticate"):
		return fmt.Errorf("the relay does not let the key %s in", ssh.FingerprintSHA256(l.key.PublicKey()))
	}
	return fmt.Errorf("%s does not speak SSH as it should: %w", l.relay.addr, err)
}

// keep asks for a sign of life until ctx ends.
func keep(ctx context.Context, conn *ssh.Client, dead context.CancelCauseFunc) {
	again := time.NewTicker(keepAlive)
	defer again.Stop()
	for {
		select {
		case <-again.C:
		case <-ctx.Done():
			return
		}
		late := time.AfterFunc(keepAlive, func() { dead(errors.New("the relay does not answer any more")) })
		_, _, err := conn.SendRequest("keepalive@openssh.com", true, nil)
		late.Stop()
		if err != nil {
			return // whoever reads or writes says it better
		}
	}
}

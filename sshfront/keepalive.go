package sshfront

import (
	"time"

	"charm.land/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// keepAlive asks the client now and then whether it is there, until its
// connection ends, and ends it when there is no answer. Before the handshake is
// over there is nobody to ask; its own timeout watches over it.
func (s *Server) keepAlive(ctx ssh.Context, c *conn) {
	tick := time.NewTicker(s.cfg.Keepalive)
	defer tick.Stop()
	for {
		select {
		case <-c.closed:
			return
		case <-tick.C:
		}
		client, ok := ctx.Value(ssh.ContextKeyConn).(*gossh.ServerConn)
		if ok && !s.answers(client, c) {
			c.Close()
			return
		}
	}
}

// answers asks once. A client that sends something, be it not yet the answer, is
// there: on a slow line the answer waits behind megabytes of data.
func (s *Server) answers(client *gossh.ServerConn, c *conn) bool {
	answer := make(chan struct{})
	s.jobs.Go(func() {
		defer s.contain("ssh keepalive", c)
		defer close(answer)
		// "no" is as good as "yes"; an error means that the connection ended.
		_, _, _ = client.SendRequest("keepalive@openssh.com", true, nil)
	})
	timer := time.NewTimer(s.cfg.DeadAfter)
	defer timer.Stop()
	for {
		before := c.reads.Load()
		select {
		case <-answer:
			return true
		case <-c.closed:
			return false
		case <-timer.C:
			if c.reads.Load() == before {
				return false
			}
			timer.Reset(s.cfg.DeadAfter)
		}
	}
}

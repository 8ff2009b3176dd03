package sshfront

import (
	"context"
	"io"

	"patchwork/broker"
)

// stay is what a session without a command does on a connection that publishes
// something: it says so and lasts, as otherwise ssh -R PREFIX:80:… HOST would end at
// once. stays is false when the client has not asked to publish anything.
func (s *session) stay() (stays bool, err error) {
	m, err := s.settled()
	if err != nil || m.total == 0 {
		return false, err
	}
	s.verb = "published"
	if s.pty != nil {
		keys := s.openTTY()
		keys.echo = nil
		s.goJob(func() {
			_, _ = io.Copy(io.Discard, keys)
			s.cancel(errInterrupted) // also by Ctrl-D
		})
	}
	for {
		for _, line := range m.news {
			s.say("%s", line)
		}
		if s.srv.isDown() {
			return true, broker.ErrClosed
		}
		if m.held+m.pending == 0 {
			return true, refused("nothing is published on this connection")
		}
		select {
		case <-m.changed:
		case <-s.srv.closing:
		case <-s.ctx.Done():
			return true, context.Cause(s.ctx)
		}
		m = s.conn.published.read()
	}
}

// settled returns how things stand when the client's requests to publish, which it
// sent before it opened the session, have been answered. They are read by another
// goroutine than sessions are; while the client is asked something, that one comes
// to its turn.
func (s *session) settled() (standing, error) {
	published, news := &s.conn.published, []string(nil)
	for {
		m := published.read()
		news = append(news, m.news...)
		if m.pending == 0 {
			if s.srv.cfg.Tunnels == nil || !s.answers(eofCheck) {
				return m, nil
			}
			again := published.read()
			news = append(news, again.news...)
			if again.pending == 0 && again.total == m.total {
				again.news = news
				return again, nil
			}
			continue
		}
		select {
		case <-m.changed:
		case <-s.ctx.Done():
			return m, context.Cause(s.ctx)
		}
	}
}

// tellOfTunnels says, beside what a command does, what there is to say about the
// connection's publications.
func (s *session) tellOfTunnels() {
	m := s.conn.published.read()
	if m.total == 0 || s.clean {
		return
	}
	s.goJob(func() {
		for {
			for _, line := range m.news {
				s.say("%s", line)
			}
			select {
			case <-m.changed:
			case <-s.ctx.Done():
				return
			}
			m = s.conn.published.read()
		}
	})
}

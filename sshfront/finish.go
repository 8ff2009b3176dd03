package sshfront

import (
	"time"

	"charm.land/ssh"
)

// finishing runs the rest and ends the session: the exit status first, then the
// close, or OpenSSH reports 255. It writes the session's one log line.
func (s *Server) finishing(next ssh.Handler) ssh.Handler {
	return func(sess ssh.Session) {
		ses := sessionOf(sess.Context())
		defer close(ses.finished)
		start := time.Now()
		next(sess)
		// A pump that reads stdin ends when the client answers our close.
		ses.hangUpIn(closeWait)
		_ = sess.Exit(ses.code)
		s.log.Info("ssh session",
			"command", ses.verb,
			"exit", ses.code,
			"duration", time.Since(start).Round(time.Millisecond),
			"client", ses.conn.address,
		)
	}
}

// recovering turns a panic of the rest into an exit status and a log entry.
func (s *Server) recovering(next ssh.Handler) ssh.Handler {
	return func(sess ssh.Session) {
		defer func() {
			if p := recover(); p != nil {
				s.logPanic("ssh session", p)
				sessionOf(sess.Context()).code = exitFailed
			}
		}()
		next(sess)
	}
}

// dispatching runs the command and says how it ended.
func (s *Server) dispatching(ssh.Handler) ssh.Handler {
	return func(sess ssh.Session) {
		ses := sessionOf(sess.Context())
		err := ses.run()
		code, line := verdict(err)
		if line != "" {
			ses.say("%s", line)
		}
		if code == exitFailed && isInternal(err) {
			s.log.Error("ssh command failed", "command", ses.verb, "error", err)
		}
		ses.code = code
	}
}

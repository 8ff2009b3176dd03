package sshfront

import (
	"bytes"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// answerTimeout is how long a client may take to answer a request on its channel.
const answerTimeout = 20 * time.Second

// say writes one line to stderr, whatever is in it. It blocks while the client does
// not read.
func (s *session) say(format string, args ...any) {
	line := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, fmt.Sprintf(format, args...)) + "\n"
	s.errMu.Lock()
	defer s.errMu.Unlock()
	_, _ = s.ch.Stderr().Write(s.lineEnds([]byte(line)))
}

// print writes text to stdout.
func (s *session) print(text string) error { return s.write(s.lineEnds([]byte(text))) }

// write writes p to stdout as it is. It blocks while the client does not read. An
// error means that the client is gone.
func (s *session) write(p []byte) error {
	s.outMu.Lock()
	defer s.outMu.Unlock()
	if _, err := s.ch.Write(p); err != nil {
		return errClientGone
	}
	return nil
}

// lineEnds returns text as a terminal wants it, if there is one: the client's is
// in raw mode then.
func (s *session) lineEnds(text []byte) []byte {
	if s.pty == nil {
		return text
	}
	return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))
}

// Requests with which the client is asked whether it is still there. No client
// knows them; its "no" is the answer.
const (
	eofCheck   = "eof-check@patchwork"
	takenCheck = "taken@patchwork"
)

// answers asks the client's process and waits for the answer, which says that the
// process lives and has read all that was written to it before. The end of a
// killed client's connection looks like the end of its stdin; only this tells
// them apart. A client that does not answer in time loses its connection.
func (s *session) answers(question string) bool {
	answer := make(chan error, 1)
	s.goJob(func() {
		_, err := s.ch.SendRequest(question, true, nil)
		answer <- err
	})
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case err := <-answer:
		return err == nil
	case <-timer.C:
		s.conn.Close()
		return false
	}
}

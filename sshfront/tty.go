package sshfront

import (
	"io"
	"unicode/utf8"

	gossh "golang.org/x/crypto/ssh"
)

// A tty is the little of a terminal's line discipline that someone at a keyboard
// expects. With a PTY the client's own terminal is raw: every key arrives as it is
// struck, nothing is echoed, and Ctrl-C is a byte.
type tty struct {
	src       io.Reader
	echo      func([]byte) // nil: not wanted
	interrupt func()

	typed []byte // the line being edited
	ready []byte // finished, not yet read
	shown []byte // to be echoed
	err   error
	in    [1024]byte
}

// maxLine is how much can be typed before it is sent without an Enter.
const maxLine = 4096

// Keys.
const (
	keyCtrlC     = 0x03
	keyCtrlD     = 0x04
	keyBackspace = 0x08
	keyCtrlU     = 0x15
	keyDelete    = 0x7f
)

// openTTY reads lines from the session's terminal. Ctrl-C ends the session, Ctrl-D
// the input. What is typed is echoed if the client asked for it: scripts that
// force a PTY (ssh -tt) without having one do not.
func (s *session) openTTY() *tty {
	t := &tty{src: s.ch, interrupt: func() { s.cancel(errInterrupted) }}
	if s.pty.Modes[gossh.ECHO] != 0 {
		t.echo = func(p []byte) { _ = s.write(p) }
	}
	return t
}

func (t *tty) Read(p []byte) (int, error) {
	for len(t.ready) == 0 {
		if t.err != nil {
			return 0, t.err
		}
		n, err := t.src.Read(t.in[:])
		for _, key := range t.in[:n] {
			if t.err == nil {
				t.strike(key)
			}
		}
		if err != nil && t.err == nil {
			t.enter()
			t.err = err
		}
		if len(t.shown) > 0 && t.echo != nil {
			t.echo(t.shown)
		}
		t.shown = t.shown[:0]
	}
	n := copy(p, t.ready)
	t.ready = t.ready[n:]
	return n, nil
}

func (t *tty) strike(key byte) {
	switch key {
	case keyCtrlC:
		t.typed, t.ready = nil, nil
		t.err = errInterrupted
		t.interrupt()
	case keyCtrlD:
		if len(t.typed) == 0 {
			t.err = io.EOF
		}
		t.enter()
	case '\r', '\n':
		t.typed = append(t.typed, '\n')
		t.shown = append(t.shown, "\r\n"...)
		t.enter()
	case keyBackspace, keyDelete:
		t.erase()
	case keyCtrlU:
		for len(t.typed) > 0 {
			t.erase()
		}
	default:
		t.typed = append(t.typed, key)
		if key >= ' ' || key == '\t' {
			t.shown = append(t.shown, key)
		} else {
			t.shown = append(t.shown, '^', key+'@')
		}
		if len(t.typed) == maxLine {
			t.enter()
		}
	}
}

// enter hands over what was typed.
func (t *tty) enter() {
	t.ready = append(t.ready, t.typed...)
	t.typed = t.typed[:0]
}

// erase takes back the last character, with the cells it took on the screen.
func (t *tty) erase() {
	if len(t.typed) == 0 {
		return
	}
	_, size := utf8.DecodeLastRune(t.typed)
	last := t.typed[len(t.typed)-size]
	t.typed = t.typed[:len(t.typed)-size]
	t.shown = append(t.shown, "\b \b"...)
	if last < ' ' && last != '\t' {
		t.shown = append(t.shown, "\b \b"...) // it was shown as ^X
	}
}

package sshfront

import (
	"encoding/binary"
	"sync"

	gossh "golang.org/x/crypto/ssh"
)

// publishedCheck is the channel request of a client that has to know how far its
// pub is, because it would send the rest again over another connection. The payload
// is a number of bytes, a uint64 as SSH writes it. The answer is yes, and comes when
// so many bytes of stdin have been published, be that in a month; or no, at once, from
// a command that does not tell. While one question is open another one is answered
// with no. Where the session ends first there is no answer.
//
// Published is what every subscriber has in its mailbox, except those that a pub
// which does not wait passes over.
const publishedCheck = "published@patchwork"

// A progress counts what of stdin is published.
type progress struct {
	mu     sync.Mutex // guards what follows
	bytes  uint64
	silent bool // the command does not tell
	open   *gossh.Request
	want   uint64 // what the open question waits for
}

// ask takes a question.
func (p *progress) ask(r *gossh.Request) {
	p.mu.Lock()
	refused := p.silent || p.open != nil || len(r.Payload) != 8
	if !refused {
		p.open, p.want = r, binary.BigEndian.Uint64(r.Payload)
	}
	p.mu.Unlock()
	if refused {
		_ = r.Reply(false, nil)
		return
	}
	p.add(0)
}

// add counts n bytes that were published.
func (p *progress) add(n int) {
	p.mu.Lock()
	p.bytes += uint64(n)
	var reached *gossh.Request
	if p.open != nil && p.bytes >= p.want {
		reached, p.open = p.open, nil
	}
	p.mu.Unlock()
	if reached != nil {
		_ = reached.Reply(true, nil)
	}
}

// refuse says that the command does not tell.
func (p *progress) refuse() {
	p.mu.Lock()
	refused := p.open
	p.silent, p.open = true, nil
	p.mu.Unlock()
	if refused != nil {
		_ = refused.Reply(false, nil)
	}
}

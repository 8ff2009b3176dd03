package sshfront

import (
	"context"
	"errors"
	"sync"
	"time"

	"charm.land/ssh"
	gossh "golang.org/x/crypto/ssh"

	"patchwork/tunnel"
)

// ssh -R PREFIX:80:HOST:PORT asks for a port on an address of the server, with a
// global request (RFC 4254, section 7.1). Here the address is a prefix of the HTTP
// door, and no port is opened. Port 0, the server's choice, is 80 as well.
const publishedPort = 80

// askTime is how long the answer to such a request may take: those behind it, among
// them the client's own keepalives, wait for it.
const askTime = 10 * time.Second

// maxNews is how many lines are kept for a client that has no session to read them.
const maxNews = 20

// A publishRequest is what tcpip-forward and cancel-tcpip-forward ask about.
type publishRequest struct {
	Address string
	Port    uint32
}

// publish answers one tcpip-forward. The reason of a refusal has no place in the
// answer; the connection's session tells it, if there is one.
func (s *Server) publish(ctx ssh.Context, _ *ssh.Server, r *gossh.Request) (ok bool, answer []byte) {
	s.forwards.add()
	defer s.forwards.done()
	c := ctx.Value(connKey).(*conn)
	defer c.published.asked()()
	var want publishRequest
	if gossh.Unmarshal(r.Payload, &want) != nil {
		return false, nil
	}
	log := s.log.With("prefix", short(want.Address), "client", c.address)
	if err := s.claim(ctx, c, want); err != nil {
		log.Info("ssh tunnel refused", "error", err)
		c.published.tell("not published: " + err.Error())
		return false, nil
	}
	log.Info("ssh tunnel published")
	c.published.tell(s.cfg.WebURL + "/" + want.Address + "/ is published while this connection lasts")
	if want.Port == 0 {
		answer = gossh.Marshal(struct{ Port uint32 }{publishedPort})
	}
	return true, answer
}

// claim publishes a prefix for the connection, if its client may.
func (s *Server) claim(cctx ssh.Context, c *conn, want publishRequest) error {
	ctx, cancel := context.WithTimeout(cctx, askTime)
	defer cancel()
	sc := cctx.Value(ssh.ContextKeyConn).(*gossh.ServerConn)
	// Without an address OpenSSH asks for localhost.
	if want.Address == "" || want.Address == "localhost" || want.Port != 0 && want.Port != publishedPort {
		return errors.New("only prefixes are published, so: ssh -R PREFIX:80:HOST:PORT")
	}
	if err := tunnel.CheckPrefix(want.Address); err != nil {
		return err
	}
	caller, err := s.forwarder(ctx, sc)
	if err != nil {
		return err
	}
	if s.cfg.MayTunnel == nil || s.cfg.Tunnels == nil {
		return errors.New("there are no tunnels on this relay")
	}
	identity, err := s.cfg.MayTunnel(ctx, caller, want.Address)
	if err != nil {
		return err
	}
	p := &publication{}
	if !c.published.reserve(want.Address, p) {
		return errors.New("this connection has published the prefix already")
	}
	claim, err := s.cfg.Tunnels.Claim(tunnel.ClaimOptions{
		Prefix:   want.Address,
		Identity: identity,
		Opener:   s.visitsOf(c, sc, want.Address),
		Lost: func(why error) {
			s.log.Info("ssh tunnel lost", "prefix", want.Address, "client", c.address, "error", why)
			c.published.drop(want.Address, p, "/"+want.Address+"/ is not published here any more: "+why.Error())
		},
	})
	if err != nil {
		c.published.drop(want.Address, p, "")
		return err
	}
	if !c.published.confirm(want.Address, p, claim) {
		claim.Release()
		return errors.New("it ended before it began, try again")
	}
	return nil
}

// unpublish answers one cancel-tcpip-forward. Visitors that are there stay.
func (s *Server) unpublish(ctx ssh.Context, _ *ssh.Server, r *gossh.Request) (ok bool, answer []byte) {
	c := ctx.Value(connKey).(*conn)
	var want publishRequest
	if gossh.Unmarshal(r.Payload, &want) != nil || want.Port != 0 && want.Port != publishedPort {
		return false, nil
	}
	return c.published.cancel(want.Address), nil
}

// A publication is one prefix of one connection.
type publication struct {
	claim *tunnel.Claim // nil until confirmed
}

// publications are what one connection has published; no other connection sees or
// ends them. The zero value is ready.
type publications struct {
	mu      sync.Mutex // guards all below; nothing blocks under it, no claim is made
	held    map[string]*publication
	over    bool // nothing is published any more
	pending int  // requests that are not answered yet
	total   int  // requests so far
	news    []string
	changed chan struct{} // closed at the next change of the above; nil while nobody waits
}

// change wakes those who wait. Under mu.
func (p *publications) change() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// asked books a request, and what it returns its answer.
func (p *publications) asked() (answered func()) {
	book := func(pending, total int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.pending += pending
		p.total += total
		p.change()
	}
	book(1, 1)
	return func() { book(-1, 0) }
}

// reserve keeps the prefix from being asked for again; false when it was, or the
// connection is at its end.
func (p *publications) reserve(prefix string, pub *publication) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.held[prefix] != nil {
		return false
	}
	if p.held == nil {
		p.held = map[string]*publication{}
	}
	p.held[prefix] = pub
	return true
}

// confirm gives a reserved publication its claim; false when it has ended since.
func (p *publications) confirm(prefix string, pub *publication, claim *tunnel.Claim) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[prefix] != pub {
		return false
	}
	pub.claim = claim
	return true
}

// drop forgets a publication and keeps a line about why, if there is one: whoever
// sees that nothing is left sees the line.
func (p *publications) drop(prefix string, pub *publication, line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held[prefix] != pub {
		return
	}
	delete(p.held, prefix)
	p.keep(line)
	p.change()
}

// cancel ends the publication of a prefix; false when there is none.
func (p *publications) cancel(prefix string) bool {
	p.mu.Lock()
	pub := p.held[prefix]
	if pub == nil {
		p.mu.Unlock()
		return false
	}
	delete(p.held, prefix)
	p.change()
	p.mu.Unlock()
	if pub.claim != nil {
		pub.claim.Release()
	}
	return true
}

// close ends all of them, and those that come later.
func (p *publications) close() {
	p.mu.Lock()
	held := p.held
	p.held, p.over = nil, true
	p.change()
	p.mu.Unlock()
	for _, pub := range held {
		if pub.claim != nil {
			pub.claim.Release()
		}
	}
}

// tell keeps a line for whichever session of the connection reads it first.
func (p *publications) tell(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep(line)
	p.change()
}

// keep is tell under mu.
func (p *publications) keep(line string) {
	if line != "" && len(p.news) < maxNews {
		p.news = append(p.news, line)
	}
}

// A standing is how things stand with the publications of a connection.
type standing struct {
	held, pending, total int
	news                 []string        // not to be read again
	changed              <-chan struct{} // closed when it is over
}

func (p *publications) read() standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	m := standing{len(p.held), p.pending, p.total, p.news, p.changed}
	p.news = nil
	return m
}

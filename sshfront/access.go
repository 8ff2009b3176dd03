package sshfront

import "patchwork/broker"

// needOwner refuses who has only some rights in the namespace.
func (s *session) needOwner() error {
	if s.as.User == "" {
		return refused("access denied: this is for %s alone, and your key has only some rights there", s.caller.Namespace())
	}
	return nil
}

// mayList refuses an access list by whom the rules do not let in altogether: the
// list would let in others, and its maker, where the rules do not.
func (s *session) mayList(n broker.Name, o *options) error {
	if o.access == nil || n.Namespace() == public {
		return nil
	}
	for _, end := range ends(n) {
		for _, a := range []Action{Receive, Send} {
			if !s.caller.May(s.ctx, a, end) {
				return refused("access denied: who brings an access list must be allowed to send and to receive on %s", end)
			}
		}
	}
	return nil
}

// ends are the names that an access list on n opens: both ends of a
// request/response channel, else n alone.
func ends(n broker.Name) []broker.Name {
	if !isCall(n) {
		return []broker.Name{n}
	}
	return []broker.Name{n.Request().Response(), n.Request()}
}

// guard puts the access list, if there is one, on a channel that the session uses
// without being a publisher or subscriber in the broker's eyes. What it returns
// takes it off again.
func (s *session) guard(n broker.Name, o *options) (leave func(), err error) {
	if o.access == nil {
		return func() {}, nil
	}
	if err := s.mayList(n, o); err != nil {
		return nil, err
	}
	p, err := s.srv.cfg.Broker.Publish(n, broker.PublishOptions{As: s.as, Access: o.access})
	if err != nil {
		return nil, err
	}
	return p.Close, nil
}

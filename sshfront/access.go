package sshfront

import "patchwork/broker"

// guard puts the access list, if there is one, on a channel that the session uses
// without being a publisher or subscriber in the broker's eyes. What it returns
// takes it off again.
func (s *session) guard(n broker.Name, o *options) (leave func(), err error) {
	if o.access == nil {
		return func() {}, nil
	}
	p, err := s.srv.cfg.Broker.Publish(n, broker.PublishOptions{As: s.as, Access: o.access})
	if err != nil {
		return nil, err
	}
	return p.Close, nil
}

// An access list may go while a guest comes in. leftOut tells, once the guest is
// in, that it was let in by nobody.
func (s *session) leftOut(n broker.Name) bool { return s.guest && !s.invited(n.String()) }

package sshfront

import "patchwork/broker"

// pubCall is where the request/response channels plug in: `pub req/X` will send
// stdin as a request and print the answer, `pub res/X` will answer the oldest
// request.
func (s *session) pubCall(broker.Name, *options) error { return errNoCalls }

var errNoCalls = usage("req/ and res/ are not available over SSH yet; use HTTP")

// isCall tells whether a channel is an end of a request/response pair.
func isCall(n broker.Name) bool { return n.Kind() == broker.Req || n.Kind() == broker.Res }

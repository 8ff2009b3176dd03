package main

import "patchwork/tunnel"

// egress is how the relay itself connects to the outside for its users.
func egress(cfg config) *tunnel.Dialer {
	return tunnel.NewDialer(tunnel.Policy{Allow: cfg.egressAllow, Deny: cfg.egressDeny})
}

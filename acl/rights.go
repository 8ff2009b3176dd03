package acl

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Rights are what one token or one key may do in its user's namespace. They are
// never changed after they were made.
type Rights struct {
	methods [methods]list
	forward list
	tunnel  list
	admin   bool
	expires *time.Time // nil is never
	place              // of the token or key
}

// full is what an account's own key may do in its namespace.
var full = &Rights{methods: [methods]list{get: everything, post: everything}}

var everything = list{{text: "*", parts: []string{"", ""}}}

// Admin tells whether these rights reach the user's control endpoints.
func (r *Rights) Admin() bool { return r.admin }

// Line is where the token or key stands in its file; 0 when it stands in none.
func (r *Rights) Line() int { return r.line }

func (r *Rights) expired(now time.Time) bool {
	return r.expires != nil && !now.Before(*r.expires)
}

// Check decides whether these rights allow an action. For Receive, Send and
// Answer the target is the path below /u/USER, its leading slash optional, and
// request is the HTTP request's own method: "" through a door that has none, and
// for what goes over a WebSocket. For Forward the target is HOST:PORT, for Tunnel
// the prefix; Admin has none.
//
// Sending with PUT or PATCH is allowed by POST's list or by that of the method,
// and forbidden by a `!` in either.
func (r *Rights) Check(a Action, request, target string) Decision {
	switch a {
	case Forward:
		return decide(hosts, forwardTarget(target), "no huproxy pattern matches", r.forward)
	case Tunnel:
		return decide(prefixes, target, "no tunnel pattern matches", r.tunnel)
	case Admin:
		if r.admin {
			return Decision{Allowed: true, Reason: "is_admin", Line: r.line, Column: r.column}
		}
		return Decision{Reason: "it is not is_admin"}
	}
	path := paths.normal(target)
	if path == "" {
		return Decision{Reason: "there is no path"}
	}
	ms := needs(a, request, path)
	if len(ms) == 0 {
		return Decision{Reason: fmt.Sprintf("%.20q is no way to send there", request)}
	}
	lists := make([]list, len(ms))
	for i, m := range ms {
		lists[i] = r.methods[m]
	}
	return decide(paths, path, "no "+methodWords(ms)+" pattern matches", lists...)
}

// forwardTarget writes HOST:PORT in the one way that patterns are matched with:
// without the dot that may end a full name, addresses in their shortest form. So
// "!db.example.com:*" forbids "db.example.com.:5432" too.
func forwardTarget(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return hostPort
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(addr.Unmap().String(), port)
	}
	return net.JoinHostPort(strings.TrimSuffix(host, "."), port)
}

// opens tells whether there is anything for which the action could be allowed.
func (r *Rights) opens(a Action) bool {
	for _, m := range append(needs(a, "", ""), needs(a, "", "req")...) {
		if r.methods[m].opens() {
			return true
		}
	}
	return false
}

package sshfront

import (
	"maps"
	"slices"
	"sync"

	"patchwork/broker"
)

// A register knows which public topics each caller's sessions are on, by name or by
// pattern.
type register struct {
	mu sync.Mutex // guards on
	on map[string]*holding
}

// A holding is what the sessions of one caller are on.
type holding struct {
	names    map[broker.Name]int // sessions by topic
	patterns []*broker.Pattern
}

// named tells whether a session is on the topic by its name.
func (h *holding) named(n broker.Name) bool { return h.names[n] > 0 }

// matched tells whether a session is on the public topic by a pattern, if it has no
// access list: patterns are not on those.
func (h *holding) matched(n broker.Name) bool {
	return n.Namespace() == public && !isCall(n) &&
		slices.ContainsFunc(h.patterns, func(p *broker.Pattern) bool { return p.Match(n) })
}

// add counts a session in; what it returns counts it out.
func (r *register) add(who string, n broker.Name) (leave func()) {
	return r.enter(who, func(h *holding) { h.names[n]++ }, func(h *holding) {
		if h.names[n]--; h.names[n] == 0 {
			delete(h.names, n)
		}
	})
}

// addAll is add for a session that is on all topics that match.
func (r *register) addAll(who string, p broker.Pattern) (leave func()) {
	return r.enter(who, func(h *holding) { h.patterns = append(h.patterns, &p) }, func(h *holding) {
		h.patterns = slices.DeleteFunc(h.patterns, func(other *broker.Pattern) bool { return other == &p })
	})
}

// enter makes a change to what somebody holds, and leave takes it back.
func (r *register) enter(who string, in, out func(*holding)) (leave func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.on == nil {
		r.on = map[string]*holding{}
	}
	h := r.on[who]
	if h == nil {
		h = &holding{names: map[broker.Name]int{}}
		r.on[who] = h
	}
	in(h)
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		out(h)
		if len(h.names)+len(h.patterns) == 0 {
			delete(r.on, who)
		}
	}
}

// of returns a copy of what the sessions of somebody are on.
func (r *register) of(who string) *holding {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.on[who]
	if h == nil {
		return &holding{}
	}
	return &holding{maps.Clone(h.names), slices.Clone(h.patterns)}
}

// on registers that the session is on a topic, for ls. What it returns is due when
// it leaves. Topics of the caller's own are listed without that.
func (s *session) on(n broker.Name) (leave func()) {
	if n.Namespace() != public {
		return func() {}
	}
	return s.srv.held.add(s.as.Key, n.Request())
}

// onAll is on for a pattern.
func (s *session) onAll(namespace string, p broker.Pattern) (leave func()) {
	if namespace != public {
		return func() {}
	}
	return s.srv.held.addAll(s.as.Key, p)
}

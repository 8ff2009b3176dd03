package broker

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// An Identity is who uses a channel, as far as access lists can name it. The
// zero Identity is a request without credentials.
type Identity struct {
	User string // namespace of its own: "alice", "key-…"
	Key  string // fingerprint of an SSH key, "SHA256:…"
	// Guest says that only the channel's access list lets it in: without a list it
	// does not come in, and when the list goes it is shown out, with [ErrDenied].
	Guest bool
}

// AccessWeb is the entry of an access list that lets requests without credentials
// in.
const AccessWeb = "http"

// maxAccess is how many may stand on one access list.
const maxAccess = 100

// ParseAccess reads an access list: names of users, fingerprints of keys as
// ssh-keygen -l prints them, "http" (or "pico", the older word for it), with commas
// between. The error is one line that names the entry.
func ParseAccess(text string) ([]string, error) {
	var list []string
	for entry := range strings.SplitSeq(text, ",") {
		entry = strings.TrimSpace(entry)
		switch {
		case entry == "":
			return nil, errors.New("an access list is names with commas between, like bob,SHA256:…")
		case entry == "pico":
			entry = AccessWeb
		case isFingerprint(entry) || CheckUser(entry) == nil:
		default:
			return nil, fmt.Errorf("%q is neither a user nor the SHA256:… of a key", short(entry))
		}
		if !slices.Contains(list, entry) {
			list = append(list, entry)
		}
	}
	if len(list) > maxAccess {
		return nil, fmt.Errorf("an access list has %d names at most", maxAccess)
	}
	return list, nil
}

func isFingerprint(text string) bool {
	hash, ok := strings.CutPrefix(text, "SHA256:")
	sum, err := base64.RawStdEncoding.DecodeString(hash)
	return ok && err == nil && len(sum) == sha256.Size
}

type identityKey struct{}

// As returns a context under which [Broker.Send], [Broker.Receive], [Broker.Call] and
// [Broker.Answer] act as id.
func As(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, identityKey{}, id)
}

type belowKey struct{}

// ServeBelow returns a context under which [Broker.Receive] and [Broker.Answer] of
// a responder also take the requests below its name that allow lets pass. Without
// it they do so in the public namespace alone. allow is called with the broker's
// lock held: it must not block and not call the broker.
func ServeBelow(ctx context.Context, allow func(Name) bool) context.Context {
	return context.WithValue(ctx, belowKey{}, allow)
}

func belowOf(ctx context.Context) func(Name) bool {
	if allow, ok := ctx.Value(belowKey{}).(func(Name) bool); ok {
		return allow
	}
	return publicOnly
}

func publicOnly(n Name) bool { return n.Namespace() == "public" }

func identityOf(ctx context.Context) Identity {
	id, _ := ctx.Value(identityKey{}).(Identity)
	return id
}

// A guard is the access list of a channel. It lasts as long as whoever opened the
// channel with it. Guarded by Broker.mu.
type guard struct {
	by    Identity
	list  []string
	holds int // publishers and subscriptions that came with it
}

// admits tells whether the list lets id in: whoever made it, the owner of the
// channel's namespace, and those it names.
func (g *guard) admits(n Name, id Identity) bool {
	switch {
	case id.User == "" && id.Key == "":
		return slices.Contains(g.list, AccessWeb)
	case id.User != "" && (id.User == g.by.User || id.User == n.Namespace()):
		return true
	case id.Key != "" && id.Key == g.by.Key:
		return true
	}
	return id.User != "" && slices.Contains(g.list, id.User) || id.Key != "" && slices.Contains(g.list, id.Key)
}

// Admits tells whether the channel has an access list at this moment, and whether
// it lets id in.
func (b *Broker) Admits(n Name, id Identity) (guarded, admitted bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	ch := b.channels[n.Request()]
	if ch == nil || ch.guard == nil {
		return false, false
	}
	return true, ch.guard.admits(ch.name, id)
}

// AccessOf returns the channel's access list, nil where there is none.
func (b *Broker) AccessOf(n Name) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ch := b.channels[n.Request()]; ch != nil && ch.guard != nil {
		return slices.Clone(ch.guard.list)
	}
	return nil
}

// join holds the channel for id, unless its access list, or one that id brings,
// speaks against it ([ErrDenied], [ErrTaken]). Under mu.
func (b *Broker) join(n Name, id Identity, list []string) (*channel, error) {
	ch := b.hold(n.Request())
	if err := b.enter(ch, id, list); err != nil {
		b.release(ch)
		return nil, err
	}
	return ch, nil
}

// admit checks id against the list of a channel. Under mu.
func (ch *channel) admit(id Identity) error {
	if ch.guard == nil && id.Guest || ch.guard != nil && !ch.guard.admits(ch.name, id) {
		return ErrDenied
	}
	return nil
}

// enter is admit for those who may bring a list of their own. The first one to do
// so on a channel guards it, unless somebody is there already whom the list does
// not let in. Under mu; unguard takes it back.
func (b *Broker) enter(ch *channel, id Identity, list []string) error {
	if err := ch.admit(id); err != nil || list == nil {
		return err
	}
	if g := ch.guard; g != nil {
		if g.by.Key != id.Key && (g.by.User == "" || g.by.User != id.User) {
			return ErrTaken
		}
		merged := slices.Clone(g.list)
		for _, entry := range list {
			if !slices.Contains(merged, entry) {
				merged = append(merged, entry)
			}
		}
		if len(merged) > maxAccess {
			return ErrTaken
		}
		g.list = merged
		g.holds++
		return nil
	}
	g := &guard{by: id, list: slices.Clone(list), holds: 1}
	for other := range ch.present {
		if !g.admits(ch.name, other) {
			return ErrTaken
		}
	}
	ch.guard = g
	for _, a := range slices.Clone(ch.subs) {
		if a.s.exact == nil && !ch.open(a.s) {
			b.detach(a)
		}
	}
	return nil
}

// unguard takes back what enter did with a list. Under mu.
func (b *Broker) unguard(ch *channel, list []string) (stops stops) {
	if list == nil {
		return nil
	}
	if ch.guard.holds--; ch.guard.holds > 0 {
		return nil
	}
	ch.guard = nil
	stops = b.showOut(ch)
	for _, s := range b.wild {
		if s.attached[ch] == nil && s.pattern.Match(ch.name) && s.allow(ch.name) {
			b.attach(s, ch)
		}
	}
	return stops
}

// showOut ends the guests of a channel whose access list is gone. Under mu.
func (b *Broker) showOut(ch *channel) (stops stops) {
	for x := ch.offers.head; x != nil; {
		o, next := x.v, x.next
		if o.as.Guest {
			stops.add(o.dismiss(ErrDenied))
		}
		x = next
	}
	for x := ch.consumers.head; x != nil; {
		t, next := x.v, x.next
		switch {
		case t.waiter != nil && t.waiter.as.Guest:
			ch.consumers.remove(x)
			t.waiter.got <- taken{err: ErrDenied}
		case t.answer != nil && t.answer.as.Guest:
			ch.consumers.remove(x)
			t.answer.got <- nil
		case t.sub != nil && t.sub.s.opts.As.Guest:
			b.end(t.sub.s, ErrDenied)
		}
		x = next
	}
	for p := range ch.pubs {
		if p.opts.As.Guest {
			p.denied.Store(true)
			ch.arrived(false) // it may be waiting for somebody
		}
	}
	return stops
}

// open tells whether a subscription by pattern may be on the channel: not on a
// public one with an access list, elsewhere if the list lets it in. Under mu.
func (ch *channel) open(s *Subscription) bool {
	return ch.guard == nil || ch.name.Namespace() != "public" && ch.guard.admits(ch.name, s.opts.As)
}

// present yields who is on the channel by name, not by pattern. Under mu.
func (ch *channel) present(yield func(Identity) bool) {
	for x := ch.offers.head; x != nil; x = x.next {
		if !yield(x.v.as) {
			return
		}
	}
	for x := ch.consumers.head; x != nil; x = x.next {
		var id Identity
		switch t := x.v; {
		case t.waiter != nil:
			id = t.waiter.as
		case t.answer != nil:
			id = t.answer.as
		case t.sub.s.exact == nil:
			continue
		default:
			id = t.sub.s.opts.As
		}
		if !yield(id) {
			return
		}
	}
	for p := range ch.pubs {
		if !yield(p.opts.As) {
			return
		}
	}
}

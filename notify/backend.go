package notify

import (
	"context"
)

// backend is one service as data: its fields, and how a target is made of them.
type backend struct {
	name   string
	fields []field
	// open makes a courier of values that are valid each on its own. An error
	// about one field is a *fieldError.
	open func(values) (courier, error)
}

func (b *backend) fieldNames() []string {
	var names []string
	for _, f := range b.fields {
		names = append(names, f.name)
	}
	return names
}

// courier brings messages to one target. It is read-only.
type courier interface {
	// deliver returns when the service has the message, or why it has not. It ends
	// with ctx, and makes every connection by way of w.
	deliver(ctx context.Context, w *wire, p *parcel) error
}

// checker is a courier that cannot deliver every message; check returns an
// *InputError, before anything was sent to anybody.
type checker interface {
	check(Message) error
}

// parcel is one message on its way to one target.
type parcel struct {
	Message
	id    string        // the same however often it is tried
	plain func() string // Message.plain and Message.html, made once for all targets
	html  func() string
	cut   bool // set by a courier that had to leave out an end
}

// cutTo keeps s within limit as cutter counts, and notes if it did not fit.
func (p *parcel) cutTo(cutter func(string, int) (string, bool), s string, limit int) string {
	s, cut := cutter(s, limit)
	p.cut = p.cut || cut
	return s
}

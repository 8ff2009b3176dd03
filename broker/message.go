package broker

import (
	"io"
	"time"
)

// A Header holds a message's header fields, names in canonical form, values in
// the order they were sent. It has the shape of http.Header.
type Header map[string][]string

// A Message is what one producer offers: a stream from its first byte to its
// end, with headers.
type Message struct {
	Header Header
	Size   int64 // bytes, -1 when unknown
	// Body is read in the goroutine that calls Send, and not before a receiver
	// is there. nil is an empty message.
	Body io.Reader
	// Stop makes a Body.Read that blocks return early, if it is set. It is
	// called at most once, from the goroutine of the receiver or of whoever
	// closes the call, the channel or the broker, when the message can no longer
	// arrive; it must not block.
	Stop func()
	// Pipe is the subscription that is the other half of a pipe: it does not
	// receive the message. nil for a producer that only sends.
	Pipe *Subscription
}

// Info describes a message to its receivers. All of them share it: read only.
type Info struct {
	ID      uint64 // unique while the broker lives, in order of the messages' beginning
	Channel Name
	Header  Header
	Size    int64 // bytes, -1 when unknown
	Time    time.Time
	Queue   bool   // one receiver gets it, and its producer waits for that one
	Reply   string // of a request: what names it to [Broker.Answer]
}

// An Event is one chunk of a message, as a [Subscription] gets it. Chunks of
// one message come in order; chunks of several messages may come by turns.
type Event struct {
	Info *Info
	Data []byte // may be empty
	// First is false on the first chunk seen by a subscription that came in
	// mid-message; Last is true on the last one.
	First, Last bool
	// Cut says, with Last, that the end is missing: the producer went away in
	// mid-message, or did not wait for this subscription, which was full. A part
	// missed before the end is only counted ([Stats].Dropped).
	Cut bool
}

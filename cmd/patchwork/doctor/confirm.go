package doctor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// confirmation finds out what a sender's 200 says, and whether it is said: a receiver
// dies with the message in its system's hands, unread. The relay notices and gives it to the
// next one; a proxy in between has taken the message and cannot tell.
func (e *exam) confirmation(ctx context.Context) []Finding {
	const check = "confirmation"
	if f := e.unconfirmed(ctx); f != nil {
		return []Finding{*f}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	path := e.channel + "/confirmation"
	sent := make(chan reply, 1)
	go func() { sent <- e.get(ctx, posting(path, "x")) }()
	if err := e.dieReceiving(ctx, path); err != nil {
		cancel()
		<-sent
		return []Finding{warning(check, "it could not be seen what a sender's 200 says", "a receiver got %s", reply{err: err})}
	}
	next, stop := context.WithCancel(ctx)
	defer stop()
	again := make(chan reply, 1)
	go func() { again <- e.get(next, getting(path)) }()
	var got *reply
	select {
	case second := <-again:
		got = &second
	case answer := <-sent:
		if !answer.ok() {
			stop()
			<-again
			return []Finding{good(check, "a receiver that dies in the last moment costs its sender a %s", answer)}
		}
		sent <- answer
		got = within(again, secondReceiver)
	}
	if got == nil {
		stop()
		<-again
		return []Finding{good(check, "a sender's 200 says that the proxy has it all: a receiver that dies in the last moment is not noticed")}
	}
	answer := <-sent
	if !got.ok() || !answer.ok() {
		who, what := trouble(answer, *got)
		return []Finding{warning(check, "it could not be seen what a sender's 200 says", "after a receiver died %s got %s", who, what)}
	}
	return []Finding{good(check, "a sender's 200 says that the receiver has it all")}
}

// secondReceiver is how long after a sender's 200 the receiver that made it may take to
// know that it has the message.
const secondReceiver = time.Second

// within is what comes in that time, nil if nothing does.
func within(replies <-chan reply, d time.Duration) *reply {
	select {
	case r := <-replies:
		return &r
	case <-time.After(d):
		return nil
	}
}

// unconfirmed looks for messages that arrive whole, and whose sender hears otherwise;
// nil is that there are none. HAProxy makes it so: it resets its connection to the
// relay when it has all of a message, unless it has seen the relay's end of the
// connection by then, which is a matter of luck.
func (e *exam) unconfirmed(ctx context.Context) *Finding {
	if e.direct {
		return nil // the relay itself has no such trouble
	}
	for i := range 6 {
		size := min(int64(e.body), 1<<20)
		if i >= 3 { // the longer it is, the worse the luck
			size = min(int64(e.body), 10<<20)
		}
		sent, got, arrived := e.sendBody(ctx, size, nil)
		switch {
		case sent.ok() && got.ok():
			continue
		case got.ok() && arrived == size && ctx.Err() == nil:
			f := e.resetting(size, sent)
			return &f
		}
		return nil // other checks will say what is wrong
	}
	return nil
}

func (e *exam) resetting(size int64, sent reply) Finding {
	e.resets = true
	return bad("confirmation", "senders send again what has arrived, and what else passes cannot be told: the proxy resets its connections to the relay, which looks as if a receiver died",
		"a receiver got %s whole, and its sender %s", mib(size), sent).mendedBy(remedyConfirm)
}

// dieReceiving takes a message, and resets its connection before the end.
func (e *exam) dieReceiving(ctx context.Context, path string) error {
	var mu sync.Mutex
	var conns []net.Conn
	t := e.transport(false)
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
		}
		return c, err
	}
	defer t.CloseIdleConnections()
	q := getting(path)
	q.via = &http.Client{Transport: t, CheckRedirect: e.http.CheckRedirect}
	resp, err := e.ask(ctx, q)
	if err != nil {
		return err
	}
	mu.Lock()
	for _, c := range conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetLinger(0) //nolint:errcheck // then it is an ordinary close, and the check tells less
		}
		c.Close()
	}
	mu.Unlock()
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// bodyTime bounds how long big messages are tried.
const bodyTime = 20 * time.Second

// bodies sends ever longer messages, until one does not pass.
func (e *exam) bodies(ctx context.Context) []finding {
	const check = "body-size"
	ctx, cancel := context.WithTimeout(ctx, bodyTime)
	defer cancel()
	var passed int64
	for _, size := range e.bodySizes() {
		sent, got, arrived := e.sendBody(ctx, size)
		switch {
		case sent.ok() && got.ok() && arrived == size:
			passed = size
			continue
		case got.ok() && arrived == size && ctx.Err() == nil:
			return []finding{e.unconfirmed(size, sent)}
		case ctx.Err() != nil && passed > 0:
			return []finding{good(check, "%s pass; there was no time for %s", mib(passed), mib(size))}
		case ctx.Err() != nil:
			return []finding{warning(check, "see how fast the line is", "%s of %s arrived in %s", mib(arrived), mib(size), bodyTime)}
		}
		who, what := trouble(sent, got)
		seen := fmt.Sprintf("messages of %s do not pass: %s got %s", mib(size), who, what)
		if passed > 0 {
			seen += fmt.Sprintf("; %s pass", mib(passed))
		}
		return []finding{bad(check, "longer messages and files are refused", "%s", seen).mendedBy(remedySize)}
	}
	return []finding{good(check, "messages of %s pass", mib(passed))}
}

// unconfirmed is the finding that a message arrived whole, and that its sender heard
// otherwise. HAProxy makes it so: it resets its connection to the relay when it has
// all of a message, unless it has seen the relay's end of the connection by then,
// which is a matter of luck.
func (e *exam) unconfirmed(size int64, sent reply) finding {
	e.resets = true
	return bad("confirmation", "senders send again what has arrived: the proxy resets its connections to the relay, which looks as if a receiver died",
		"a receiver got %s whole, and its sender %s", mib(size), sent).mendedBy(remedyConfirm)
}

func mib(n int64) string {
	if n%(1<<20) != 0 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// bodySizes are those to try: 1 MiB, 10 MiB, and all that was allowed.
func (e *exam) bodySizes() []int64 {
	most := int64(e.body)
	sizes := slices.DeleteFunc([]int64{1 << 20, 10 << 20}, func(size int64) bool { return size >= most })
	return append(sizes, most)
}

// sendBody sends a message of so many bytes and receives it.
func (e *exam) sendBody(ctx context.Context, size int64) (sent, got reply, arrived int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := fmt.Sprintf("%s/body-%d", e.channel, size)
	var both sync.WaitGroup
	both.Go(func() {
		sent = e.get(ctx, question{
			method: http.MethodPost, path: path, size: size,
			body:   func() io.Reader { return io.LimitReader(zeros{}, size) },
			header: http.Header{"Expect": {"100-continue"}}, // nothing leaves that is refused anyway
		})
		if !sent.ok() {
			cancel()
		}
	})
	both.Go(func() {
		resp, err := e.ask(ctx, getting(path))
		if err != nil {
			got.err = err
			return
		}
		defer resp.Body.Close()
		got.status, got.header = resp.StatusCode, resp.Header
		arrived, got.err = io.Copy(io.Discard, resp.Body)
		if !got.ok() {
			cancel()
		}
	})
	both.Wait()
	return sent, got, arrived
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// confirmation finds out what a sender's 200 says: a receiver dies with the
// message in its system's hands, unread. The relay notices and gives it to the
// next one; a proxy in between has taken the message and cannot tell.
func (e *exam) confirmation(ctx context.Context) []finding {
	const check = "confirmation"
	if e.resets {
		return nil // told already
	}
	for range e.tries() {
		size := min(int64(e.body), 1<<20)
		if sent, got, arrived := e.sendBody(ctx, size); !sent.ok() && got.ok() && arrived == size && ctx.Err() == nil {
			return []finding{e.unconfirmed(size, sent)}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*soon)
	defer cancel()
	path := e.channel + "/confirmation"
	sent := make(chan reply, 1)
	go func() { sent <- e.get(ctx, posting(path, "x")) }()
	if err := e.dieReceiving(ctx, path); err != nil {
		cancel()
		<-sent
		return []finding{warning(check, "it could not be seen what a sender's 200 says", "a receiver got %s", reply{err: err})}
	}
	next, stop := context.WithCancel(ctx)
	defer stop()
	again := make(chan reply, 1)
	go func() { again <- e.get(next, getting(path)) }()
	select {
	case got := <-again:
		answer := <-sent
		if !got.ok() || !answer.ok() {
			who, what := trouble(answer, got)
			return []finding{warning(check, "it could not be seen what a sender's 200 says", "after a receiver died %s got %s", who, what)}
		}
		return []finding{good(check, "a sender's 200 says that the receiver has it all")}
	case answer := <-sent:
		stop()
		<-again
		if answer.ok() {
			return []finding{good(check, "a sender's 200 says that the proxy has it all: a receiver that dies in the last moment is not noticed")}
		}
		return []finding{good(check, "a receiver that dies in the last moment costs its sender a %s", answer)}
	}
}

// tries is how many messages are sent to see whether what arrives is confirmed.
func (e *exam) tries() int {
	if e.direct {
		return 0 // the relay itself does so
	}
	return 5
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

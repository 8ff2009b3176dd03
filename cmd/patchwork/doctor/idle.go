package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// A lull is one way of being connected and saying nothing.
type lull struct {
	check string
	means string
	mends remedy
	// run connects, says nothing until over is closed or the connection breaks, and
	// then sees whether it is good for anything.
	run func(e *exam, ctx context.Context, path string, over <-chan struct{}) reply
}

var lulls = []lull{
	{"idle-receiver", "whoever waits longer for a message is sent away", remedyIdle, (*exam).waitReceiving},
	{"idle-sender", "whoever waits longer for a receiver is sent away", remedyIdle, (*exam).waitSending},
	{"idle-message", "a message in which nothing comes for that long is cut off, tail -f and live logs for instance", remedyIdle, (*exam).pauseSending},
	{"idle-websocket", "a WebSocket on which nothing comes for that long is cut off", remedyIdle, (*exam).pauseSocket},
	{"idle-http2", "whoever waits for a message over HTTP/2, which curl takes by itself, is cut off", remedyBeats, (*exam).waitHTTP2},
}

// silence finds out, all at once, which connections outlive e.idle without a word,
// and whether the relay's heartbeats arrive. It takes a little longer than e.idle.
func (e *exam) silence(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, e.idle+6*soon)
	defer cancel()
	var beats heartbeats
	findings := make([]Finding, len(lulls))
	var all sync.WaitGroup
	for i, l := range lulls {
		all.Go(func() {
			over := make(chan struct{})
			timer := time.AfterFunc(e.idle, func() { close(over) })
			defer timer.Stop()
			traced := ctx
			if l.check == "idle-receiver" {
				traced = beats.listen(ctx)
			}
			begun := time.Now()
			r := l.run(e, traced, e.channel+"/"+l.check, over)
			if l.check == "idle-receiver" {
				beats.lasted = min(time.Since(begun), e.idle)
			}
			findings[i] = l.judge(e, r, time.Since(begun))
		})
	}
	all.Wait()
	findings = append(findings, beats.finding(e))
	return slices.DeleteFunc(findings, func(f Finding) bool { return f.Check == "" })
}

// judge says what a lull that ended after so long with this reply means.
func (l lull) judge(e *exam, r reply, lasted time.Duration) Finding {
	lasted = lasted.Round(100 * time.Millisecond)
	switch {
	case errors.Is(r.err, errNotBegun):
		return Finding{}
	case r.ok():
		return good(l.check, "still there after %s of silence", e.idle)
	case r.status == http.StatusRequestTimeout && r.header.Get("Access-Control-Expose-Headers") != "":
		// An answer of the relay itself: open CORS is on all of them.
		return warning(l.check, "that is --request-timeout, and no proxy", "the relay lets nobody wait longer than %s", lasted)
	case lasted >= e.idle:
		f := bad(l.check, l.means, "after %s of silence nothing passes any more: %s", e.idle, r).mendedBy(l.mends)
		f.late = true
		return f
	}
	return bad(l.check, l.means, "cut off after %s: %s", lasted, r).mendedBy(l.mends)
}

// waitReceiving waits for a message that comes when the quiet is over.
func (e *exam) waitReceiving(ctx context.Context, path string, over <-chan struct{}) reply {
	return e.meet(ctx, over, getting(path), posting(path, "late"))
}

// waitHTTP2 waits for a message over HTTP/2, where there is that.
func (e *exam) waitHTTP2(ctx context.Context, path string, over <-chan struct{}) reply {
	if e.base.Scheme != "https" {
		return reply{err: errNotBegun}
	}
	t := e.transport(true)
	defer t.CloseIdleConnections()
	via := &http.Client{Transport: t, CheckRedirect: e.http.CheckRedirect}
	resp, err := e.ask(ctx, question{method: http.MethodGet, path: "/healthz", via: via})
	if err != nil {
		return reply{err: errNotBegun} // that is the finding of another check
	}
	resp.Body.Close()
	if resp.ProtoMajor < 2 {
		return reply{err: errNotBegun}
	}
	waits := getting(path)
	waits.via = via
	return e.meet(ctx, over, waits, posting(path, "late"))
}

// waitSending waits for a receiver that comes when the quiet is over.
func (e *exam) waitSending(ctx context.Context, path string, over <-chan struct{}) reply {
	return e.meet(ctx, over, posting(path, "early"), getting(path))
}

// meet puts one question, and when that has waited its time the other. What
// the first one gets is what counts, unless the other one fails.
func (e *exam) meet(ctx context.Context, over <-chan struct{}, waits, comes question) reply {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	first := make(chan reply, 1)
	go func() { first <- e.get(ctx, waits) }()
	select {
	case r := <-first:
		return tooSoon(r)
	case <-over:
	}
	late, stop := context.WithTimeout(ctx, soon)
	defer stop()
	if r := e.get(late, comes); !r.ok() {
		cancel()
		<-first
		return r
	}
	select {
	case r := <-first:
		return r
	case <-late.Done():
		cancel()
		<-first
		return reply{err: late.Err()}
	}
}

// tooSoon makes sure that an answer before its time is no good one.
func tooSoon(r reply) reply {
	if r.ok() {
		r.err = io.ErrUnexpectedEOF
	}
	return r
}

// errNotBegun is the error of a lull that another check tells of.
var errNotBegun = errors.New("not connected")

// pauseSending sends a message to a receiver, and pauses after its first line.
func (e *exam) pauseSending(ctx context.Context, path string, over <-chan struct{}) reply {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	body, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	t := e.transport(false)
	defer t.CloseIdleConnections()
	dial := t.DialContext
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err == nil {
			c = &noticed{c, func() { cut(io.ErrUnexpectedEOF) }}
		}
		return c, err
	}
	send := question{method: http.MethodPost, path: path, body: holding(body, over), size: -1, via: &http.Client{Transport: t}}
	sent, got := make(chan reply, 1), make(chan reply, 1)
	go func() { sent <- e.get(ctx, send) }()
	go func() { got <- e.get(ctx, getting(path)) }()
	var s, g reply
	select {
	case s = <-sent:
		cancel(context.Canceled)
		g = <-got
	case g = <-got:
		cancel(context.Canceled)
		s = <-sent
	case <-over:
		late := time.AfterFunc(soon, func() { cancel(context.DeadlineExceeded) })
		defer late.Stop()
		if s, g = <-sent, <-got; s.ok() && g.ok() && g.text == firstLine+secondLine {
			return g
		}
	}
	_, what := trouble(s, g)
	if errors.Is(what.err, context.Canceled) {
		what.err = context.Cause(ctx)
	}
	return tooSoon(what)
}

// A noticed connection tells when its other side has ended it. net/http does not
// say so while it waits for more of a body.
type noticed struct {
	net.Conn
	gone func()
}

func (n *noticed) Read(p []byte) (int, error) {
	read, err := n.Conn.Read(p)
	if err != nil {
		n.gone()
	}
	return read, err
}

// pauseSocket says nothing on a WebSocket, and then hears itself. When none can be
// opened, that is the finding of another check.
func (e *exam) pauseSocket(ctx context.Context, _ string, over <-chan struct{}) reply {
	conn, answer := e.dialSocket(ctx, "idle")
	if conn == nil {
		return reply{err: fmt.Errorf("%w: %s", errNotBegun, answer)}
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	heard := make(chan error, 1)
	go func() { // it also answers the relay's pings
		_, _, err := conn.ReadMessage()
		heard <- err
	}()
	select {
	case err := <-heard:
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return reply{err: err}
	case <-over:
	}
	conn.SetReadDeadline(time.Now().Add(soon)) //nolint:errcheck // the read says it
	err := conn.WriteMessage(websocket.TextMessage, []byte("late"))
	if read := <-heard; err == nil {
		err = read
	}
	return reply{status: http.StatusOK, err: err}
}

// heartbeats are the interim responses that a waiting request got.
type heartbeats struct {
	mu    sync.Mutex // guards all below
	begun time.Time
	count int
	first time.Duration

	lasted time.Duration // how long they were listened for; for whoever waited for that
}

func (b *heartbeats) listen(ctx context.Context) context.Context {
	b.begun = time.Now()
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.count++; b.count == 1 {
			b.first = time.Since(b.begun)
		}
		return nil
	}})
}

func (b *heartbeats) finding(e *exam) Finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.count > 0 {
		return good("interim", "%d heartbeats (100 Continue) arrived in %s, the first after %s", b.count, e.idle, b.first.Round(100*time.Millisecond))
	}
	if b.lasted < e.idle {
		return good("interim", "whether heartbeats (100 Continue) arrive is not known: the wait was cut off after %s", b.lasted.Round(100*time.Millisecond))
	}
	return good("interim", "no heartbeat (100 Continue) arrived here in %s; most proxies keep them to themselves, which does no harm", e.idle)
}

package doctor

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const firstLine, secondLine = "the first line\n", "the second line\n"

// A held body has two lines, the second of which comes only when it is released.
// Of several tries of one request each begins with the first line.
type held struct {
	ctx           context.Context // ends a wait for the second line
	first, second *strings.Reader
	release       <-chan struct{}
	shut          chan struct{}
	once          sync.Once
}

func holding(ctx context.Context, release <-chan struct{}) func() io.Reader {
	return func() io.Reader {
		return &held{
			ctx: ctx, first: strings.NewReader(firstLine), second: strings.NewReader(secondLine),
			release: release, shut: make(chan struct{}),
		}
	}
}

func (h *held) Read(p []byte) (int, error) {
	if n, err := h.first.Read(p); err == nil {
		return n, nil
	}
	select {
	case <-h.release:
		return h.second.Read(p)
	case <-h.shut:
		return 0, io.ErrClosedPipe
	case <-h.ctx.Done():
		return 0, context.Cause(h.ctx)
	}
}

// Close is what net/http calls when it needs no more; it may be while Read waits.
func (h *held) Close() error {
	h.once.Do(func() { close(h.shut) })
	return nil
}

// lines asks and hands out the lines of the answer as they come, until it ends or
// ctx does; then the channel is closed.
func (e *exam) lines(ctx context.Context, q question) <-chan string {
	found := make(chan string)
	go func() {
		defer close(found)
		resp, err := e.ask(ctx, q)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return
		}
		for r := bufio.NewReader(resp.Body); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case found <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return found
}

// arrives tells whether a line comes within the time that is due.
func arrives(lines <-chan string) (came bool) {
	late := time.NewTimer(soon)
	defer late.Stop()
	select {
	case _, came = <-lines:
		return came
	case <-late.C:
		return false
	}
}

// rest waits for the end of the lines.
func rest(lines <-chan string) {
	for open := true; open; {
		_, open = <-lines
	}
}

// buffering looks whether the proxy keeps requests or responses back until they
// are whole.
func (e *exam) buffering(ctx context.Context) []Finding {
	const means = "receivers see what comes when the proxy's buffer is full, or never"
	const late = "what is sent line by line, or without end, arrives late or never"
	response := good("response-buffering", "off: what a receiver gets, it gets at once")
	request := good("request-buffering", "off: what is sent arrives before its end is sent")
	switch follower := e.followed(ctx); {
	case !follower.ok():
		response = bad(response.Check, "streams do not pass", "a message for a follower gets %s", follower)
	case follower.text == "":
		response = bad(response.Check, means, "the first of two messages had not arrived after %s", soon).mendedBy(remedyResponses)
	}
	switch _, came, answer := e.inParts(ctx, "/parts", -1); {
	case answer == nil:
		request = bad(request.Check, late, "the relay had not heard of a message %s after its first line", soon).mendedBy(remedyRequests)
	case !answer.ok():
		request = bad(request.Check, late, "a message that comes in parts gets %s", answer).mendedBy(remedyRequests)
	case !came && response.Verdict == VerdictOK:
		request = bad(request.Check, late, "the first line of a message had not arrived after %s, as the second was still to come", soon).mendedBy(remedyRequests)
	}
	if response.Verdict == VerdictOK && request.Verdict == VerdictOK {
		// Proxies that let streams through may still keep back what has a length.
		if heard, came, _ := e.inParts(ctx, "/length", int64(len(firstLine+secondLine))); heard && !came {
			response = bad(response.Check, means, "of a message of known length the first line had not arrived after %s, as the second was still to come", soon).
				mendedBy(remedyResponses, remedyRequests)
		}
	}
	return []Finding{response, request}
}

// followed sends two short messages to a follower, the second when the first has
// arrived or is late. The reply is the sender's; its text is empty when it was late.
func (e *exam) followed(ctx context.Context) reply {
	ctx, cancel := context.WithCancel(ctx)
	path := "/topic/" + strings.TrimPrefix(e.channel, "/p/") + "/follow"
	lines := e.lines(ctx, getting(path+"?persist=true"))
	defer func() { cancel(); rest(lines) }()
	first := e.get(ctx, posting(path+"?timeout=5s", firstLine)) // waits for the follower
	if !first.ok() {
		return first
	}
	if first.text = ""; arrives(lines) {
		first.text = firstLine
	}
	e.get(ctx, posting(path+"?timeout=5s", secondLine))
	return first
}

// inParts sends a message whose second line waits for the first to arrive. heard
// says that the relay knew of the sender by then, came that the line was there. The
// answer is what the sender gets in the end; nil when the relay did not hear of it.
func (e *exam) inParts(ctx context.Context, name string, size int64) (heard, came bool, answer *reply) {
	ctx, cancel := context.WithTimeout(ctx, 3*soon)
	defer cancel()
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	sent := make(chan reply, 1)
	go func() {
		sent <- e.get(ctx, question{method: http.MethodPost, path: e.channel + name, body: holding(ctx, release), size: size})
	}()
	switch heard, answer = e.heardOf(ctx, e.channel+name, sent); {
	case answer != nil:
		return false, false, answer
	case !heard:
		cancel()
		<-sent
		return false, false, nil
	}
	lines := e.lines(ctx, getting(e.channel+name))
	came = arrives(lines)
	free()
	rest(lines)
	end := <-sent
	return true, came, &end
}

// heardOf waits until the relay knows that somebody sends, which it tells only when
// it is asked. When it does not in time, or the sender gets an answer, heard is
// false.
func (e *exam) heardOf(ctx context.Context, path string, sent <-chan reply) (heard bool, answer *reply) {
	late := time.NewTimer(soon)
	defer late.Stop()
	again := time.NewTicker(250 * time.Millisecond)
	defer again.Stop()
	for {
		if r := e.get(ctx, question{method: http.MethodHead, path: path}); r.header.Get("Patch-Producers") == "1" {
			return true, nil
		}
		select {
		case r := <-sent:
			return false, &r
		case <-late.C:
			return false, nil
		case <-again.C:
		}
	}
}

// expect sends a message only when it is asked to go on, which the relay does when
// a receiver is there, and a proxy at once.
func (e *exam) expect(ctx context.Context) []Finding {
	const means = "curl asks so before every longer message"
	ctx, cancel := context.WithTimeout(ctx, 3*soon)
	defer cancel()
	var early, taken atomic.Bool
	trace := &httptrace.ClientTrace{Got100Continue: func() { early.Store(early.Load() || !taken.Load()) }}
	q := posting(e.channel+"/expect", "x")
	q.header = http.Header{"Expect": {"100-continue"}}
	sent := make(chan reply, 1)
	go func() { sent <- e.get(httptrace.WithClientTrace(ctx, trace), q) }()
	switch heard, answer := e.heardOf(ctx, q.path, sent); {
	case answer != nil:
		return []Finding{bad("expect", means, "a message with Expect: 100-continue gets %s", answer)}
	case !heard:
		cancel()
		<-sent
		return []Finding{bad("expect", means, "the relay had not heard of a message with Expect: 100-continue after %s", soon)}
	}
	taken.Store(true)
	got := e.get(ctx, getting(q.path))
	if answer := <-sent; !got.ok() || !answer.ok() {
		who, what := trouble(answer, got)
		return []Finding{bad("expect", means, "a message with Expect: 100-continue does not arrive: %s got %s", who, what)}
	}
	if early.Load() {
		return []Finding{good("expect", "100 Continue comes from the proxy, before a receiver is there; a part of the message has left by then, which does no harm")}
	}
	return []Finding{good("expect", "100 Continue comes when a receiver is there")}
}

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"

	"github.com/gorilla/websocket"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// A question is one request of the doctor's.
type question struct {
	method string
	path   string           // escaped, with the query
	body   func() io.Reader // makes it, for every try anew; nil is none
	size   int64            // of body; -1 is not known
	header http.Header
	via    *http.Client // nil is the exam's
}

// posting sends a short message.
func posting(path, text string) question {
	return question{
		method: http.MethodPost, path: path, size: int64(len(text)),
		body: func() io.Reader { return strings.NewReader(text) },
	}
}

// getting receives one.
func getting(path string) question { return question{method: http.MethodGet, path: path} }

// ask puts a question and returns the response, whose body is the caller's to
// close. It keeps to the pace, and tries again where the relay says "too many".
func (e *exam) ask(ctx context.Context, q question) (*http.Response, error) {
	for {
		if err := e.pace.Wait(ctx); err != nil {
			return nil, err
		}
		var body io.Reader
		if q.body != nil {
			body = q.body()
		}
		req, err := http.NewRequestWithContext(ctx, q.method, strings.TrimRight(e.base.String(), "/")+q.path, body)
		if err != nil {
			return nil, err
		}
		if q.header != nil {
			req.Header = q.header.Clone()
		}
		if body != nil {
			req.ContentLength = q.size
		}
		req.Header.Set("User-Agent", "patchwork-doctor/"+cmdline.Version())
		via := e.http
		if q.via != nil {
			via = q.via
		}
		resp, err := via.Do(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests {
			return resp, err
		}
		resp.Body.Close()
		if err := client.Pause(ctx, client.RetryAfter(resp.Header)); err != nil {
			return nil, err
		}
	}
}

// A reply is a whole response, or why there is none.
type reply struct {
	status int
	text   string
	header http.Header
	err    error
}

// ok tells whether the answer is a message, or word of one.
func (r reply) ok() bool { return r.err == nil && r.status/100 == 2 }

// String says in a few words what the answer was.
func (r reply) String() string {
	var timeout net.Error
	var closed *websocket.CloseError
	switch {
	case errors.Is(r.err, context.DeadlineExceeded), errors.As(r.err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(r.err, io.EOF), errors.Is(r.err, io.ErrUnexpectedEOF), errors.Is(r.err, syscall.ECONNRESET),
		errors.As(r.err, &closed) && closed.Code == websocket.CloseAbnormalClosure:
		return "the connection was cut"
	case r.err != nil:
		var outer *url.Error
		if errors.As(r.err, &outer) {
			return outer.Err.Error()
		}
		return r.err.Error()
	}
	line := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if text := strings.TrimSpace(r.text); text != "" && len(text) < 200 && !strings.Contains(text, "<") {
		line += " (" + text + ")"
	}
	return line
}

// get puts a question and reads the answer, of which a MiB is kept at most.
func (e *exam) get(ctx context.Context, q question) reply {
	resp, err := e.ask(ctx, q)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return reply{resp.StatusCode, string(text), resp.Header, err}
}

// exchange sends a message and receives it, both at once. When one side fails
// the other is not waited for.
func (e *exam) exchange(ctx context.Context, send, take question) (sent, got reply) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() {
		if sent = e.get(ctx, send); !sent.ok() {
			cancel()
		}
	})
	both.Go(func() {
		if got = e.get(ctx, take); !got.ok() {
			cancel()
		}
	})
	both.Wait()
	return sent, got
}

// trouble is the side of an exchange that failed first, as far as can be told: the
// other one was only called off.
func trouble(sent, got reply) (who string, what reply) {
	if !sent.ok() && !errors.Is(sent.err, context.Canceled) {
		return "the sender", sent
	}
	return "the receiver", got
}

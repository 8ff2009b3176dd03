package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/yamux"
)

// client is one session of an exposure, from its open to its end.
type client struct {
	*exposure
	token  string // connect token
	stream *stream
	posts  sync.WaitGroup
}

// session publishes the prefix once and returns when it is lost, or ctx ended.
func (e *exposure) session(ctx context.Context) (published bool, err error) {
	opening, cancel := context.WithCancel(ctx)
	defer cancel() // the public server keeps its answer open until the first pair
	limit := time.AfterFunc(2*handOverLimit, cancel)
	defer limit.Stop()
	token, opened, err := e.open(opening)
	if err != nil {
		return false, err
	}
	c := &client{exposure: e, token: token, stream: newStream()}
	defer c.posts.Wait()
	defer c.stream.end(ErrClosed)
	err = c.pair(opening)
	opened.Close()
	if err != nil {
		return false, c.reason(ctx, err)
	}
	limit.Stop()
	mux, err := yamux.Client(c.stream, muxConfig())
	if err != nil {
		return false, err
	}
	e.o.Log.Info("tunnel open", "url", e.publicURL(), "local", e.o.Local)
	if e.o.Ready != nil {
		e.o.Ready(e.publicURL())
	}
	return true, c.reason(ctx, c.serve(ctx, mux))
}

// serve answers requests and replaces pairs until the session ends. It returns
// when no goroutine of its own is left.
func (c *client) serve(ctx context.Context, mux *yamux.Session) error {
	var crew crew
	var wg sync.WaitGroup
	server := &http.Server{Handler: c.handler, ErrorLog: log.New(io.Discard, "", 0)}
	wg.Go(func() { _ = server.Serve(newListener(mux, &crew)) })
	wg.Go(func() {
		if err := c.replace(); err != nil {
			c.stream.end(err)
		}
	})
	select {
	case <-mux.CloseChan():
	case <-c.stream.ctx.Done():
	case <-ctx.Done():
		quiet, cancel := context.WithTimeout(context.Background(), lastWords)
		_ = server.Shutdown(quiet)
		cancel()
	}
	err := context.Cause(c.stream.ctx)
	mux.Close()
	c.stream.Close()
	server.Close()
	wg.Wait()
	crew.finish()
	if err == nil {
		err = ErrLost
	}
	return err
}

// reason prefers what the relay says about a session that ended to how its end
// looked from here.
func (c *client) reason(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Status == http.StatusGone {
		return ErrTakenOver
	}
	ctx, cancel := context.WithTimeout(ctx, goodbye)
	defer cancel()
	response, asked := c.post(ctx, "read", http.NoBody)
	if asked == nil {
		response.Body.Close() // it did not know yet that this session is over
	} else if errors.As(asked, &refused) && refused.Status == http.StatusGone {
		return ErrTakenOver
	}
	return err
}

// open asks for the prefix and returns the connect token, and the answer, which
// the public server ends only when the first pair is there.
func (e *exposure) open(ctx context.Context) (token string, opened io.Closer, err error) {
	form := url.Values{"prefix": {e.o.Prefix}, "token": {e.o.Token}}
	response, err := e.request(ctx, "open", "", "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	token, err = bufio.NewReader(io.LimitReader(response.Body, 64<<10)).ReadString('\n')
	if err != nil {
		response.Body.Close()
		return "", nil, fmt.Errorf("%w: the relay sent no connect token", ErrProtocol)
	}
	return strings.TrimSpace(token), response.Body, nil
}

func (c *client) post(ctx context.Context, half string, body io.Reader) (*http.Response, error) {
	return c.request(ctx, half, url.Values{"token": {c.token}}.Encode(), "application/octet-stream", body)
}

// request returns the answer when it is 200, and a RefusedError for others.
func (e *exposure) request(ctx context.Context, what, query, kind string, body io.Reader) (*http.Response, error) {
	u := *e.server
	u.Path = strings.TrimSuffix(u.Path, "/") + SendItPath + what
	u.RawQuery = query
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", kind)
	response, err := e.transport.RoundTrip(r)
	if err != nil {
		// Without the URL, which holds a token.
		return nil, fmt.Errorf("cannot reach the relay: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		line, _ := bufio.NewReader(io.LimitReader(response.Body, 1<<10)).ReadString('\n')
		response.Body.Close()
		return nil, &RefusedError{Status: response.StatusCode, Line: strings.TrimSpace(line), open: what == "open"}
	}
	return response, nil
}

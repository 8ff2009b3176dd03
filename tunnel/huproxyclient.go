package tunnel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// HuproxyClient joins stdin and stdout to the target of a huproxy URL, like
// wss://HOST/huproxy/USER/TARGET/PORT, until both directions have ended; it is what
// stands behind an OpenSSH ProxyCommand. The proxies of the environment are used.
//
// The end of stdin is passed on while stdout goes on, and the other way round
// stdout is closed, when it can be. A read of stdin that cannot be interrupted, as
// one of a terminal, is left behind when the connection breaks. Errors are one
// plain line; a refusal of the relay is a [*RefusedError].
func HuproxyClient(ctx context.Context, address, token string, stdin io.Reader, stdout io.Writer) error {
	u, err := webSocketURL(address)
	if err != nil {
		return err
	}
	header := http.Header{}
	if token != "" {
		header.Set("Authorization", "Bearer "+token)
	}
	dialer := websocket.Dialer{
		Proxy: http.ProxyFromEnvironment, HandshakeTimeout: 30 * time.Second, Subprotocols: []string{halfCloses},
		ReadBufferSize: 32 << 10, WriteBufferSize: 32 << 10,
	}
	conn, response, err := dialer.DialContext(ctx, u, header)
	if response != nil {
		defer response.Body.Close() // what there is of it is in memory
	}
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case response != nil:
		line, _ := bufio.NewReader(io.LimitReader(response.Body, 1<<10)).ReadString('\n')
		return &RefusedError{Status: response.StatusCode, Line: strings.TrimSpace(line)}
	default:
		return fmt.Errorf("cannot connect to the relay: %w", err)
	}
	pr, pw := io.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		failed, _ := transfer(pw, stdin)
		pw.CloseWithError(failed) // nil is io.EOF
	}()
	err = newFrames(conn).join(ctx, &standard{PipeReader: pr, out: stdout})
	if interrupt(stdin) {
		<-read
	}
	return err
}

func webSocketURL(address string) (string, error) {
	u, err := url.Parse(address)
	if err == nil && u.Host != "" && u.User == nil {
		switch u.Scheme {
		case "ws", "wss":
			return u.String(), nil
		case "http", "https":
			u.Scheme = "ws" + strings.TrimPrefix(u.Scheme, "http")
			return u.String(), nil
		}
	}
	return "", fmt.Errorf("%s is not a huproxy URL: write wss://HOST/huproxy/USER/TARGET/PORT", quoted(address))
}

// standard is standard input and output as the end of a join.
type standard struct {
	*io.PipeReader
	out io.Writer
}

func (s *standard) Write(p []byte) (int, error) { return s.out.Write(p) }

func (s *standard) CloseWrite() error {
	if c, ok := s.out.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// interrupt ends a read of r under way, and says whether it could.
func interrupt(r io.Reader) bool {
	if d, ok := r.(interface{ SetReadDeadline(time.Time) error }); ok {
		if err := d.SetReadDeadline(time.Unix(1, 0)); err == nil || !errors.Is(err, os.ErrNoDeadline) {
			return err == nil
		}
	}
	if _, ok := r.(*os.File); ok {
		return false // closing it waits for nobody, and wakes nobody
	}
	if c, ok := r.(io.Closer); ok {
		c.Close()
		return true
	}
	return false
}

package client

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestAConnectionThatEndsIsToldWithoutSockets has a server end connections in several
// ways; what the user reads names none of its sockets and system calls.
func TestAConnectionThatEndsIsToldWithoutSockets(t *testing.T) {
	for name, end := range map[string]func(*net.TCPConn){
		"closed at once": func(*net.TCPConn) {},
		"reset":          func(c *net.TCPConn) { c.SetLinger(0) },
		"reset under a request": func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 100))
			c.SetLinger(0)
		},
		"closed in the answer": func(c *net.TCPConn) {
			io.ReadFull(c, make([]byte, 100))
			io.WriteString(c, "HTTP/1.1 200")
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan struct{})
			go func() {
				defer close(served)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					end(c.(*net.TCPConn))
					c.Close()
				}
			}()
			defer func() { l.Close(); <-served }()
			c := &Client{Base: &url.URL{Scheme: "http", Host: l.Addr().String()}, HTTP: &http.Client{Transport: &http.Transport{}}}
			_, err = c.Do(t.Context(), Call{Method: http.MethodPost, Path: "/p/x", Body: bytes.NewReader(make([]byte, 8<<20)), Size: 8 << 20})
			var link *LinkError
			if !errors.As(err, &link) {
				t.Fatalf("got %v, want a *LinkError", err)
			}
			text := strings.Replace(err.Error(), c.Base.String(), "", 1)
			if !strings.Contains(text, "was reset; try again") && !strings.Contains(text, "broke off; try again") {
				t.Errorf("it says %q", err)
			}
		})
	}
}

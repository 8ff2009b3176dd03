package httpfront

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"patchwork/broker"
)

// A pipeListener gives a server connections in memory, which know deadlines, so
// that minutes pass at once.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { close(l.closed); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

// say opens a connection and sends text.
func (l *pipeListener) say(t *testing.T, text string) net.Conn {
	t.Helper()
	client, server := net.Pipe()
	l.conns <- server
	if _, err := io.WriteString(client, text); err != nil {
		t.Fatal(err)
	}
	return client
}

// inMemory runs f with a relay in a bubble of fake time.
func inMemory(t *testing.T, f func(t *testing.T, s *Server, l *pipeListener)) {
	synctest.Test(t, func(t *testing.T) {
		b := broker.New(broker.Options{})
		s, err := New(Config{Broker: b, MaxWaiting: 1000, WriteTimeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		l := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		f(t, s, l)
		b.Close()
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

const idleHook = "POST /h/x HTTP/1.1\r\nHost: x\r\nX-Gitea-Signature: " +
	"0000000000000000000000000000000000000000000000000000000000000000\r\nContent-Length: %d\r\n\r\n"

// A signed webhook is held whole until its signature is checked. A body that is
// announced and does not come takes no room, so that others have it.
func TestWebhooksThatAnnounceABodyAndSendNothingTakeNoRoom(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, l *pipeListener) {
		var idle []net.Conn
		for range 40 { // a gigabyte, if it were believed
			idle = append(idle, l.say(t, fmt.Sprintf(idleHook, maxSigned)))
		}
		synctest.Wait()
		if !s.hooks.room.TryAcquire(allSigned - 40*heldStep) {
			t.Error("what was announced is taken for held")
		} else {
			s.hooks.room.Release(allSigned - 40*heldStep)
		}
		for _, c := range idle {
			c.Close()
		}
	})
}

// Nor does it take a place for ever, though its client is there and keeps the
// connection open.
func TestAWebhookWhoseBodyDoesNotComeIsCutOff(t *testing.T) {
	for _, announced := range []int{10, 100_000, maxSigned} {
		for _, body := range []string{"", "x"} {
			inMemory(t, func(t *testing.T, s *Server, l *pipeListener) {
				begun := time.Now()
				c := l.say(t, fmt.Sprintf(idleHook, announced)+body)
				defer c.Close()
				answer, err := io.ReadAll(c)
				if err != nil || time.Since(begun) != signedTime {
					t.Errorf("%q of %d: %q %v after %v", body, announced, answer, err, time.Since(begun))
				}
				synctest.Wait()
				s.hasRoom(t)
				if n := s.waitingRequests(); n != 0 {
					t.Errorf("%d places are taken", n)
				}
			})
		}
	}
}

// A trickle is no reason to wait longer.
func TestAWebhookWhoseBodyTricklesIsCutOff(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, l *pipeListener) {
		begun := time.Now()
		c := l.say(t, fmt.Sprintf(idleHook, maxSigned))
		defer c.Close()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			io.Copy(io.Discard, c) //nolint:errcheck // the end is all that counts
		}()
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				break
			}
			<-time.After(time.Second)
		}
		<-ended
		if d := time.Since(begun); d > signedTime+time.Second {
			t.Errorf("cut off after %v", d)
		}
		synctest.Wait()
		s.hasRoom(t)
	})
}

func TestAWebhookThatIsTooLongOrWrongGivesItsRoomBack(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, l *pipeListener) {
		for _, c := range []struct {
			head, body string
			code       int
		}{
			{fmt.Sprintf(idleHook, 100_000), strings.Repeat("x", 100_000), 401},
			{strings.Replace(idleHook, "Content-Length: %d", "Transfer-Encoding: chunked", 1),
				fmt.Sprintf("%x\r\n%s", maxSigned+1, strings.Repeat("x", maxSigned+1)), 413},
			{fmt.Sprintf(idleHook, maxSigned+1), "", 413},
		} {
			conn := l.say(t, c.head)
			go io.WriteString(conn, c.body) //nolint:errcheck // it may not be wanted any more
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || res.StatusCode != c.code {
				t.Errorf("%v %v, want %d", res, err, c.code)
			}
			conn.Close()
			synctest.Wait()
			s.hasRoom(t)
		}
	})
}

// Who sends all but the last byte holds what came, for a minute: of that no address
// has so much that there is none for others.
func TestOneAddressCannotTakeAllTheRoomForWebhooks(t *testing.T) {
	inMemory(t, func(t *testing.T, s *Server, l *pipeListener) {
		var stalled []net.Conn
		refused := false
		for !refused && len(stalled) < 2*allSigned/maxSigned {
			c := l.say(t, fmt.Sprintf(idleHook, maxSigned))
			stalled = append(stalled, c)
			go io.WriteString(c, strings.Repeat("x", maxSigned-1)) //nolint:errcheck // it may not be wanted
			c.SetReadDeadline(time.Now().Add(time.Second))         //nolint:errcheck // a pipe has deadlines
			if res, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
				refused = res.StatusCode == http.StatusTooManyRequests
			}
		}
		if !refused || !s.hooks.room.TryAcquire(allSigned-mostSigned) {
			t.Errorf("%d bodies took the room of all", len(stalled))
		} else {
			s.hooks.room.Release(allSigned - mostSigned)
		}
		for _, c := range stalled {
			c.Close()
		}
		synctest.Wait()
		s.hasRoom(t)
	})
}

// hasRoom wants nothing to be held.
func (s *Server) hasRoom(t *testing.T) {
	t.Helper()
	if !s.hooks.room.TryAcquire(allSigned) {
		t.Error("some room is still taken")
		return
	}
	s.hooks.room.Release(allSigned)
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	for _, c := range s.limits.clients {
		if c.held != 0 {
			t.Errorf("%d bytes are still booked", c.held)
		}
	}
}

// waitingRequests counts the places that clients take.
func (s *Server) waitingRequests() (n int) {
	s.limits.mu.Lock()
	defer s.limits.mu.Unlock()
	for _, c := range s.limits.clients {
		n += c.waiting
	}
	return n
}

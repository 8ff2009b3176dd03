package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A plainRelay is an SSH server that knows none of Patchwork's requests. What it does
// with the n-th command is serve's: it reads stdin and returns the exit status.
type plainRelay struct {
	t     *testing.T
	addr  string
	serve func(n int, stdin io.Reader) (exit uint32, said string)
	jobs  sync.WaitGroup
}

func newPlainRelay(t *testing.T, serve func(n int, stdin io.Reader) (uint32, string)) *plainRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	r := &plainRelay{t: t, addr: l.Addr().String(), serve: serve}
	config := &ssh.ServerConfig{PublicKeyCallback: func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, nil }}
	config.AddHostKey(newKey(t))
	r.jobs.Go(func() {
		for n := 0; ; n++ {
			raw, err := l.Accept()
			if err != nil {
				return
			}
			r.jobs.Go(func() { r.connection(raw, config, n) })
		}
	})
	t.Cleanup(func() { l.Close(); r.jobs.Wait() })
	return r
}

func (r *plainRelay) connection(raw net.Conn, config *ssh.ServerConfig, n int) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, config)
	if err != nil {
		return
	}
	defer conn.Close()
	r.jobs.Go(func() { ssh.DiscardRequests(requests) })
	for channel := range channels {
		ch, asked, err := channel.Accept()
		if err != nil {
			return
		}
		r.jobs.Go(func() {
			for req := range asked {
				_ = req.Reply(req.Type == "exec", nil)
				if req.Type == "exec" {
					r.jobs.Go(func() {
						exit, said := r.serve(n, ch)
						_, _ = io.WriteString(ch.Stderr(), said)
						_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ N uint32 }{exit}))
						ch.Close()
					})
				}
			}
		})
	}
}

// said collects what is logged.
type said struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// An outage is one line of the log, however often the relay is asked.
func TestARelayThatRefusesIsToldOnce(t *testing.T) {
	var tries atomic.Int32
	refuses := newPlainRelay(t, func(n int, _ io.Reader) (uint32, string) {
		tries.Store(int32(n + 1))
		return 1, "you may not\n"
	}).addr
	resets := newReset(t, &tries)
	for name, test := range map[string]struct{ addr, told string }{
		"the command is refused":  {refuses, "exit status 1: you may not"},
		"connections are refused": {resets, "does not speak SSH as it should"},
	} {
		t.Run(name, func(t *testing.T) {
			tries.Store(0)
			l, log := newLink(t, test.addr, newQueue(1<<20)), &said{}
			l.status = newStatus(slog.New(slog.NewTextHandler(log, nil)))
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			defer running.Wait()
			defer stop()
			running.Go(func() { l.run(ctx) })
			must(t, await("it tries again", func() error {
				if n := tries.Load(); n < 4 {
					return fmt.Errorf("%d tries", n)
				}
				return nil
			}))
			stop()
			running.Wait()
			if text := log.String(); strings.Count(text, "level=WARN") != 1 || strings.Count(text, "level=INFO") > 1 || !strings.Contains(text, test.told) {
				t.Errorf("it says\n%s", text)
			}
			if _, relay := l.status.get(); relay == nil {
				t.Error("/health takes the relay for connected")
			}
		})
	}
}

// newReset is a server that resets each connection, and counts them.
func newReset(t *testing.T, tries *atomic.Int32) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var serving sync.WaitGroup
	t.Cleanup(func() { l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
			tries.Add(1)
		}
	})
	return l.Addr().String()
}

func newLink(t *testing.T, addr string, q *queue) *link {
	log := discard()
	return &link{relay: destination{"me", addr}, command: "pub container-drain -b=false", key: newKey(t),
		hosts: &hostKeys{log: log}, queue: q, losses: &losses{log: log}, status: newStatus(log), log: log}
}

// A command that looks at its rights after SSH took its data loses nothing, though the
// relay answers that it has it.
func TestWhatIsRefusedRightAwayIsSentAgainToARelayThatDoesNotTell(t *testing.T) {
	var got strings.Builder
	r := newPlainRelay(t, func(n int, stdin io.Reader) (uint32, string) {
		if n == 0 {
			_, _ = io.ReadFull(stdin, make([]byte, 4))
			return 1, "hello\nyou may not\n"
		}
		_, _ = io.Copy(&got, stdin)
		return 0, ""
	})
	from := newTail(t)
	q := from.pipe.queue
	for i := range 10 {
		put(t, q, from, fmt.Sprintf("line %d\n", i))
	}
	l := newLink(t, r.addr, q)
	var running sync.WaitGroup
	running.Go(func() { l.run(t.Context()) })
	must(t, await("all is confirmed while the session lasts", func() error {
		if c := q.counts(); c.Sent != 10 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	}))
	q.close()
	running.Wait()
	if want := 10; strings.Count(got.String(), "\n") != want {
		t.Errorf("%q", got.String())
	}
}

// The exit status confirms the rest, and a link that has nothing to send does not wait
// for a relay that is away.
func TestALinkEndsWhenAllIsSent(t *testing.T) {
	var got strings.Builder
	r := newPlainRelay(t, func(_ int, stdin io.Reader) (uint32, string) {
		_, _ = io.Copy(&got, stdin)
		return 0, ""
	})
	from := newTail(t)
	q := from.pipe.queue
	put(t, q, from, "line\n")
	q.close()
	begun := time.Now()
	newLink(t, r.addr, q).run(t.Context())
	if c := q.counts(); c.Sent != 1 || got.String() != "line\n" || time.Since(begun) > probation {
		t.Errorf("%+v %q after %v", c, got.String(), time.Since(begun))
	}

	away, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	away.Close()
	q = newQueue(1 << 20)
	q.close()
	newLink(t, away.Addr().String(), q).run(t.Context())

	// With something to send it tries on, as long as it may.
	q = newQueue(1 << 20)
	put(t, q, from, "line\n")
	q.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	newLink(t, away.Addr().String(), q).run(ctx)
	if c := q.counts(); c.Waiting != 1 {
		t.Errorf("%+v", c)
	}
}

func TestWhyTheRelayEndedTheCommandIsSaid(t *testing.T) {
	r := newPlainRelay(t, func(int, io.Reader) (uint32, string) { return 1, "welcome\naccess denied\n" })
	l := newLink(t, r.addr, newQueue(1<<20))
	err := l.connection(t.Context(), t.Context())
	if want := "the relay ended the command with exit status 1: access denied"; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// probation is how long a session has to last before something counts as received
	// by a relay that does not tell, and before the next one is believed at once. SSH
	// takes data before the command has looked at its arguments and rights: what it
	// refuses then has to be sent again.
	probation = 2 * time.Second
	// published is how a Patchwork relay is asked how far it is: it answers yes when
	// so many bytes have been published. Other relays answer no, but do so after
	// they took what was sent before.
	published = "published@patchwork"
)

// A link carries the lines of the queue to the relay, over a connection that is
// made anew whenever it breaks. What was received is explained at the top of
// main.go.
type link struct {
	relay   destination
	command string
	key     ssh.Signer
	hosts   *hostKeys
	queue   *queue
	losses  *losses
	status  *status
	log     *slog.Logger

	brief bool // the last session did not last for its probation; of run
}

// run returns when the queue is closed and empty, or with ctx's end.
func (l *link) run(ctx context.Context) {
	// An empty queue is not to wait for a relay that is away.
	needed, done := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer done()
	watching.Go(func() {
		if l.queue.done(needed) == nil {
			done()
		}
	})

	wait := backoff{first: 250 * time.Millisecond, most: 30 * time.Second}
	for {
		err := l.connection(ctx, needed)
		if err == nil || needed.Err() != nil {
			return
		}
		wait.worked(l.status.setRelay(err))
		if wait.wait(needed) != nil {
			return
		}
	}
}

// connection connects, as long as that is needed, and sends until that breaks or ctx
// ends. It returns nil when the queue was closed and the relay has taken everything.
func (l *link) connection(ctx, needed context.Context) error {
	conn, err := l.dial(needed)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	var jobs sync.WaitGroup
	defer jobs.Wait()
	// A write that blocks ends in no other way.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	defer cancel(nil)
	jobs.Go(func() { keep(ctx, conn, cancel) })

	session, err := conn.NewSession()
	if err != nil {
		return fmt.Errorf("the relay opens no session: %w", err)
	}
	talk := &lastWords{}
	session.Stderr = talk
	stdin, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.Start(l.command); err != nil {
		return fmt.Errorf("the relay does not start %q: %w", l.command, err)
	}
	ended := make(chan error, 1)
	jobs.Go(func() {
		err := session.Wait()
		ended <- err
		cancel(sessionError(err, talk.String()))
	})
	begun, doubted := time.Now(), l.brief
	defer func() { l.brief = time.Since(begun) < probation }()
	jobs.Go(func() { l.stands(ctx, doubted) })

	n := l.queue.rewind()
	jobs.Go(func() { l.confirm(ctx, session, n) })
	if err := l.send(ctx, stdin); err != nil {
		<-ctx.Done() // what ended the session knows why
		return context.Cause(ctx)
	}
	// All is sent. Exit status 0 confirms it.
	if err := stdin.Close(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	err = <-ended
	if err != nil {
		return sessionError(err, talk.String())
	}
	l.forget(l.queue.all())
	return nil
}

// stands says that the relay is connected. After a session that ended at once, as with
// a relay that refuses the command, it waits for the end of the probation, or each try
// would be told as a success and a failure.
func (l *link) stands(ctx context.Context, doubted bool) {
	if doubted {
		timer := time.NewTimer(probation)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
	}
	l.status.setRelay(nil)
	l.losses.flush()
}

// send writes what the queue has until that is closed and empty.
func (l *link) send(ctx context.Context, stdin io.Writer) error {
	buf := make([]byte, 0, packet)
	for {
		data, err := l.queue.next(ctx, buf[:0])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := stdin.Write(data); err != nil {
			return err
		}
		l.queue.wrote(data)
	}
}

// confirm asks the relay how far it is whenever something is on its way, and drops
// from the queue what was published. n is the number of lines that were before. A
// relay may take its time for the answer: as long as nobody listens, say.
func (l *link) confirm(ctx context.Context, session *ssh.Session, n uint64) {
	lived := time.NewTimer(probation)
	defer lived.Stop()
	for {
		m, err := l.queue.beyond(ctx, n)
		if err != nil {
			return
		}
		tells, err := session.SendRequest(published, true, ssh.Marshal(struct{ Bytes uint64 }{m.bytes}))
		if err != nil {
			return // the session has ended
		}
		if !tells {
			select {
			case <-lived.C:
				lived.Reset(0) // it has lived long enough for good
			case <-ctx.Done():
				return
			}
		}
		n = m.lines
		l.forget(n)
	}
}

// forget drops lines that the relay has.
func (l *link) forget(n uint64) {
	for _, line := range l.queue.confirm(n) {
		line.from.confirm(line.instant)
	}
}

// sessionError says why the command at the relay ended.
func sessionError(err error, words string) error {
	var exit *ssh.ExitError
	switch {
	case errors.As(err, &exit) && words != "":
		return fmt.Errorf("the relay ended the command with exit status %d: %s", exit.ExitStatus(), words)
	case errors.As(err, &exit):
		return fmt.Errorf("the relay ended the command with exit status %d", exit.ExitStatus())
	case errors.As(err, new(*ssh.ExitMissingError)):
		return errors.New("the connection is lost")
	case err != nil:
		return err
	}
	return errors.New("the relay ended the command")
}

// lastWords keeps the last line of what the relay said on stderr, up to a length.
type lastWords struct {
	mu   sync.Mutex // guards text
	text []byte
}

func (l *lastWords) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, p...)
	if most := 1 << 10; len(l.text) > most {
		l.text = append([]byte(nil), l.text[len(l.text)-most:]...)
	}
	return len(p), nil
}

func (l *lastWords) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(string(l.text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

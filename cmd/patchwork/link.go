package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A backoff waits longer from try to try, never exactly as long as others do.
type backoff struct{ most, next time.Duration }

// newBackoff begins with a quarter of a second and doubles up to most.
func newBackoff(most time.Duration) backoff { return backoff{most: most} }

func (b *backoff) reset() { b.next = 0 }

func (b *backoff) wait(ctx context.Context) error { return pause(ctx, b.step()) }

// step returns how long to wait this time.
func (b *backoff) step() time.Duration {
	b.next = min(max(b.next*2, 250*time.Millisecond), b.most)
	return b.next/2 + rand.N(b.next/2+1)
}

// A link is a connection that is made anew whenever it breaks. Several
// goroutines may share one; the user hears of each outage once.
type link struct {
	c      *client
	secret string // of what it looks at after an outage; "" is the client's

	mu sync.Mutex // guards up
	up bool
}

// lost says that the connection broke, and back that it is there again.
func (l *link) lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		l.up = false
		what, _, _ := strings.Cut(err.Error(), "; ") // what the user could do is being done
		l.c.say("the connection is lost, trying again: %s", what)
	}
}

func (l *link) back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up {
		l.up = true
		l.c.say("connected again")
	}
}

// check asks for nothing but whether the channel can be received from: before
// the first wait, so that mistakes show at once.
func (c *client) check(ctx context.Context, path, secret string) error {
	resp, err := c.do(ctx, call{method: http.MethodHead, path: path, secret: secret})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// hold calls once again and again, until ctx ends or an error is final. After an
// outage it looks whether the relay is there before it calls once.
func (l *link) hold(ctx context.Context, path string, once func() error) error {
	wait := newBackoff(15 * time.Second)
	for {
		begun := time.Now()
		err := once()
		if err == nil || time.Since(begun) > 5*time.Second {
			wait.reset()
		}
		var answer *answerError
		if errors.As(err, &answer) && answer.status == http.StatusRequestTimeout {
			continue // the relay lets nobody wait longer
		}
		for err != nil {
			if ctx.Err() != nil || !passing(err) {
				return err
			}
			l.lost(err)
			if err := wait.wait(ctx); err != nil {
				return err
			}
			if err = l.c.check(ctx, path, l.secret); err == nil {
				l.back()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

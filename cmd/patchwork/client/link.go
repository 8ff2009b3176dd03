package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Backoff waits longer from try to try, never exactly as long as others do.
type Backoff struct{ most, next time.Duration }

// NewBackoff begins with a quarter of a second and doubles up to most.
func NewBackoff(most time.Duration) Backoff { return Backoff{most: most} }

// Reset begins anew.
func (b *Backoff) Reset() { b.next = 0 }

// Wait waits once more, until ctx ends at most.
func (b *Backoff) Wait(ctx context.Context) error { return Pause(ctx, b.Step()) }

// Step returns how long to wait this time.
func (b *Backoff) Step() time.Duration {
	b.next = min(max(b.next*2, 250*time.Millisecond), b.most)
	return b.next/2 + rand.N(b.next/2+1)
}

// A Link is a connection that is made anew whenever it breaks. Several
// goroutines may share one; the user hears of each outage once.
type Link struct {
	c      *Client
	secret string // of what it looks at after an outage; "" is the client's

	mu sync.Mutex // guards up
	up bool
}

// NewLink is a link that is up. secret is that of the hook which is looked at after an
// outage, "" if it is the client's.
func NewLink(c *Client, secret string) *Link { return &Link{c: c, secret: secret, up: true} }

// Lost says that the connection broke.
func (l *Link) Lost(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.up {
		l.up = false
		what, _, _ := strings.Cut(err.Error(), "; ") // what the user could do is being done
		l.c.Say("the connection is lost, trying again: %s", what)
	}
}

// Back says that the connection is there again.
func (l *Link) Back() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.up {
		l.up = true
		l.c.Say("connected again")
	}
}

// Check asks for nothing but whether the channel can be received from: before
// the first wait, so that mistakes show at once.
func (c *Client) Check(ctx context.Context, path, secret string) error {
	resp, err := c.Do(ctx, Call{Method: http.MethodHead, Path: path, Secret: secret})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Hold calls once again and again, until ctx ends or an error is final. After an
// outage it looks whether the relay is there before it calls once.
func (l *Link) Hold(ctx context.Context, path string, once func() error) error {
	wait := NewBackoff(15 * time.Second)
	for {
		begun := time.Now()
		err := once()
		if err == nil || time.Since(begun) > 5*time.Second {
			wait.Reset()
		}
		var answer *AnswerError
		if errors.As(err, &answer) && answer.Status == http.StatusRequestTimeout {
			continue // the relay lets nobody wait longer
		}
		for err != nil {
			if ctx.Err() != nil || !Passing(err) {
				return err
			}
			l.Lost(err)
			if err := wait.Wait(ctx); err != nil {
				return err
			}
			if err = l.c.Check(ctx, path, l.secret); err == nil {
				l.Back()
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

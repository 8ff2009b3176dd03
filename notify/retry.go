package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstWait = 500 * time.Millisecond
	maxWait   = 8 * time.Second
)

// do makes the call until it is answered with something other than 429 or 5xx,
// or until no further attempt fits into ctx. The answer is a 2xx; everything else
// is an error, the last one there was.
func (w *wire) do(ctx context.Context, c call) (answer, error) {
	var a answer
	err := w.retry(ctx, func() (time.Duration, error) {
		var err error
		if a, err = w.once(ctx, c); err != nil {
			if c.repeatable && mayHaveArrived(err) {
				return 0, &again{err}
			}
			return 0, err
		}
		if a.ok() {
			return 0, nil
		}
		if a.status == http.StatusTooManyRequests || a.status >= 500 {
			return retryAfter(a), &again{refused(a)}
		}
		return 0, refused(a)
	})
	return a, err
}

// again is an error after which the same may succeed.
type again struct{ err error }

func (e *again) Error() string { return e.err.Error() }
func (e *again) Unwrap() error { return e.err }

// retry calls attempt until it returns something other than *again. Between two
// calls it waits as long as attempt asks, at least a time that doubles.
func (w *wire) retry(ctx context.Context, attempt func() (time.Duration, error)) error {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return errors.New("notify: retry without a deadline")
	}
	for tries, step := 1, firstWait; ; tries, step = tries+1, min(2*step, maxWait) {
		asked, err := attempt()
		var more *again
		if !errors.As(err, &more) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("gave up after %s: %w", times(tries), more.err)
		}
		left := time.Until(deadline)
		if asked >= left {
			return fmt.Errorf("%w (it asks to wait %v, longer than this message can)", more.err, asked.Round(time.Second))
		}
		wait := max(asked, step)
		if wait >= left {
			return fmt.Errorf("gave up after %s: %w", times(tries), more.err)
		}
		// Some more, so that those who were turned away together do not come back
		// together.
		wait = min(wait+time.Duration(rand.Int64N(int64(wait)/4+1)), left)
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("gave up after %s: %w", times(tries), more.err)
		}
		w.retried()
	}
}

func times(n int) string {
	if n == 1 {
		return "1 try"
	}
	return strconv.Itoa(n) + " tries"
}

// mayHaveArrived tells an attempt that was sent and not answered from one that
// was answered or never left.
func mayHaveArrived(err error) bool {
	var dial *dialError
	var no *refusal
	return !errors.As(err, &dial) && !errors.As(err, &no)
}

// retryAfter is how long a service asks to be left alone: the Retry-After header
// (RFC 9110, seconds or a date), or what Discord, Telegram and older Matrix
// servers say in the body. Zero is no wish.
func retryAfter(a answer) time.Duration {
	if header := strings.TrimSpace(a.header.Get("Retry-After")); header != "" {
		if seconds, err := strconv.ParseFloat(header, 64); err == nil {
			return inSeconds(seconds)
		}
		if date, err := http.ParseTime(header); err == nil {
			return max(0, time.Until(date))
		}
	}
	var body struct {
		RetryAfter   float64 `json:"retry_after"`
		RetryAfterMS float64 `json:"retry_after_ms"`
		Parameters   struct {
			RetryAfter float64 `json:"retry_after"`
		} `json:"parameters"`
	}
	if json.Unmarshal(a.body, &body) != nil {
		return 0
	}
	return inSeconds(max(body.RetryAfter, body.RetryAfterMS/1000, body.Parameters.RetryAfter))
}

// inSeconds keeps a number from outside within a Duration.
func inSeconds(s float64) time.Duration {
	const aDay = 24 * 60 * 60
	if !(s > 0) { // NaN too
		return 0
	}
	return time.Duration(min(s, aDay) * float64(time.Second))
}

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moby/moby/client"
)

// A cuttingDocker has one container that runs. open answers the n-th request for its log:
// how long it lasts, the lines in it, and the error it ends with.
type cuttingDocker struct {
	open   func(n int) cutLog
	asked  int
	looked []int // HTTP status of the next answers to what the container is; then it is 200
	off    bool  // it is on no network
}

type cutLog struct {
	refused bool // it is not opened at all
	lasts   time.Duration
	lines   int
	err     error
}

func (d *cuttingDocker) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Request: r}
	if !strings.HasSuffix(r.URL.Path, "/logs") {
		networks := `{"mine":{}}`
		if d.off {
			networks = `{}`
		}
		answer.Body = io.NopCloser(strings.NewReader(`{"Id":"c","Name":"/cut","State":{"Running":true},"Config":{"Labels":{"pipemgr.enable":"true"}},` +
			`"HostConfig":{"LogConfig":{"Type":"local"}},"NetworkSettings":{"Networks":` + networks + `}}`))
		if len(d.looked) > 0 {
			answer.StatusCode, d.looked = d.looked[0], d.looked[1:]
		}
		return answer, nil
	}
	d.asked++
	log := d.open(d.asked)
	if log.refused {
		return nil, log.err
	}
	var text bytes.Buffer
	for i := range log.lines {
		entry := fmt.Sprintf("%s line %d\n", time.Now().Add(time.Duration(i)).UTC().Format(time.RFC3339Nano), i)
		head := [8]byte{byte(stdout) + 1}
		binary.BigEndian.PutUint32(head[4:], uint32(len(entry)))
		text.Write(head[:])
		text.WriteString(entry)
	}
	answer.Body = io.NopCloser(io.MultiReader(&text, breaksLater{r.Context(), log}))
	return answer, nil
}

type breaksLater struct {
	ctx context.Context
	log cutLog
}

func (b breaksLater) Read([]byte) (int, error) {
	select {
	case <-time.After(b.log.lasts):
		return 0, b.log.err
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

// A proxy before Docker may end logs that are silent, as HAProxy does after its 'timeout
// server'. That is nothing to tell once a minute for each container.
func TestALogThatIsCutAgainAndAgainDoesNotFloodTheLog(t *testing.T) {
	cut := io.ErrUnexpectedEOF
	for name, test := range map[string]struct {
		open func(n int) cutLog
		told int
	}{
		"silent":                       {func(int) cutLog { return cutLog{lasts: time.Minute, err: cut} }, 0},
		"a line each time":             {func(int) cutLog { return cutLog{lasts: time.Minute, lines: 1, err: cut} }, 0},
		"at once":                      {func(int) cutLog { return cutLog{err: cut} }, 1},
		"at once after a line":         {func(int) cutLog { return cutLog{lines: 1, err: cut} }, 1},
		"before and after a probation": {func(n int) cutLog { return cutLog{lasts: probation - 1 + time.Duration(n%2), err: cut} }, 1},
		"from another port each time": {func(n int) cutLog {
			return cutLog{err: fmt.Errorf("read tcp 10.0.0.1:%d->10.0.0.2:2375: read: connection reset by peer", 30000+n)}
		}, 1},
		"for another reason then": {func(n int) cutLog {
			return cutLog{refused: true, err: fmt.Errorf("more than 50 times: %v", n > 50)}
		}, 2},
		"and read on meanwhile": {func(n int) cutLog {
			if n == 100 {
				return cutLog{lasts: time.Minute, lines: 1, err: cut}
			}
			return cutLog{refused: true, err: cut}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &cuttingDocker{open: test.open}
				docker, err := client.New(client.WithHTTPClient(&http.Client{Transport: d}), client.WithAPIVersion(client.MaxAPIVersion))
				must(t, err)
				from := newTail(t)
				var log bytes.Buffer
				from.pipe.log = slog.New(slog.NewTextHandler(&log, nil))
				from.pipe.looking = make(chan struct{}, 1)
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				if err := from.follow(ctx, docker); !errors.Is(err, context.DeadlineExceeded) {
					t.Fatal(err)
				}
				if d.asked < 50 {
					t.Errorf("the log was opened %d times only", d.asked)
				}
				wantMatches(t, log.String(), "a log cannot be read at the moment", test.told)
				wantMatches(t, log.String(), "level=", test.told)
			})
		})
	}
}

func TestALogIsStuckUntilItHasBeenOpenForAProbation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log trouble
		check := func(want bool) {
			t.Helper()
			if got := log.isStuck(); got != want {
				t.Errorf("stuck: %v", got)
			}
		}
		pass := func(d time.Duration) { <-time.After(d) }
		check(false)
		log.fail(io.ErrUnexpectedEOF)
		check(true)
		log.open()
		pass(probation - 1)
		check(true)
		log.close(false)
		check(true)
		log.open()
		pass(probation)
		check(false)
		log.close(false)
		check(false)
		if news := log.fail(io.ErrUnexpectedEOF); news != "" {
			t.Errorf("%s is told again, though nothing was read", news)
		}
		pass(time.Hour)
		check(true)
	})
}

// Only this side's address is left out of an error, which may hold words of the relay.
func TestTheOwnEndOfAConnectionIsLeftOutOfAnError(t *testing.T) {
	for in, want := range map[string]string{
		"read tcp 10.0.0.1:41234->10.0.0.2:2222: read: connection reset by peer": "read tcp 10.0.0.2:2222: read: connection reset by peer",
		"read tcp [fe80::1%eth0]:41234->[fe80::2%eth0]:22: i/o timeout":          "read tcp [fe80::2%eth0]:22: i/o timeout",
		"exit status 1: old->new is no topic, a:1->b:2 neither":                  "exit status 1: old->new is no topic, a:1->b:2 neither",
		"->":   "->",
		"x ->": "x ->",
	} {
		if got := withoutOwnEnd(errors.New(in)).Error(); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

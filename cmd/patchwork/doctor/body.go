package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// bodyTime bounds how long big messages are tried.
const bodyTime = 20 * time.Second

// bodies sends ever longer messages, until one does not pass.
func (e *exam) bodies(ctx context.Context) []Finding {
	const check = "body-size"
	ctx, cancel := context.WithTimeout(ctx, bodyTime)
	defer cancel()
	var passed int64
	for _, size := range e.bodySizes() {
		// Nothing leaves that is refused anyway.
		sent, got, arrived := e.sendBody(ctx, size, http.Header{"Expect": {"100-continue"}})
		switch {
		case sent.ok() && got.ok() && arrived == size:
			passed = size
			continue
		case got.ok() && arrived == size && ctx.Err() == nil:
			return []Finding{e.resetting(size, sent)}
		case ctx.Err() != nil && passed > 0:
			return []Finding{good(check, "%s pass; there was no time for %s", mib(passed), mib(size))}
		case ctx.Err() != nil:
			return []Finding{warning(check, "see how fast the line is", "%s of %s arrived in %s", mib(arrived), mib(size), bodyTime)}
		}
		who, what := trouble(sent, got)
		seen := fmt.Sprintf("messages of %s do not pass: %s got %s", mib(size), who, what)
		if passed > 0 {
			seen += fmt.Sprintf("; %s pass", mib(passed))
		}
		return []Finding{bad(check, "longer messages and files are refused", "%s", seen).mendedBy(remedySize)}
	}
	return []Finding{good(check, "messages of %s pass", mib(passed))}
}

func mib(n int64) string {
	if n%(1<<20) != 0 {
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// bodySizes are those to try: 1 MiB, 10 MiB, and all that was allowed.
func (e *exam) bodySizes() []int64 {
	most := int64(e.body)
	sizes := slices.DeleteFunc([]int64{1 << 20, 10 << 20}, func(size int64) bool { return size >= most })
	return append(sizes, most)
}

// sendBody sends a message of so many bytes and receives it.
func (e *exam) sendBody(ctx context.Context, size int64, header http.Header) (sent, got reply, arrived int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path := fmt.Sprintf("%s/body-%d", e.channel, size)
	var both sync.WaitGroup
	both.Go(func() {
		sent = e.get(ctx, question{
			method: http.MethodPost, path: path, size: size,
			body:   func() io.Reader { return io.LimitReader(zeros{}, size) },
			header: header,
		})
		if !sent.ok() {
			cancel()
		}
	})
	both.Go(func() {
		resp, err := e.ask(ctx, getting(path))
		if err != nil {
			got.err = err
			return
		}
		defer resp.Body.Close()
		got.status, got.header = resp.StatusCode, resp.Header
		arrived, got.err = io.Copy(io.Discard, resp.Body)
		if !got.ok() {
			cancel()
		}
	})
	both.Wait()
	return sent, got, arrived
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

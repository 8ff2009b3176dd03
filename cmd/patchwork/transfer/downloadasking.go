package transfer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// newHook makes the hook for the sender's answers, as long as that takes.
func (d *downloading) newHook(ctx context.Context) (client.Hook, error) {
	wait := client.NewBackoff(5 * time.Second)
	for {
		h, err := d.c.MakeHook(ctx, "r")
		if err == nil || !client.Passing(err) {
			return h, err
		}
		if err := wait.Wait(ctx); err != nil {
			return h, err
		}
	}
}

// askAgain is how long an answer is waited for before it is asked for once more.
const askAgain = 20 * time.Second

// lookAfter is how long a report waits to be taken before another sender is looked for.
// One that lives may take so long to come back after the relay was away.
const lookAfter = 20 * time.Second

// ask reports what is there and waits for the answer, again and again.
func (d *downloading) ask(ctx context.Context) (*http.Response, error) {
	wait := client.NewBackoff(5 * time.Second)
	n, sum := d.sum.sum()
	r := report{Offset: n, Found: d.found, Attempt: d.attempt, Proof: proof(d.keys[d.attempt], "have", sum)}
	until := time.Now().Add(d.patience)
	for {
		err := d.reach(ctx, r)
		if err == nil {
			until = time.Now().Add(d.patience) // it is there
			var resp *http.Response
			resp, err = d.c.Do(ctx, client.Call{Method: http.MethodGet, Path: "/r/" + d.mine.Channel, Secret: d.mine.Secret,
				Query: url.Values{"timeout": {min(askAgain, d.patience).String()}}})
			if err == nil {
				return resp, nil
			}
			if isStatus(err, http.StatusRequestTimeout) {
				continue // its answer was lost, or it reads what it has to compare
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if !client.Passing(err) {
			return nil, err
		}
		if time.Now().After(until) {
			return nil, fmt.Errorf("the sender has not come back for %s; have it share again and run the same command", d.patience)
		}
		d.link.Lost(err)
		if err := wait.Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// reach sends a report. If nobody takes it for a while, its sender may be gone for
// good: then it waits at the channel as well, for one that was started anew, and
// returns an *offeredAnew with what comes there first.
func (d *downloading) reach(ctx context.Context, r report) error {
	saying, said := context.WithCancel(ctx)
	defer said()
	answered := make(chan error, 1)
	go func() { answered <- d.say(saying, r, d.patience) }()
	late := time.NewTimer(d.lookAfter)
	defer late.Stop()
	select {
	case err := <-answered:
		return err
	case <-late.C:
	}
	whom := "it, or for somebody who shares the file anew"
	alone := r.Offset > 0 && d.part == nil
	if alone {
		whom = "it alone, for nobody else can go on with what went to standard output; Ctrl-C ends this"
	}
	if !d.hinted {
		d.hinted = true
		d.c.Say("the sender does not answer; waiting for %s", whom)
	}
	if alone {
		return <-answered
	}
	looking, found := context.WithCancel(ctx)
	offers := make(chan *http.Response, 1)
	go func() {
		offer, err := d.c.Do(looking, client.Call{Method: http.MethodGet, Path: d.path}) //nolint:bodyclose // run closes it
		if err == nil {
			offer.Body = &endingBody{offer.Body, found}
			offers <- offer
		}
		close(offers)
	}()
	select {
	case offer := <-offers:
		if offer != nil {
			return &offeredAnew{offer}
		}
		found() // the relay is away, or lets nobody wait longer: so it is for the report
		return <-answered
	case err := <-answered:
		select {
		case offer := <-offers:
			if offer != nil { // closed unread it might count as received; the other sender offers again
				return &offeredAnew{offer}
			}
		default:
		}
		found()
		if offer := <-offers; offer != nil {
			offer.Body.Close()
		}
		return err
	}
}

// endingBody ends what it needs when it is closed.
type endingBody struct {
	io.ReadCloser
	end context.CancelFunc
}

func (b *endingBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// take does what an answer says. done is true when it was the last.
func (d *downloading) take(ctx context.Context, resp *http.Response) (done bool, err error) {
	n, sum := d.sum.sum()
	switch resp.Header.Get(answerHeader) {
	case answerDone:
		io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) //nolint:errcheck // it is empty; its sender is to hear that it came
		if n != d.size || !sameProof(resp.Header.Get(proofHeader), proof(d.keys[d.attempt], "done", sum)) {
			return true, errors.New("the sender's checksum is another; download it again")
		}
		return true, nil
	case answerRestart:
		if !d.found {
			return true, errors.New("the sender says that this is another file, but it is all its own; download it again")
		}
		io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10)) //nolint:errcheck // see above
		d.c.Say("what was in %s is of another file; beginning anew", d.part.Name())
		if err := d.empty(); err != nil {
			return true, err
		}
		return false, errNotFromStart
	case answerBusy, answerFailed:
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10)) // as far as it came
		return true, toldError{"the sender says: " + cmdline.Printable(strings.TrimSpace(string(text)))}
	case answerData:
		if offset, err := strconv.ParseInt(resp.Header.Get(offsetHeader), 10, 64); err != nil || offset != n {
			return false, errNotFromStart // an answer to an older report
		}
		in, err := d.open(ctx, resp)
		if err != nil {
			return false, err
		}
		d.meter.at(n)
		err = d.copy(in)
		d.found = false
		return false, err
	}
	return false, errNotFromStart // not of a sender
}

// say sends a report.
func (d *downloading) say(ctx context.Context, r report, within time.Duration) error {
	r.Answer = d.mine.Channel
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	resp, err := d.c.Do(ctx, client.Call{Method: http.MethodPost, Path: "/r/" + d.report, Body: strings.NewReader(string(text)), Size: int64(len(text)),
		Query: url.Values{"timeout": {within.String()}}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// giveUp tells the sender that this receiver takes no more, if it listens.
func (d *downloading) giveUp(ctx context.Context, why error) {
	d.say(ctx, report{Failed: shortened(cmdline.OneLine(why), 200)}, 5*time.Second) //nolint:errcheck // it will notice
}

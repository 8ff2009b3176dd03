package transfer

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// downloading is one run of 'download'.
type downloading struct {
	c        *client.Client
	path     string
	query    url.Values
	patience time.Duration
	force    bool
	output   string   // "" is standard output
	part     *os.File // what has come so far; nil: it went to standard output
	opening  *opening
	link     *client.Link
	meter    *meter

	mine    client.Hook // takes the sender's answers
	report  string      // the hook that takes reports
	size    int64
	kind    string
	sealed  bool
	keys    map[int][]byte // of the messages that came
	attempt int            // the newest of them
	sum     *digest        // of what has come
	found   bool           // all that is there was there before

	lookAfter time.Duration // how long a report waits to be taken before another sender is looked for
	hinted    bool          // that one is looked for
	dir       *unpacked     // what came, if it is a directory and all is there
}

// run receives what is offered on the channel. When its sender is gone and somebody
// offers a file there anew, it goes on with that, as the same command would if it were
// run again. It returns when all is there, when it cannot be, or when ctx ends.
func (d *downloading) run(ctx context.Context) error {
	resp, err := d.c.Do(ctx, client.Call{Method: http.MethodGet, Path: d.path, Query: d.query})
	if err != nil {
		return err
	}
	for {
		err := d.receive(ctx, resp)
		resp.Body.Close()
		var anew *offeredAnew
		if !errors.As(err, &anew) {
			return err
		}
		d.c.Say("the file is offered anew; going on with that")
		resp, d.link, d.hinted = anew.offer, client.NewLink(d.c, ""), false
		d.sum.reset()
		d.keys, d.attempt, d.found = map[int][]byte{}, 0, false
	}
}

// receive takes one offer, and all that comes after it.
func (d *downloading) receive(ctx context.Context, resp *http.Response) (err error) {
	h := resp.Header
	d.sealed = h.Get(sealHeader) != ""
	switch h.Get(transferHeader) {
	case "":
		if d.clear() {
			return errClear
		}
		return d.plain(ctx, resp)
	case transferVersion:
	default:
		return errors.New("the sender is of another version; use the same patchwork on both sides")
	}
	d.size, err = strconv.ParseInt(h.Get(sizeHeader), 10, 64)
	d.kind, d.report = h.Get(kindHeader), h.Get(reportHeader)
	if err != nil || d.size < 0 || !client.HookWord.MatchString(d.report) || d.kind != kindFile && d.kind != kindTar {
		return errors.New("the sender's headers make no sense; use the same patchwork on both sides")
	}
	if d.mine, err = d.newHook(ctx); err != nil {
		return err
	}
	d.meter = newMeter(d.c.Stderr, d.size, cmdline.FirstOf(filepath.Base(d.output), "-"))
	if err := d.transfer(ctx, resp); err != nil {
		d.meter.line(d.c.Stderr)
		if errors.As(err, new(*offeredAnew)) {
			return err
		}
		if ctx.Err() == nil && !errors.As(err, new(toldError)) {
			d.giveUp(ctx, err)
		}
		return d.kept(err)
	}
	d.meter.line(d.c.Stderr)
	return d.commit(ctx, true)
}

// clear tells whether what came is not encrypted though it was to be. Anybody can
// send to a public channel, and the relay could leave the encryption away.
func (d *downloading) clear() bool { return !d.sealed && d.opening.expects() }

var errClear = errors.New("what came is not encrypted, but a key or passphrase was given for it; ask its sender, or leave them away (link, -i, PATCHWORK_PASSPHRASE)")

// offeredAnew is why a sender is waited for no longer: there is another offer.
type offeredAnew struct{ offer *http.Response }

func (*offeredAnew) Error() string { return "the file is offered anew" }

// toldError is the sender's own word that it is over.
type toldError struct{ text string }

func (e toldError) Error() string { return e.text }

// transfer gets all of the file, from the message that has begun to come and
// from as many others as it takes, and the sender's word that it is the same.
func (d *downloading) transfer(ctx context.Context, resp *http.Response) error {
	if err := d.say(ctx, report{Begun: true}, 10*time.Second); err != nil && !client.Passing(err) {
		return err
	}
	if d.clear() {
		return errClear
	}
	in, err := d.open(ctx, resp)
	if err == nil {
		var n int64
		if n, err = d.resumable(ctx); err == nil && n > 0 {
			err = errNotFromStart
			resp.Body.Close()
		}
	}
	if err == nil {
		err = d.copy(in)
		d.found = false
	}
	barren := 0 // answers in a row that brought nothing
	for {
		var own *outputError
		if err != nil && (errors.As(err, &own) || !client.Passing(err) && !errors.Is(err, errNotFromStart)) {
			return err
		}
		if err != nil && !errors.Is(err, errNotFromStart) {
			d.meter.line(d.c.Stderr)
			d.link.Lost(err)
		}
		if err := d.prepare(ctx); err != nil {
			return err
		}
		resp, ask := d.ask(ctx)
		if ask != nil {
			return ask
		}
		d.link.Back()
		before, _ := d.sum.sum()
		done := false
		done, err = d.take(ctx, resp)
		resp.Body.Close()
		if barren++; d.hasMore(before) {
			barren = 0
		}
		if !done && barren == maxBarren {
			return errors.New("the sender answers, but does not go on; have it share again")
		}
		if done || ctx.Err() != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

// maxBarren is how many answers in a row may bring nothing. Some may be late ones to
// earlier reports.
const maxBarren = 20

// hasMore tells whether more is there than before, or less: then it begins anew.
func (d *downloading) hasMore(before int64) bool {
	n, _ := d.sum.sum()
	return n != before
}

// errNotFromStart is why a message is not read: what it brings is there already.
var errNotFromStart = errors.New("some of it is there already")

// open returns what is inside of a message.
func (d *downloading) open(ctx context.Context, resp *http.Response) (io.Reader, error) {
	if !d.sealed {
		return resp.Body, nil
	}
	attempt, err := strconv.Atoi(resp.Header.Get(attemptHeader))
	if err != nil {
		return nil, errors.New("the sender's headers make no sense; use the same patchwork on both sides")
	}
	in, key, err := d.opening.opened(ctx, resp.Body)
	if err != nil {
		return nil, err
	}
	d.keys[attempt], d.attempt = key, attempt
	return in, nil
}

// copy keeps what a message brings, up to the end of the file.
func (d *downloading) copy(in io.Reader) error {
	n, _ := d.sum.sum()
	_, err := io.Copy(d, io.LimitReader(in, d.size-n))
	var own *outputError
	if err != nil && !errors.As(err, &own) {
		return client.Broken(err)
	}
	if err != nil {
		return err
	}
	if n, _ = d.sum.sum(); n < d.size {
		return client.Broken(io.ErrUnexpectedEOF)
	}
	// Its end has to be seen as well: it is what says to the sender that all came.
	if extra, err := io.Copy(io.Discard, in); err != nil {
		return client.Broken(err)
	} else if extra > 0 {
		return errors.New("more came than the sender had said; download it again")
	}
	return nil
}

// plain keeps a message of somebody who does not share, but send.
func (d *downloading) plain(ctx context.Context, resp *http.Response) error {
	if err := d.empty(); err != nil {
		return err
	}
	in := io.Reader(resp.Body)
	if d.sealed {
		var err error
		if in, _, err = d.opening.opened(ctx, resp.Body); err != nil {
			return err
		}
	}
	d.kind = kindFile
	d.meter = newMeter(d.c.Stderr, resp.ContentLength, filepath.Base(d.output))
	_, err := io.Copy(d, in)
	d.meter.line(d.c.Stderr)
	var own *outputError
	if err != nil && !errors.As(err, &own) {
		err = client.Broken(err)
	}
	if err != nil {
		return d.kept(err)
	}
	return d.commit(ctx, false)
}

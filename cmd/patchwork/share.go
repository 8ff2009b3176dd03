package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

func shareCommand() *cli.Command {
	return &cli.Command{
		Name:      "share",
		Usage:     "send a file or directory to whoever downloads it",
		UsageText: "patchwork share [--encrypt [--to KEY]…] [-n p|h|r|u] [-s SECRET] [-t TOKEN] FILE [CHANNEL]",
		Description: "CHANNEL is FILE's name unless you say another. 'patchwork download CHANNEL' fetches it, with size and checksum agreed\n" +
			"at the end, and goes on after a cut; curl fetches it too. With --encrypt it is an age file of a passphrase\n" +
			"(PATCHWORK_PASSPHRASE, or typed), or of SSH keys; the relay cannot read it.",
		Flags: channelFlags(
			&cli.BoolFlag{Name: "encrypt", Aliases: []string{"e"}, Usage: "encrypt with a passphrase, or with --to"},
			&cli.StringSliceFlag{Name: "to", Usage: "encrypt to this SSH public `KEY`, or to all of a file of them; may be repeated"},
			patienceFlag(),
		),
		Action: clientAction(share),
	}
}

func patienceFlag() cli.Flag {
	return &cli.DurationFlag{Name: "patience", Value: patienceDefault, Usage: "`DURATION` to wait for the other side to come back"}
}

func share(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 1, 2)
	if err != nil {
		return err
	}
	src, leftOut, err := newSharable(args[0])
	if err != nil {
		return err
	}
	if leftOut > 0 {
		cl.say("left out what is neither file nor directory: %d", leftOut)
	}
	channel := src.name
	if len(args) == 2 {
		channel = args[1]
	} else if cl.space != "p" {
		return usagef("share: with -n %s say the CHANNEL too", cl.space)
	}
	sealing, err := cl.newSeal(c.Context, c.Bool("encrypt"), c.StringSlice("to"))
	if err != nil {
		return err
	}
	back, err := cl.makeHook(c.Context, "r")
	if err != nil {
		return err
	}
	s := &sharing{
		c: cl, src: src, seal: sealing, back: back, path: cl.path(channel), patience: c.Duration("patience"),
		posts: make(chan posted), reports: make(chan report),
		link: &link{c: cl, secret: back.Secret, up: true},
	}
	cl.say("sharing %s (%s); receive it with: patchwork download %s%s", printable(src.name), sized(src.size), spaceFlag(cl.space), printable(channel))
	s.meter = newMeter(cl.stderr, src.size, src.name)
	return s.run(c.Context)
}

func spaceFlag(space string) string {
	if space == "p" {
		return ""
	}
	return "-n " + space + " "
}

// sharing is one run of 'share'. Its loop decides; goroutines post messages and
// take reports.
type sharing struct {
	c        *client
	src      sharable
	seal     *seal
	back     hook // takes the reports
	path     string
	patience time.Duration
	meter    *meter
	link     *link
	posts    chan posted
	reports  chan report

	keepers []*keyKeeper // of the key of each message
	whole   []byte       // checksum of all, once somebody has read it all
	engaged string       // where the answers of the receiver go to, "" while there is none
	posting *post        // what is under way
}

// A post is a message under way to a receiver.
type post struct {
	offer  bool // of the whole file, to whoever comes
	cancel context.CancelFunc
}

// posted is how a post ended.
type posted struct {
	post   *post
	answer string // what it was, "" for an offer
	sum    []byte // of the whole file, when it was needed
	err    error
}

// run offers the file until a receiver has it.
func (s *sharing) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	broken := make(chan error, 1)
	go func() { // takes the reports; ends with ctx
		path := "/r/" + s.back.Channel
		broken <- s.link.hold(ctx, path, func() error { return s.take(ctx, path) })
	}()

	wait := backoff{first: 250 * time.Millisecond, most: 15 * time.Second}
	var again, late <-chan time.Time // when to offer anew, and when to give up
	s.offer(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-broken:
			return err

		case <-late:
			if s.engaged == "" {
				s.meter.line(s.c.stderr)
				s.c.say("sent; the receiver was not 'patchwork download', so nobody confirms that it arrived whole")
				return nil
			}
			return fmt.Errorf("the receiver has not said for %s whether all is well; share it again if it is not", s.patience)

		case <-again:
			again = nil
			s.offer(ctx)

		case p := <-s.posts:
			if p.post != s.posting {
				continue // it was called off
			}
			s.posting.cancel()
			s.posting = nil
			if p.sum != nil {
				s.whole = p.sum
			}
			var own *sourceError
			switch {
			case p.err == nil && p.answer == answerDone:
				s.meter.line(s.c.stderr)
				s.c.say("done: %s, SHA-256 %x, confirmed by the receiver", sized(s.src.size), s.whole)
				return nil
			case p.err == nil && p.answer == answerFailed:
				return errors.New("the receiver has other bytes than were sent; share it again")
			case p.err == nil && s.engaged != "":
				wait.reset()
				late = time.After(s.patience)
			case p.err == nil: // a receiver that says nothing, or has not yet done so
				late = time.After(time.Second)
			case errors.As(p.err, &own):
				s.tell(ctx, s.engaged, answerFailed, own.Error())
				return own
			case !passing(p.err):
				return p.err
			case p.answer == answerDone:
				late = time.After(s.patience) // it may ask once more
			default:
				s.failed(p.err)
				again = time.After(wait.step())
			}

		case r := <-s.reports:
			switch {
			case r.Begun:
				if s.engaged != "" && s.engaged != r.Answer && s.posting != nil && !s.posting.offer {
					go s.tell(ctx, r.Answer, answerBusy, "somebody else is receiving the file now")
					continue
				}
				s.engaged = r.Answer
				if late != nil {
					late = time.After(s.patience)
				}
				continue
			case r.Failed != "":
				s.meter.line(s.c.stderr)
				s.c.say("a receiver gave up: %s; offering the file again", printable(r.Failed))
				if s.engaged == r.Answer || s.engaged == "" {
					s.engaged, late = "", nil
					s.offer(ctx)
				}
				continue
			case s.engaged != "" && s.engaged != r.Answer:
				go s.tell(ctx, r.Answer, answerBusy, "somebody else is receiving the file now")
				continue
			}
			s.engaged, again, late = r.Answer, nil, nil
			s.answer(ctx, r)
		}
	}
}

// failed says why a message did not get through.
func (s *sharing) failed(err error) {
	var answer *answerError
	if errors.As(err, &answer) {
		if answer.status == http.StatusBadGateway {
			s.meter.line(s.c.stderr)
			s.c.say("the receiver went away; offering the file again")
		}
		return // of anything else the relay will say more when it is asked again
	}
	s.link.lost(err)
}

// take waits for one report.
func (s *sharing) take(ctx context.Context, path string) error {
	resp, err := s.c.do(ctx, call{method: http.MethodGet, path: path, secret: s.back.Secret})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var r report
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&r)
	io.Copy(io.Discard, resp.Body) //nolint:errcheck // so that its sender hears that it arrived
	if err != nil || !hookWord.MatchString(r.Answer) {
		return nil // not of a receiver: anybody who has seen the file's headers can send here
	}
	select {
	case s.reports <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin posts a message in the background, after calling off the one before.
func (s *sharing) begin(ctx context.Context, offer bool, send func(context.Context) posted) {
	if s.posting != nil {
		s.posting.cancel()
	}
	sending, cancel := context.WithCancel(ctx)
	p := &post{offer: offer, cancel: cancel}
	s.posting = p
	go func() {
		done := send(sending)
		done.post = p
		select {
		case s.posts <- done:
		case <-ctx.Done():
		}
	}()
}

// offer posts the whole file to its channel.
func (s *sharing) offer(ctx context.Context) {
	m := s.message(s.path)
	s.begin(ctx, true, func(ctx context.Context) posted {
		in, err := s.src.open()
		if err != nil {
			return posted{err: &sourceError{err}}
		}
		sum, err := s.send(ctx, m, in)
		return posted{sum: sum, err: err}
	})
}

// A message carries the file, or the rest of it.
type message struct {
	path    string
	answer  string
	attempt int
	key     *keyKeeper
	offset  int64
	sum     *digest // of what is before offset
}

func (s *sharing) message(path string) message {
	m := message{path: path, attempt: len(s.keepers), key: &keyKeeper{}, sum: newDigest()}
	s.keepers = append(s.keepers, m.key)
	return m
}

// header are the headers that go with an answer of this sort.
func (s *sharing) header(answer string, attempt int) http.Header {
	h := http.Header{}
	set := func(name, value string) { h.Set("Patch-H-"+name, value) }
	set(transferHeader, transferVersion)
	set(sizeHeader, strconv.FormatInt(s.src.size, 10))
	set(kindHeader, s.src.kind)
	set(reportHeader, s.back.Channel)
	set(attemptHeader, strconv.Itoa(attempt))
	if s.seal != nil {
		set(sealHeader, "age")
	}
	if answer != "" {
		set(answerHeader, answer)
		return h
	}
	kind, name := "application/octet-stream", s.src.name
	switch {
	case s.seal != nil:
		name = "" // it is nobody's business
	case s.src.kind == kindTar:
		kind, name = "application/x-tar", name+".tar"
	}
	h.Set("Content-Type", kind)
	if name != "" {
		set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	}
	return h
}

// send posts the file from m.offset on, which in has been read up to, and closes
// in. It returns the checksum of the whole file.
func (s *sharing) send(ctx context.Context, m message, in io.ReadCloser) ([]byte, error) {
	h := s.header(m.answer, m.attempt)
	h.Set("Patch-H-"+offsetHeader, strconv.FormatInt(m.offset, 10))
	s.meter.at(m.offset)
	size := s.src.size - m.offset
	body := io.TeeReader(source{in}, io.MultiWriter(m.sum, s.meter))
	if s.seal != nil {
		sealed, key, err := s.seal.sealed(body)
		if err != nil {
			in.Close()
			return nil, &sourceError{err}
		}
		m.key.keep(key)
		body, size = sealed, -1
	}
	resp, err := s.c.do(ctx, call{method: http.MethodPost, path: m.path, header: h, size: size, body: struct {
		io.Reader
		io.Closer
	}{body, in}})
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	if n, sum := m.sum.sum(); n == s.src.size {
		return sum, nil
	}
	return nil, nil
}

// answer tells a receiver that has part of the file, or all of it, how to go on.
func (s *sharing) answer(ctx context.Context, r report) {
	m := s.message("/r/" + r.Answer)
	var key []byte
	if s.seal != nil {
		key = []byte{} // no proof is good without the right one
		if r.Attempt >= 0 && r.Attempt < len(s.keepers)-1 {
			key = s.keepers[r.Attempt].get()
		}
	}
	whole := s.whole
	s.begin(ctx, false, func(ctx context.Context) posted {
		if r.Offset < 0 || r.Offset > s.src.size {
			return s.posted(ctx, r.Answer, answerRestart, "", nil)
		}
		var in io.ReadCloser
		sum := whole
		if r.Offset != s.src.size || whole == nil {
			var err error
			if in, err = s.src.open(); err != nil {
				return posted{err: &sourceError{err}}
			}
			if _, err := io.CopyN(m.sum, in, r.Offset); err != nil {
				in.Close()
				return posted{err: &sourceError{err}}
			}
			_, sum = m.sum.sum()
		}
		same := sameProof(proof(key, "have", sum), r.Proof) && (s.seal == nil || len(key) > 0)
		if same || r.Offset == 0 && s.src.size > 0 {
			if r.Offset < s.src.size {
				m.answer, m.offset = answerData, r.Offset
				sum, err := s.send(ctx, m, in)
				return posted{answer: answerData, sum: sum, err: err}
			}
		}
		if in != nil {
			in.Close()
		}
		switch {
		case same:
			done := s.posted(ctx, r.Answer, answerDone, proof(key, "done", sum), nil)
			done.sum = sum
			return done
		case r.Found:
			return s.posted(ctx, r.Answer, answerRestart, "", nil)
		}
		return s.posted(ctx, r.Answer, answerFailed, "", strings.NewReader("the file is not the same at both ends; perhaps it changed while it was shared"))
	})
}

// posted posts an answer without data.
func (s *sharing) posted(ctx context.Context, to, answer, proof string, text *strings.Reader) posted {
	h := s.header(answer, 0)
	if proof != "" {
		h.Set("Patch-H-"+proofHeader, proof)
	}
	if text == nil {
		text = strings.NewReader("")
	}
	resp, err := s.c.do(ctx, call{method: http.MethodPost, path: "/r/" + to, header: h, body: text, size: int64(text.Len())})
	if err == nil {
		resp.Body.Close()
	}
	return posted{answer: answer, err: err}
}

// tell says something to a receiver, if it listens soon.
func (s *sharing) tell(ctx context.Context, to, answer, text string) {
	if to == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s.posted(ctx, to, answer, "", strings.NewReader(text))
}

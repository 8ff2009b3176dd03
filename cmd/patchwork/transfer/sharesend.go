package transfer

import (
	"context"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"patchwork/cmd/patchwork/client"
)

// answerWait is how long an answer waits for the receiver that asked for it, and
// then listens for it.
const answerWait = 30 * time.Second

// begin posts a message in the background.
func (s *sharing) begin(ctx context.Context, to *peer, sum *digest, send func(context.Context) posted) *post {
	sending, cancel := context.WithCancel(ctx)
	p := &post{to: to, sum: sum, cancel: cancel}
	s.running.Go(func() {
		done := send(sending)
		done.post = p
		select {
		case s.posts <- done:
		case <-sending.Done(): // nobody wants to know
		}
	})
	return p
}

// offer posts the whole file to its channel: to one receiver, or to all who wait
// there once enough do.
func (s *sharing) offer(ctx context.Context) {
	s.callOff()
	s.begun = 0
	s.offers++
	m := s.message(s.path)
	missing := s.want - s.got - len(s.peers)
	if s.broadcast {
		m.query = url.Values{"pubsub": {"true"}}
	}
	s.offered = s.begin(ctx, nil, m.sum, func(ctx context.Context) posted {
		if s.broadcast {
			if err := s.gathered(ctx, missing); err != nil {
				return posted{err: err}
			}
		}
		in, err := s.src.open()
		if err != nil {
			return posted{err: &client.SourceError{Err: err}}
		}
		sum, n, err := s.send(ctx, m, in)
		return posted{sum: sum, delivered: n, err: err}
	})
}

// lookAgain is how often the channel is looked at while receivers gather there.
const lookAgain = 500 * time.Millisecond

// gathered waits until so many receivers wait on the channel. A broadcast tells
// nobody who comes, so the relay is asked again and again, well below its limit of
// requests.
func (s *sharing) gathered(ctx context.Context, want int) error {
	for {
		resp, err := s.c.Do(ctx, client.Call{Method: http.MethodHead, Path: s.path})
		if err != nil {
			return err
		}
		resp.Body.Close()
		there := 0
		for _, counter := range []string{"Patch-Consumers", "Patch-Subscribers"} {
			n, err := strconv.Atoi(resp.Header.Get(counter))
			if err != nil {
				return s.c.NoRelay()
			}
			there += n
		}
		if there >= max(want, 1) {
			return nil
		}
		if err := client.Pause(ctx, lookAgain); err != nil {
			return err
		}
	}
}

// A message carries the file, or the rest of it.
type message struct {
	path    string
	query   url.Values
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
	kind := "application/octet-stream"
	if s.seal == nil { // else it is nobody's business
		if s.src.kind == kindTar {
			kind = "application/x-tar"
		}
		set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": s.src.fileName()}))
	}
	h.Set("Content-Type", kind)
	return h
}

// send posts the file from m.offset on, which in has been read up to, and closes
// in. It returns the checksum of the whole file, and how many receivers took the
// message.
func (s *sharing) send(ctx context.Context, m message, in io.ReadCloser) (sum []byte, delivered int, err error) {
	h := s.header(m.answer, m.attempt)
	h.Set("Patch-H-"+offsetHeader, strconv.FormatInt(m.offset, 10))
	bar := s.meter
	if s.broadcast && m.answer != "" {
		bar = nil // it shows the broadcast
	}
	bar.at(m.offset)
	size := s.src.size - m.offset
	body := io.TeeReader(client.Source(in), io.MultiWriter(m.sum, bar))
	if s.seal != nil {
		sealed, key, err := s.seal.sealed(body)
		if err != nil {
			in.Close()
			return nil, 0, &client.SourceError{Err: err}
		}
		m.key.keep(key)
		body, size = sealed, -1
	}
	query := m.query
	if m.answer != "" {
		query = url.Values{"timeout": {answerWait.String()}}
	}
	resp, err := s.c.Do(ctx, client.Call{Method: http.MethodPost, Path: m.path, Query: query, Header: h, Size: size, Body: struct {
		io.Reader
		io.Closer
	}{body, in}})
	if err != nil {
		return nil, 0, err
	}
	resp.Body.Close()
	if delivered, err = strconv.Atoi(resp.Header.Get("Patch-Delivered")); err != nil {
		delivered = 1 // a relay before ours does not tell, and it took the message
	}
	if n, whole := m.sum.sum(); n == s.src.size {
		sum = whole
	}
	return sum, delivered, nil
}

// answer tells a receiver that has part of the file, or all of it, how to go on.
func (s *sharing) answer(ctx context.Context, p *peer) {
	s.stop(p.posting)
	r := *p.asked
	m := s.message("/r/" + r.Answer)
	var key []byte
	if s.seal != nil {
		key = []byte{} // no proof is good without the right one
		if r.Attempt >= 0 && r.Attempt < len(s.keepers)-1 {
			key = s.keepers[r.Attempt].get()
		}
	}
	whole := s.whole
	p.posting = s.begin(ctx, p, m.sum, func(ctx context.Context) posted {
		if r.Offset < 0 || r.Offset > s.src.size {
			return s.posted(ctx, r.Answer, answerRestart, "", "")
		}
		var in io.ReadCloser
		sum := whole
		if r.Offset != s.src.size || whole == nil {
			var err error
			if in, err = s.src.open(); err != nil {
				return posted{err: &client.SourceError{Err: err}}
			}
			if _, err := io.CopyN(m.sum, &stoppable{in, ctx}, r.Offset); err != nil {
				in.Close()
				return posted{err: &client.SourceError{Err: err}}
			}
			_, sum = m.sum.sum()
		}
		same := sameProof(proof(key, "have", sum), r.Proof) && (s.seal == nil || len(key) > 0)
		if r.Offset < s.src.size && (same || r.Offset == 0) {
			m.answer, m.offset = answerData, r.Offset
			sum, _, err := s.send(ctx, m, in)
			return posted{answer: answerData, sum: sum, err: err}
		}
		if in != nil {
			in.Close()
		}
		switch {
		case same:
			done := s.posted(ctx, r.Answer, answerDone, proof(key, "done", sum), "")
			done.sum = sum
			return done
		case r.Found:
			return s.posted(ctx, r.Answer, answerRestart, "", "")
		}
		return s.posted(ctx, r.Answer, answerFailed, "", "the file is not the same at both ends; perhaps it changed while it was shared")
	})
}

// stoppable stops reading when ctx ends.
type stoppable struct {
	io.Reader
	ctx context.Context
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.Reader.Read(p)
}

// posted posts an answer without data.
func (s *sharing) posted(ctx context.Context, to, answer, proof, text string) posted {
	h := s.header(answer, 0)
	if proof != "" {
		h.Set("Patch-H-"+proofHeader, proof)
	}
	resp, err := s.c.Do(ctx, client.Call{Method: http.MethodPost, Path: "/r/" + to, Query: url.Values{"timeout": {answerWait.String()}},
		Header: h, Body: strings.NewReader(text), Size: int64(len(text))})
	if err == nil {
		resp.Body.Close()
	}
	return posted{answer: answer, err: err}
}

// tell says something to a receiver in the background, if it listens soon and not
// too many are being told something already.
func (s *sharing) tell(ctx context.Context, to, answer, text string) {
	select {
	case s.telling <- struct{}{}:
	default:
		return
	}
	s.running.Go(func() {
		defer func() { <-s.telling }()
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		s.posted(ctx, to, answer, "", text)
	})
}

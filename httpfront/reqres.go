package httpfront

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"patchwork/acl"
	"patchwork/broker"
)

// answerIn is how long a responder that took a request may be silent, and how
// long nobody may post to the channel it switched to.
const answerIn = 30 * time.Second

// ask puts a request to the channel's responders and answers with what one of
// them says: its status, headers and body. Request and response stream at the
// same time.
func (s *Server) ask(w *response, r *http.Request, c channel) error {
	limit, err := s.timeout(r)
	if err != nil {
		return err
	}
	silence := answerIn
	if limit > 0 {
		silence = limit
	}
	m := s.message(w, r, c)
	for name, values := range m.Header {
		if !strings.HasPrefix(name, "Patch-") {
			m.Header[patchH+name] = values
		}
	}
	s.metric.message(w, c, "request")
	call, err := s.broker.Call(r.Context(), c.name, m)
	if err != nil {
		return err
	}
	// Without it net/http would read the request to its end before the answer
	// begins. HTTP/1.0 has no such thing and does not need it.
	http.NewResponseController(w.ResponseWriter).EnableFullDuplex() //nolint:errcheck // see above

	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	sent := make(chan struct{}) // closed when the request is with the responder, or will never be
	go func() {
		defer close(sent)
		if err := call.Send(ctx); err != nil && !errors.Is(err, broker.ErrGone) {
			cancel(err)
		}
	}()
	defer func() { // whoever starts a goroutine joins it
		call.Close()
		<-sent
	}()

	waiting, rest := s.beatFor(ctx, w, r)
	d, err := call.Answer(waiting, limit, silence)
	rest()
	if err != nil {
		return err
	}
	code, header := answerHead(d.Info)
	whole := false // the request is with the responder, so its body needs no connection any more
	select {
	case <-sent:
		whole = true
	default:
	}
	return s.reply(w, r, d, code, header, whole)
}

// answerHead returns status and headers of an answer. One that came through a
// switch channel is an ordinary message, whose sender's own headers are not the
// answer's.
func answerHead(info *broker.Info) (int, http.Header) {
	header := http.Header{}
	direct := info.Channel.Kind() == broker.Res
	from := broker.Header{}
	for name, values := range info.Header {
		if strings.HasPrefix(name, "Patch-") || !direct && freely[name] && name != "Content-Type" {
			continue
		}
		from[name] = values
	}
	messageHeader(header, from, true)
	code, err := answerStatus(http.Header(info.Header).Get("Patch-Status"))
	if err != nil {
		code = http.StatusBadGateway
	}
	return code, header
}

// answerStatus reads Patch-Status: 200 to 599, 200 where there is none.
func answerStatus(v string) (int, error) {
	if v == "" {
		return http.StatusOK, nil
	}
	code, err := strconv.Atoi(v)
	if err != nil || len(v) != 3 || code < 200 || code > 599 {
		return 0, errorf(http.StatusBadRequest, "bad Patch-Status %.20q: say 200 to 599; the requester got a 502", v)
	}
	return code, nil
}

// reply delivers an answer. Statuses and methods that have no body get none.
func (s *Server) reply(w *response, r *http.Request, d *broker.Delivery, code int, header http.Header, own bool) error {
	if r.Method == http.MethodHead || code == http.StatusNoContent || code == http.StatusNotModified {
		return s.replyHead(w, r, d, code, header)
	}
	if !own {
		header.Set("Connection", "close") // the rest of the request may be under way still
	}
	return s.deliver(w, r, d, code, header, own)
}

// replyHead delivers an answer without its body, which is read all the same: its
// responder is to hear that it arrived.
func (s *Server) replyHead(w *response, r *http.Request, d *broker.Delivery, code int, header http.Header) error {
	for {
		_, err := d.Next(r.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			d.Done(err)
			return err
		}
	}
	if r.Method == http.MethodHead && d.Info.Size >= 0 {
		header.Set("Content-Length", strconv.FormatInt(d.Info.Size, 10))
	}
	out := &plainSink{s: s, w: w, code: code, header: header}
	err := out.write(nil)
	d.Done(err)
	return err
}

// take hands the next request to a responder: its body, its headers, and the
// name under which it wants its answer.
func (s *Server) take(w *response, r *http.Request, c channel) error {
	d, err := s.next(w, r, c)
	if err != nil {
		return err
	}
	return s.deliver(w, r, d, http.StatusOK, requestHead(d.Info), true)
}

func requestHead(info *broker.Info) http.Header {
	header := http.Header{}
	messageHeader(header, info.Header, false)
	if info.Reply != "" {
		header.Set("Patch-Reply", info.Reply)
	}
	return header
}

// answer answers a request with the body of this one and returns when the
// requester has it.
func (s *Server) answer(w *response, r *http.Request, c channel) error {
	id := r.Header.Get("Patch-Reply")
	if id == "" {
		id = r.URL.Query().Get("reply")
	}
	m := s.message(w, r, c)
	m.Header = s.answerHeader(r)
	_, bad := answerStatus(http.Header(m.Header).Get("Patch-Status"))
	if bad != nil {
		line := "the responder answered with an impossible status\n"
		m = broker.Message{Size: int64(len(line)), Body: strings.NewReader(line),
			Header: broker.Header{"Patch-Status": {"502"}}}
	}
	ctx, rest, err := s.wait(w, r)
	if err != nil {
		return err
	}
	s.metric.message(w, c, "response")
	err = s.broker.Answer(ctx, c.name, id, m)
	rest()
	switch {
	case err != nil:
		return err
	case bad != nil:
		return bad
	}
	return s.sent(w, 1)
}

// answerHeader returns what of a responder's headers is the answer's.
func (s *Server) answerHeader(r *http.Request) broker.Header {
	h := s.marked(r.Header)
	if _, marked := h["Content-Type"]; !marked && r.Header.Get("Content-Type") != "" {
		s.add(h, "Content-Type", r.Header["Content-Type"][:1])
	}
	if v := r.Header.Get("Patch-Status"); v != "" {
		h["Patch-Status"] = []string{v}
	}
	return h
}

// switchTo takes the next request as take does, and has its requester answered by
// whatever is posted next to the channel that the body of this request names.
func (s *Server) switchTo(w *response, r *http.Request, c channel) error {
	to, err := switchName(r, c)
	if err != nil {
		return err
	}
	if err := s.mayReceive(r.Context(), c, to); err != nil {
		return err
	}
	limit, err := s.timeout(r)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = answerIn
	}
	d, err := s.next(w, r, c)
	if err != nil {
		return err
	}
	// Once more, for it may have waited long: the next responder gets the request.
	if err := s.mayReceive(r.Context(), c, to); err != nil {
		d.Done(err)
		return err
	}
	d.Switch(to, limit)
	return s.deliver(w, r, d, http.StatusOK, requestHead(d.Info), true)
}

// mayReceive tells whether who switches may receive what is posted to the channel
// it names, by the rules and by the channel's access list: it is received for the
// requester.
func (s *Server) mayReceive(ctx context.Context, c channel, to broker.Name) error {
	if err := c.may(ctx, to, acl.Receive); err != nil {
		return err
	}
	if guarded, admitted := s.broker.Admits(to, c.as); guarded && !admitted {
		return broker.ErrDenied
	}
	return nil
}

// switchName reads the channel a responder switches to: one segment, of the same
// namespace, not the channel itself.
func switchName(r *http.Request, c channel) (broker.Name, error) {
	const most = broker.MaxName
	body := io.Reader(r.Body)
	if r.Method == http.MethodGet {
		body = strings.NewReader(r.URL.Query().Get("body"))
	}
	text, err := io.ReadAll(io.LimitReader(body, most+1))
	if err != nil {
		return broker.Name{}, err
	}
	to := strings.TrimRight(string(text), "\r\n")
	_, own, _ := strings.Cut(c.name.Topic(), "/")
	switch {
	case to == "":
		return broker.Name{}, errorf(http.StatusBadRequest, "?switch=true needs the name of a channel as its body")
	case len(text) > most || strings.ContainsAny(to, "/?"):
		return broker.Name{}, errorf(http.StatusBadRequest, "bad switch channel %.40q: one name, without / or ?", to)
	case to == own:
		return broker.Name{}, errorf(http.StatusBadRequest, "bad switch channel %.40q: it is the service itself", to)
	}
	name, err := broker.ParseName(c.name.Namespace() + "/" + to)
	if err != nil {
		return name, fmt.Errorf("bad switch channel: %w", err)
	}
	if k := name.Kind(); k == broker.Req || k == broker.Res {
		return name, errorf(http.StatusBadRequest, "bad switch channel %.40q: the answer is posted to an ordinary channel", to)
	}
	return name, nil
}

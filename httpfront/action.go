package httpfront

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"patchwork/acl"
	"patchwork/broker"
)

// An action is what a request does, after its method, its query and a WebSocket
// upgrade are understood. Rights are checked against it, never against the
// method alone.
type action uint8

const (
	actPeek action = iota // HEAD: counts, takes nothing; needs what receiving needs
	actReceive
	actSend
	actPipe // WebSocket: both
	actOptions
	actAsk    // a request on req/
	actAnswer // an answer on res/
)

// actionOf says what a request on a channel does.
func actionOf(r *http.Request, c channel) (action, error) {
	kind := c.name.Kind()
	if websocket.IsWebSocketUpgrade(r) && r.Method == http.MethodGet {
		if kind == broker.Req || kind == broker.Res {
			return 0, errorf(http.StatusBadRequest, "a request/response channel is no pipe; take requests with GET on res/ and answer with POST")
		}
		return actPipe, nil
	}
	if kind == broker.Req {
		return actAsk, nil // by any method, that is the request's own
	}
	switch r.Method {
	case http.MethodGet:
		switch {
		case c.style == stylePipe:
			return 0, &httpError{http.StatusUpgradeRequired, "/pipe is for WebSockets; plain requests go to /topic or /p",
				http.Header{"Upgrade": {"websocket"}}}
		case !r.URL.Query().Has("body"):
			return actReceive, nil
		case prefetch(r):
			return 0, errorf(http.StatusForbidden, "a prefetch must not send; open the link itself")
		}
		if kind == broker.Res {
			return actAnswer, nil
		}
		return actSend, nil
	case http.MethodHead:
		return actPeek, nil
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		if kind == broker.Res {
			return actAnswer, nil
		}
		return actSend, nil
	case http.MethodOptions:
		return actOptions, nil
	}
	return 0, notAllowed(channelMethods)
}

const channelMethods = "GET, HEAD, POST, PUT, PATCH, OPTIONS"

// prefetch tells whether a browser fetches the page before anybody asked for it.
func prefetch(r *http.Request) bool {
	return strings.Contains(strings.ToLower(r.Header.Get("Sec-Purpose")), "prefetch") ||
		strings.EqualFold(r.Header.Get("Purpose"), "prefetch") ||
		strings.EqualFold(r.Header.Get("X-Moz"), "prefetch")
}

// serveChannel does what a request on a channel asks for.
func (s *Server) serveChannel(w *response, r *http.Request, c channel) error {
	act, err := actionOf(r, c)
	if err != nil {
		return err
	}
	if c.hook {
		done, err := s.checkHook(w, r, c, act)
		if err != nil {
			return err
		}
		defer done()
	}
	if guarded, admitted := s.broker.Admits(c.name, c.as); guarded && !admitted {
		return broker.ErrDenied
	}
	switch act {
	case actAsk:
		return s.ask(w, r, c)
	case actAnswer:
		switched, err := flag(r, "switch", false)
		if err != nil {
			return err
		}
		if switched {
			return s.switchTo(w, r, c)
		}
		return s.answer(w, r, c)
	case actOptions:
		w.Header().Set("Allow", channelMethods)
		open(w.Header())
		w.WriteHeader(http.StatusNoContent)
		return nil
	case actPeek:
		return s.peek(w, c)
	case actPipe:
		return s.pipe(w, r, c)
	case actSend:
		how, err := howToSend(r, c)
		if err != nil {
			return err
		}
		if how.broadcast {
			return s.publish(w, r, c, how.waits)
		}
		return s.send(w, r, c)
	}
	return s.receiveOrFollow(w, r, c)
}

// sending says how a producer's message goes out.
type sending struct {
	broadcast bool
	waits     bool // a broadcast that waits for somebody and loses nothing
}

func howToSend(r *http.Request, c channel) (sending, error) {
	pubsub, err := flag(r, "pubsub", false)
	if err != nil {
		return sending{}, err
	}
	block, err := flag(r, "block", c.style == styleTopic)
	if err != nil {
		return sending{}, err
	}
	switch c.name.Kind() {
	case broker.Queue:
		return sending{}, nil
	case broker.Pubsub:
		return sending{broadcast: true}, nil
	}
	switch {
	case c.style != styleQueue:
		return sending{broadcast: true, waits: block}, nil
	case pubsub:
		return sending{broadcast: true}, nil
	}
	return sending{}, nil
}

func (s *Server) receiveOrFollow(w *response, r *http.Request, c channel) error {
	if _, err := howToSend(r, c); err != nil {
		return err // the words for producers are checked here as well
	}
	follow, err := flag(r, "follow", false)
	if err != nil {
		return err
	}
	persist, err := flag(r, "persist", false)
	if err != nil {
		return err
	}
	if c.name.Kind() == broker.Res {
		return s.take(w, r, c)
	}
	asJSON, err := flag(r, "json", false)
	if err != nil {
		return err
	}
	switch {
	case accepts(r, "text/event-stream"):
		return s.followFramed(w, r, c, sse{json: asJSON})
	case accepts(r, "application/x-ndjson"):
		return s.followFramed(w, r, c, ndjson{})
	case r.URL.Query().Has("for"), r.URL.Query().Has("rest"):
		return errorf(http.StatusBadRequest, "?for= and ?rest= are for followers of events or lines: ask with Accept: text/event-stream or application/x-ndjson")
	case follow:
		return s.followRaw(w, r, c, true, true)
	case c.style == styleTopic || c.style == stylePubsub:
		return s.followRaw(w, r, c, persist, false)
	}
	return s.receive(w, r, c)
}

// accepts tells whether a request names a type among those it accepts. A weight of 0
// says that it does not (RFC 9110, section 12.4.2); others are not compared.
func accepts(r *http.Request, mime string) bool {
	for _, v := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(v, ",") {
			kind, parameters, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(kind), mime) && !weightless(parameters) {
				return true
			}
		}
	}
	return false
}

// weightless tells whether a q of 0 is among the parameters of a type.
func weightless(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(name, "q") {
			weight, err := strconv.ParseFloat(value, 64)
			return err == nil && weight == 0
		}
	}
	return false
}

// flag reads a boolean of the query; the bare name counts as true.
func flag(r *http.Request, key string, otherwise bool) (bool, error) {
	q := r.URL.Query()
	if !q.Has(key) {
		return otherwise, nil
	}
	v := q.Get(key)
	if v == "" {
		return true, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, errorf(http.StatusBadRequest, "bad ?%s=%.40q: say true or false", key, v)
	}
	return b, nil
}

// accessList reads ?access=: who may use the channel while this request does. A
// request without credentials that brings a list gets an identity of its own, so
// that both halves of its pipe are let in.
func accessList(r *http.Request, c channel) (broker.Identity, []string, error) {
	q := r.URL.Query()
	if !q.Has("access") {
		return c.as, nil, nil
	}
	list, err := broker.ParseAccess(q.Get("access"))
	if err != nil {
		return broker.Identity{}, nil, errorf(http.StatusBadRequest, "bad ?access=: %v", err)
	}
	if err := c.may(r.Context(), c.name, acl.Receive, acl.Send); err != nil {
		return c.as, nil, err // who lets others in must be in altogether
	}
	if c.as != (broker.Identity{}) {
		return c.as, list, nil
	}
	return broker.Identity{Key: "request:" + rand.Text()}, list, nil
}

// timeout reads how long the client wants to wait: ?timeout= as a Go duration or
// seconds, or Prefer: wait=SECONDS (RFC 7240). 0 is no limit of its own; the
// server's limit holds for all.
func (s *Server) timeout(r *http.Request) (time.Duration, error) {
	limit := s.cfg.RequestTimeout
	wants := time.Duration(0)
	if q := r.URL.Query(); q.Has("timeout") {
		d, err := parseDuration("timeout", q.Get("timeout"))
		if err != nil {
			return 0, err
		}
		wants = d
	} else {
		wants = preferWait(r)
	}
	if wants == 0 || limit > 0 && limit < wants {
		return limit, nil
	}
	return wants, nil
}

// parseDuration reads a parameter of the query that is a duration.
func parseDuration(key, v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		seconds, ferr := strconv.ParseFloat(v, 64)
		if ferr != nil || !(seconds >= 0 && seconds <= 1e9) {
			return 0, errorf(http.StatusBadRequest, "bad ?%s=%.40q: say 30 (seconds) or 1m30s", key, v)
		}
		d = time.Duration(seconds * float64(time.Second))
	}
	if d < 0 {
		return 0, errorf(http.StatusBadRequest, "bad ?%s=%.40q: it is in the past", key, v)
	}
	return d, nil
}

func preferWait(r *http.Request) time.Duration {
	for _, v := range r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(v, ",") {
			part, _, _ = strings.Cut(part, ";")
			key, val, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !strings.EqualFold(strings.TrimSpace(key), "wait") {
				continue
			}
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(val), `"`), 10, 31)
			if err == nil {
				return time.Duration(seconds) * time.Second
			}
		}
	}
	return 0
}

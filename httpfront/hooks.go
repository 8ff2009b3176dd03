package httpfront

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"patchwork/broker"
)

const (
	// maxSigned is how long a body may be whose signature is its credential: it is
	// held whole until it is checked.
	maxSigned = 25 << 20
	// allSigned is how much of such bodies may be held by all requests together.
	allSigned = 10 * maxSigned
	// mostSigned is how much of that one client address may take.
	mostSigned = 4 * maxSigned
)

// hooks makes and checks the secrets of /h and /r channels.
type hooks struct {
	key  []byte
	room *semaphore.Weighted // bytes for bodies whose signature is to be checked
}

func newHooks(key []byte) *hooks {
	return &hooks{key: key, room: semaphore.NewWeighted(allSigned)}
}

// secret returns the hex HMAC-SHA256 of "NAMESPACE:CHANNEL" under the key.
func (h *hooks) secret(n broker.Name) string {
	mac := hmac.New(sha256.New, h.key)
	io.WriteString(mac, n.Namespace()+":"+n.Topic()) //nolint:errcheck // a hash takes everything
	return hex.EncodeToString(mac.Sum(nil))
}

// newHook answers GET /h and GET /r with a new channel and its secret.
func (s *Server) newHook(w *response, r *http.Request, space string) error {
	if r.Method != http.MethodGet {
		return notAllowed("GET; send to /" + space + "/CHANNEL")
	}
	name, err := broker.ParseName(space + "/" + uuid())
	if err != nil {
		return err
	}
	return s.json(w, map[string]string{"channel": name.Topic(), "secret": s.hooks.secret(name)})
}

// uuid returns a random UUID (RFC 9562, version 4).
func uuid() string {
	var b [16]byte
	rand.Read(b[:]) //nolint:errcheck // it never fails (crypto/rand)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// json answers with v, which nobody may keep: it may hold a secret.
func (s *Server) json(w *response, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	open(h)
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.extend(s.cfg.WriteTimeout)
	_, err = w.Write(append(text, '\n'))
	return err
}

// errSecret is the answer to a wrong secret and to a missing one alike.
var errSecret = &httpError{
	status: http.StatusUnauthorized, line: "this needs the channel's secret: ?secret=, Authorization: Bearer, or X-Patch-Secret",
	header: http.Header{"Www-Authenticate": {`Bearer realm="patchwork"`}},
}

// checkHook decides whether a request may do what it does on a hook: on /h
// anybody receives and sending needs the secret, on /r the other way round, and
// a pipe does both. For a signed body it replaces r.Body by the whole of it; done
// lets go of that.
func (s *Server) checkHook(w http.ResponseWriter, r *http.Request, c channel, act action) (done func(), err error) {
	done = func() {}
	sends := act == actSend || act == actPipe
	receives := act == actReceive || act == actPeek || act == actPipe
	if !(c.space == "h" && sends || c.space == "r" && receives) {
		return done, nil
	}
	defer func() { s.metric.allowed(err) }()
	secret := s.hooks.secret(c.name)
	given := secrets(r)
	if len(given) == 0 && c.space == "h" && act == actSend {
		for _, header := range signatures {
			if len(r.Header[header]) > 0 {
				return s.checkSignature(w, r, header, secret)
			}
		}
	}
	ok := len(given) > 0
	for _, v := range given {
		if subtle.ConstantTimeCompare([]byte(v), []byte(secret)) != 1 {
			ok = false
		}
	}
	if !ok {
		return done, errSecret
	}
	return done, nil
}

// secrets returns every secret a request gives: they all must be right.
func secrets(r *http.Request) []string {
	given := append([]string(nil), r.URL.Query()["secret"]...)
	given = append(given, r.Header["X-Patch-Secret"]...)
	for _, v := range r.Header["Authorization"] {
		if kind, token, ok := strings.Cut(v, " "); ok && strings.EqualFold(kind, "Bearer") {
			v = strings.TrimSpace(token)
		}
		given = append(given, v)
	}
	return given
}

// signedTime is how long a body may take to come whose signature is awaited.
const signedTime = time.Minute

// heldStep is what such a body takes at first; then it doubles.
const heldStep = 64 << 10

// hold reads a request's body, most bytes at most, within signedTime; nil is one
// that is longer. What all requests hold is bounded, and counted as it comes: who
// sends nothing takes nothing, and no client address takes all. release gives it back.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, most int) (body []byte, release func(), err error) {
	held := int64(0)
	free := func() {
		s.hooks.room.Release(held)
		s.limits.letGo(r, held)
	}
	rc := http.NewResponseController(w)
	rc.SetReadDeadline(time.Now().Add(signedTime)) //nolint:errcheck // the read says it
	defer func() {
		if err != nil || body == nil {
			free()
			return
		}
		rc.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
	}()
	body = []byte{}
	for {
		if len(body) == cap(body) {
			more := int64(max(heldStep, cap(body)))
			if !s.limits.hold(r, more) {
				return nil, nil, errTooMany
			}
			if !s.hooks.room.TryAcquire(more) {
				s.limits.letGo(r, more)
				return nil, nil, &httpError{http.StatusServiceUnavailable, "too many signed webhooks at once; try again", nil}
			}
			held += more
			body = append(make([]byte, 0, cap(body)+int(more)), body...)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > most:
			return nil, nil, nil
		case errors.Is(err, io.EOF):
			return body, free, nil
		case err != nil:
			return nil, nil, err
		}
	}
}

// signatures are the headers in which forges sign a webhook: the hex HMAC-SHA256
// of the raw body under the hook's secret, GitHub's with "sha256=" before it
// (docs.github.com, "Validating webhook deliveries"; Forgejo's and Gitea's
// webhook documentation).
var signatures = []string{"X-Hub-Signature-256", "X-Forgejo-Signature", "X-Gitea-Signature"}

func (s *Server) checkSignature(w http.ResponseWriter, r *http.Request, header, secret string) (done func(), err error) {
	done = func() {}
	if r.Method == http.MethodGet {
		return done, errSecret // ?body= is not what was signed
	}
	given, isHex := strings.CutPrefix(r.Header.Get(header), "sha256=")
	if header == "X-Hub-Signature-256" && !isHex || len(r.Header[header]) != 1 || len(given) != 2*sha256.Size {
		return done, errSecret
	}
	want, err := hex.DecodeString(given)
	if err != nil {
		return done, errSecret
	}
	tooLong := errorf(http.StatusRequestEntityTooLarge, "a signed body may be 25 MiB at most; use the secret itself for longer ones")
	if r.ContentLength > maxSigned {
		return done, tooLong
	}
	body, release, err := s.hold(w, r, maxSigned)
	switch {
	case err != nil:
		return done, err
	case body == nil:
		return done, tooLong
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if !hmac.Equal(mac.Sum(nil), want) {
		release()
		return done, errSecret
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Del(header) // it was the credential
	return release, nil
}

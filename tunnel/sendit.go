package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path"
	"sync"
)

// SendItPath is where the requests of SendIt clients go: open, read and write
// below it.
const SendItPath = "/.well-known/sendit/v1/"

// SendItOptions are the parts of a SendIt server.
type SendItOptions struct {
	Registry  *Registry
	Authorize AuthorizeFunc
	Log       *slog.Logger // nil is silence
}

// SendIt is the server of SendIt v1 (target/goalert, devtools/sendit): clients
// behind it publish local web servers under prefixes of the registry. It is an
// http.Handler for the paths below SendItPath. Its response writers must be
// controllable by http.ResponseController (read and write deadlines, Flush), and
// its requests are long: no timeout of the whole request may lie above it.
type SendIt struct {
	o      SendItOptions
	secret []byte // of connect tokens, which live no longer than this process

	mu       sync.Mutex // guards what follows
	sessions map[string]*session
	taken    map[string]bool // ids of sessions that were taken over,
	order    []string        // the latest maxTaken of them, oldest first
	closed   bool
	running  sync.WaitGroup
}

// maxTaken is how many ended sessions are remembered, so that their clients can
// be told why when they ask.
const maxTaken = 1024

// NewSendIt returns a SendIt server.
func NewSendIt(o SendItOptions) *SendIt {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	return &SendIt{o: o, secret: secret, sessions: map[string]*session{}, taken: map[string]bool{}}
}

// ServeHTTP serves open, read and write.
func (s *SendIt) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	serve, ok := map[string]func(http.ResponseWriter, *http.Request) error{
		"open": s.open, "read": s.read, "write": s.write,
	}[path.Base(r.URL.Path)]
	switch {
	case !ok:
		http.Error(w, "not found: there are open, read and write", http.StatusNotFound)
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "private, no-cache, no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	if err := serve(w, r); err != nil {
		http.Error(w, err.Error(), httpStatus(err))
	}
}

// statusError is an answer that has a status of its own.
type statusError struct {
	status int
	line   string
}

func (e *statusError) Error() string { return e.line }

func httpStatus(err error) int {
	var s *statusError
	if errors.As(err, &s) {
		return s.status
	}
	return Status(err)
}

// open claims a prefix for a client and tells it the connect token.
func (s *SendIt) open(w http.ResponseWriter, r *http.Request) error {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return &statusError{http.StatusBadRequest, "bad form: send prefix and token"}
	}
	prefix := r.Form.Get("prefix")
	if err := CheckPrefix(prefix); err != nil {
		return err
	}
	identity, err := s.o.Authorize(r.Context(), r.Form.Get("token"), prefix)
	if err != nil {
		return err
	}
	id := newID()
	token, err := sign(s.secret, audienceConnect, id, 0)
	if err != nil {
		return err
	}
	if err := s.begin(newSession(id, prefix), identity); err != nil {
		return err
	}
	// The answer ends here: its client goes on by the token alone, and a proxy
	// that holds answers back until their end does not stop it.
	_, err = io.WriteString(w, token+"\n")
	if err != nil {
		s.o.Log.Debug("tunnel client left at open", "prefix", prefix, "error", err)
	}
	return nil
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// begin claims the session's prefix and sees to its end.
func (s *SendIt) begin(x *session, identity string) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		x.stream.end(ErrClosed)
		return ErrClosed
	}
	s.sessions[x.id] = x
	s.running.Add(1)
	s.mu.Unlock()
	claim, err := s.o.Registry.Claim(ClaimOptions{
		Prefix: x.prefix, Identity: identity, Opener: x, Lost: func(why error) { s.lose(x, why) },
	})
	if err != nil {
		x.stream.end(err)
		s.forget(x)
		s.running.Done()
		return err
	}
	x.claim = claim
	go func() {
		defer s.running.Done()
		s.o.Log.Info("tunnel opened", "prefix", x.prefix)
		why := x.run()
		s.forget(x)
		s.o.Log.Info("tunnel ended", "prefix", x.prefix, "reason", why)
	}()
	return nil
}

// lose ends a session that lost its prefix.
func (s *SendIt) lose(x *session, why error) {
	if errors.Is(why, ErrTakenOver) {
		s.mu.Lock()
		s.taken[x.id] = true
		s.order = append(s.order, x.id)
		if len(s.order) > maxTaken {
			delete(s.taken, s.order[0])
			s.order = s.order[1:]
		}
		s.mu.Unlock()
	}
	x.stream.end(why)
}

func (s *SendIt) forget(x *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, x.id)
}

// session finds whose connect token this is.
func (s *SendIt) session(r *http.Request) (*session, error) {
	id, err := verify(s.secret, audienceConnect, r.URL.Query().Get("token"))
	if err != nil {
		return nil, &statusError{http.StatusUnauthorized, "bad connect token: open the prefix again"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch x := s.sessions[id]; {
	case s.taken[id]:
		return nil, ErrTakenOver
	case x == nil:
		return nil, &statusError{http.StatusNotFound, "this session is over: open the prefix again"}
	default:
		return x, nil
	}
}

// Close ends all sessions and waits until nothing of them is left. Transfers
// through them are cut: drain the requests first.
func (s *SendIt) Close() {
	s.mu.Lock()
	s.closed = true
	for _, x := range s.sessions {
		x.stream.end(ErrClosed)
	}
	s.mu.Unlock()
	s.running.Wait()
}

// wait bounds how long a half of a pair waits for its other half.
func (s *SendIt) wait(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), handOverLimit)
}

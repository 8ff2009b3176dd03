package acl

import (
	"context"
	"crypto/ed25519"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// fakeSource is a source whose answers a test decides.
type fakeSource struct {
	mu    sync.Mutex
	files map[string]string
	keys  map[string][]Fingerprint
	down  error
	plain bool            // files have no version
	noKey map[string]bool // whose keys cannot be read
	gate  chan struct{}   // not nil: every read waits here
	calls atomic.Int64
	asked sync.Map // the names that came here
}

var errDown = errors.New("the forge cannot be reached: connection refused")

func newFake(files map[string]string) *fakeSource {
	return &fakeSource{files: files, keys: map[string][]Fingerprint{}}
}

func (s *fakeSource) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *fakeSource) enter(ctx context.Context, name string) error {
	s.calls.Add(1)
	s.asked.Store(name, true)
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *fakeSource) File(ctx context.Context, user, version string) (File, error) {
	if err := s.enter(ctx, user); err != nil {
		return File{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.files[user]
	if !ok {
		return File{}, ErrNoUser
	}
	sum := digestOf(data)
	now := strconv.Quote(string(sum[:]))
	if s.plain {
		return File{Data: []byte(data)}, nil
	}
	if now == version {
		return File{Unchanged: true, Version: now}, nil
	}
	return File{Data: []byte(data), Version: now}, nil
}

func (s *fakeSource) Keys(ctx context.Context, user string) (AccountKeys, error) {
	if err := s.enter(ctx, user); err != nil {
		return AccountKeys{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noKey[user] {
		return AccountKeys{}, errDown
	}
	keys, ok := s.keys[user]
	if !ok {
		return AccountKeys{}, ErrNoUser
	}
	return AccountKeys{Keys: keys}, nil
}

func (s *fakeSource) Users(ctx context.Context) ([]string, error) {
	if err := s.enter(ctx, ""); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var users []string
	for user := range s.files {
		users = append(users, user)
	}
	return users, nil
}

// newTestStore makes a store that is closed with the test.
func newTestStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = debugLog()
	}
	s, err := NewStore(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// testKey makes the same key for the same number, and its line.
func testKey(n byte) (Fingerprint, string) {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		panic(err)
	}
	line := string(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	f := FingerprintOf(signer.PublicKey())
	secret(f.String())
	secret(line[12 : len(line)-1])
	return f, line[:len(line)-1]
}

// pass lets the time of a bubble pass.
func pass(d time.Duration) { <-time.After(d) }

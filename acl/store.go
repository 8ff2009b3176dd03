package acl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"patchwork/notify"
)

// Config is what a Store needs. The zero Config is a relay without users: every
// key owns its own namespace, and no token is known.
type Config struct {
	Source   Source        // nil: there are no users
	TTL      time.Duration // how long an answer of the source serves; 0 is 5m
	MaxStale time.Duration // how old it may get while the source cannot be read; 0 is 1h, negative: no older than TTL
	Admins   []string      // users whose is_admin tokens are the whole server's
	KeysOnly bool          // unknown keys are turned away, but for public topics
	Log      *slog.Logger  // nil: no log
}

// A Store answers who somebody is and what they may do, by rules that it reads
// from a Source and keeps. It may be used by any number of goroutines.
type Store struct {
	cfg    Config
	source Source
	run    *runner
	rules  *shelf[*ruleFile]
	keys   *shelf[AccountKeys]
	users  *shelf[[]string] // has one name, everyone
	admins []string
	firsts *rate.Limiter // reads of names of which nothing was kept
}

// How many names of which nothing is kept are asked for, in all: at once, and a
// second. Beyond that the source's list of users says that there is nobody. Names
// cost nothing to make up, and the forge is not ours to flood.
const (
	firstBurst = 200
	firstRate  = 10
)

// everyone is the name under which the list of users is kept.
const everyone = ""

// NewStore makes a Store. It asks the source for nothing yet. The error is about
// the names of the admins.
func NewStore(cfg Config) (*Store, error) {
	for _, user := range cfg.Admins {
		if err := CheckUser(user); err != nil {
			return nil, fmt.Errorf("admins: %w", err)
		}
	}
	if cfg.TTL <= 0 {
		cfg.TTL = 5 * time.Minute
	}
	if cfg.MaxStale == 0 {
		cfg.MaxStale = time.Hour
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{cfg: cfg, source: cfg.Source, admins: slices.Clone(cfg.Admins)}
	s.firsts = rate.NewLimiter(firstRate, firstBurst)
	if s.source == nil {
		s.source = nowhere{}
	}
	s.run = newRunner(cfg.TTL, cfg.MaxStale, cfg.Log)
	s.rules = newShelf(s.run, func(f *ruleFile) int { return f.size }, s.readFile)
	s.keys = newShelf(s.run, func(k AccountKeys) int {
		size := 32 * len(k.Keys)
		for _, line := range k.Lines {
			size += len(line)
		}
		return size
	},
		func(ctx context.Context, user string, _ AccountKeys) (AccountKeys, error) {
			return s.source.Keys(ctx, user)
		})
	s.users = newShelf(s.run, func(u []string) int { return 32 * len(u) },
		func(ctx context.Context, _ string, _ []string) ([]string, error) { return s.source.Users(ctx) })
	s.rules.absent, s.keys.absent = s.stranger, s.stranger
	return s, nil
}

// stranger tells that the source need not be asked for a user of whom nothing is
// kept.
func (s *Store) stranger(ctx context.Context, user string) bool {
	return !s.firsts.Allow() && s.unlisted(ctx, user)
}

// Close ends what is being read, and waits for it. Questions that would have to
// read get ErrUnavailable from then on.
func (s *Store) Close() { s.run.close() }

// A ruleFile is what is kept of a user's config.yaml.
type ruleFile struct {
	doc     *Document    // nil: the file never was good
	problem *DecodeError // what is wrong with the file as it is now, or nil
	version string
	size    int // in bytes, of the file as it is now
}

// readFile reads and decodes a user's file. One with a mistake does not take the
// place of what was good before.
func (s *Store) readFile(ctx context.Context, user string, last *ruleFile) (*ruleFile, error) {
	if last == nil {
		last = &ruleFile{}
	}
	began := time.Now()
	file, err := s.source.File(ctx, user, last.version)
	if err != nil {
		return nil, err
	}
	s.run.log.Debug("rules read", "user", user, "unchanged", file.Unchanged, "bytes", len(file.Data), "took", time.Since(began))
	if file.Unchanged {
		return last, nil
	}
	next := &ruleFile{version: file.Version, size: len(file.Data)}
	next.doc, err = Decode(file.Data)
	if err == nil {
		return next, nil
	}
	s.run.stats.refused.Add(1)
	if !errors.As(err, &next.problem) {
		next.problem = &DecodeError{1, 1, "the file cannot be read"}
	}
	next.doc = last.doc
	if last.problem == nil || *last.problem != *next.problem {
		// Where, but not what: the reason is for the owner alone.
		s.run.log.Warn("a user's config.yaml has a mistake, the last good one serves on",
			"user", user, "line", next.problem.Line, "column", next.problem.Column, "have_good_one", last.doc != nil)
	}
	return next, nil
}

// document returns a user's rules. The errors are ErrNoUser, ErrBroken and
// ErrUnavailable, and the context's.
func (s *Store) document(ctx context.Context, user string) (*Document, error) {
	if !isUser(user) {
		return nil, ErrNoUser
	}
	f, err := s.rules.get(ctx, user)
	switch {
	case err != nil:
		return nil, err
	case f.doc == nil:
		return nil, ErrBroken
	}
	return f.doc, nil
}

// Knows tells whether there are rules of this user. The namespaces of keys are
// always known.
func (s *Store) Knows(ctx context.Context, user string) (bool, error) {
	if keySpace.MatchString(user) {
		return true, nil
	}
	_, err := s.document(ctx, user)
	switch {
	case err == nil, errors.Is(err, ErrBroken):
		return true, nil
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrUnavailable) && s.unlisted(ctx, user):
		return false, nil
	}
	return false, err
}

// unlisted tells whether the source is known not to have a user. It is asked when
// the user's rules cannot be read, or had better not be.
func (s *Store) unlisted(ctx context.Context, user string) bool {
	users, err := s.users.get(ctx, everyone)
	return err == nil && !slices.Contains(users, user)
}

// Notifications returns the services a user has configured; none for a user
// without rules.
func (s *Store) Notifications(ctx context.Context, user string) (notify.Config, error) {
	doc, err := s.document(ctx, user)
	switch {
	case errors.Is(err, ErrNoUser):
		return notify.Config{}, nil
	case err != nil:
		return notify.Config{}, err
	}
	return doc.ntfy, nil
}

// AccountKeys returns the public keys of a user's own account, each as "TYPE BASE64":
// those with which the user comes as themselves, not those that ssh_keys lets in. The
// errors are ErrNoUser and ErrUnavailable, and the context's.
func (s *Store) AccountKeys(ctx context.Context, user string) ([]string, error) {
	if !isUser(user) {
		return nil, ErrNoUser
	}
	keys, err := s.keys.get(ctx, user)
	return slices.Clone(keys.Lines), err
}

// Invalidate has what is kept of a user read anew before it is used again.
func (s *Store) Invalidate(user string) {
	s.rules.drop(user)
	s.keys.drop(user)
	s.users.drop(everyone)
}

// InvalidateAll is Invalidate for all users.
func (s *Store) InvalidateAll() {
	s.rules.dropAll()
	s.keys.dropAll()
	s.users.dropAll()
}

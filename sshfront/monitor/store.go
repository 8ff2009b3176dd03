package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"patchwork/broker"
)

var (
	// ErrFull says that a user, or the whole store, has as many monitors as it may.
	ErrFull = errors.New("too many monitors")
	// ErrNone says that the user has no monitor on that topic.
	ErrNone = errors.New("no such monitor")
	// ErrClosed says that the store is closed.
	ErrClosed = errors.New("the monitors are closed")
)

// A Watcher calls f whenever somebody sends something on a channel, or wants to,
// until stop is called. f does not block and does not call the watcher.
type Watcher interface {
	Watch(n broker.Name, f func()) (stop func())
}

// Options are what a [Store] is made of. Watcher is required.
type Options struct {
	Watcher Watcher
	// Notify tells a user that a topic became unhealthy or recovered. It is called
	// in a goroutine of its own; ctx ends with the store, which waits for it. nil:
	// nobody is told.
	Notify func(ctx context.Context, user, title, text string)
	Logger *slog.Logger // nil: nothing is logged
	// PerUser and Total are how many monitors there may be: 100 and 20,000.
	PerUser, Total int
}

// A Store keeps monitors and looks after them. Its methods may be called
// concurrently.
type Store struct {
	o    Options
	db   *bbolt.DB
	wake chan struct{} // capacity 1: something is due

	ctx    context.Context // ends with the store
	cancel context.CancelFunc
	jobs   sync.WaitGroup
	turns  chan struct{} // holds one for each notification under way

	dueMu sync.Mutex // guards due
	due   []*monitor

	mu       sync.Mutex // guards all below and what it says of monitors; before the database's own
	monitors map[id]*monitor
	count    map[string]int // by user
	closed   bool
}

// An id names a monitor.
type id struct {
	user  string
	topic broker.Name
}

type monitor struct {
	id
	last atomic.Int64 // when something was sent last, in Unix nanoseconds; 0: never
	sick atomic.Bool  // unhealthy: a sign of life is news
	due  atomic.Bool  // stands in Store.due

	// Guarded by Store.mu.
	window time.Duration
	since  time.Time // the window counts from here, or from last if that is later
	timer  *time.Timer
	stop   func() // ends the watching
	gone   bool
}

// Open opens the file of monitors, or makes it, and begins to watch. Errors are one
// line and name the file.
func Open(path string, o Options) (*Store, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.PerUser, o.Total = cmp.Or(o.PerUser, 100), cmp.Or(o.Total, 20_000)
	db, err := openFile(path)
	if err != nil {
		return nil, err
	}
	s := &Store{
		o: o, db: db,
		wake:     make(chan struct{}, 1),
		turns:    make(chan struct{}, maxNotifying),
		monitors: map[id]*monitor{},
		count:    map[string]int{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	records, err := load(db)
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("monitors %s: %w", path, err)
	}
	s.mu.Lock()
	for who, r := range records {
		s.begin(who, r, time.Now())
	}
	s.mu.Unlock()
	s.jobs.Go(s.run)
	return s, nil
}

// begin puts a monitor to work. Under mu.
func (s *Store) begin(who id, r record, since time.Time) *monitor {
	m := &monitor{id: who, window: r.Window, since: since}
	if !r.Last.IsZero() {
		m.last.Store(r.Last.UnixNano())
	}
	m.sick.Store(r.Sick)
	s.monitors[who] = m
	s.count[who.user]++
	wait := m.window
	if r.Sick {
		wait = forever // only a sign of life changes anything
	}
	m.timer = time.AfterFunc(wait, func() { s.poke(m) })
	m.stop = s.o.Watcher.Watch(who.topic, func() { s.alive(m) })
	return m
}

const forever = 1<<63 - 1

// Set makes a monitor, or gives one another window, which begins now.
func (s *Store) Set(user string, topic broker.Name, window time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	who, now := id{user, topic}, time.Now()
	m := s.monitors[who]
	switch {
	case s.closed:
		return ErrClosed
	case m == nil && (s.count[user] >= s.o.PerUser || len(s.monitors) >= s.o.Total):
		return ErrFull
	}
	r := record{Window: window, Created: now}
	if m != nil {
		r.Last = m.seen()
	}
	fresh := m == nil || m.sick.Load()
	if err := s.db.Update(func(tx *bbolt.Tx) error { return r.put(tx, who, fresh, now) }); err != nil {
		return err
	}
	if m == nil {
		s.begin(who, r, now)
		return nil
	}
	m.window, m.since = window, now
	m.sick.Store(false)
	m.timer.Reset(window)
	return nil
}

// Remove ends a monitor and forgets its history, and with a user's last one the
// address of the user's feed.
func (s *Store) Remove(user string, topic broker.Name) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	who := id{user, topic}
	m := s.monitors[who]
	switch {
	case s.closed:
		return ErrClosed
	case m == nil:
		return ErrNone
	}
	if err := s.db.Update(func(tx *bbolt.Tx) error { return drop(tx, who, s.count[user] == 1) }); err != nil {
		return err
	}
	m.gone = true
	m.timer.Stop()
	m.stop()
	delete(s.monitors, who)
	if s.count[user]--; s.count[user] == 0 {
		delete(s.count, user)
	}
	return nil
}

// A Status is how a monitor stands.
type Status struct {
	Topic   broker.Name
	Healthy bool
	Window  time.Duration
	Last    time.Time // when something was sent last; zero: never
	Due     time.Time // when it becomes unhealthy, or became so
}

// List returns a user's monitors in order of their topics.
func (s *Store) List(user string) []Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Status
	for who, m := range s.monitors {
		if who.user == user {
			list = append(list, Status{Topic: who.topic, Healthy: !m.sick.Load(), Window: m.window, Last: m.seen(), Due: m.deadline()})
		}
	}
	slices.SortFunc(list, func(a, b Status) int { return cmp.Compare(a.Topic.String(), b.Topic.String()) })
	return list
}

// seen is when something was sent last.
func (m *monitor) seen() time.Time {
	if last := m.last.Load(); last != 0 {
		return time.Unix(0, last)
	}
	return time.Time{}
}

// deadline is when the window ends unless something is sent. Under Store.mu.
func (m *monitor) deadline() time.Time {
	from := m.since
	if seen := m.seen(); seen.After(from) {
		from = seen
	}
	return from.Add(m.window)
}

// Close ends all watching, waits for notifications under way, and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	for _, m := range s.monitors {
		m.gone = true
		m.timer.Stop()
		m.stop()
	}
	s.mu.Unlock()
	s.cancel()
	s.jobs.Wait()
	return errors.Join(s.db.Update(s.keepLast), s.db.Close())
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// saveEvery is the least time between two writes of the state, and so about the most
// that a killed pipemgr sends once more after its next start.
const saveEvery = time.Second

// A state is the folder that outlives pipemgr: how far each container's log was
// sent, in cursors.json, and the keys of relays, in known_hosts. One process uses
// it at a time. A nil state keeps nothing.
type state struct {
	dir     string
	lock    *os.File
	touched chan struct{} // has room for one: there is something to write
}

// openState makes the folder where there is none.
func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is used by another pipemgr", dir)
		}
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return &state{dir: dir, lock: lock, touched: make(chan struct{}, 1)}, nil
}

func (s *state) close() {
	if s != nil {
		s.lock.Close()
	}
}

// touch says that there is something to write.
func (s *state) touch() {
	if s == nil {
		return
	}
	select {
	case s.touched <- struct{}{}:
	default:
	}
}

// savedState is what cursors.json holds.
type savedState struct {
	// Alive is when it was written, by the clock of the Docker machine. The log of
	// a container without a cursor began later.
	Alive   int64                  `json:"alive"`
	Cursors map[string]savedCursor `json:"cursors"`
}

// savedCursor is a cursor, its times given as what they are above the floor.
type savedCursor struct {
	Floor int64      `json:"floor"`
	After [][2]int64 `json:"after,omitempty"` // time, number of entries
}

func saveCursor(c cursor) savedCursor {
	s := savedCursor{Floor: c.floor}
	for _, i := range c.after {
		s.After = append(s.After, [2]int64{i.t - c.floor, int64(i.n)})
	}
	return s
}

func (s savedCursor) cursor() cursor {
	c := cursor{floor: s.Floor}
	for _, i := range s.After {
		c.after = append(c.after, instant{s.Floor + i[0], int(i[1])})
	}
	return c
}

func (s *state) file() string { return filepath.Join(s.dir, "cursors.json") }

// read returns what was written last, or an empty state when nothing ever was.
func (s *state) read() (savedState, error) {
	var saved savedState
	if s == nil {
		return saved, nil
	}
	text, err := os.ReadFile(s.file())
	if errors.Is(err, fs.ErrNotExist) {
		return saved, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &saved)
	}
	if err != nil {
		return savedState{}, fmt.Errorf("%s: %w", s.file(), err)
	}
	return saved, nil
}

// write replaces the file as a whole, so that there is always one that can be read.
func (s *state) write(saved savedState) error {
	text, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	next := s.file() + ".new"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(next, s.file())
}

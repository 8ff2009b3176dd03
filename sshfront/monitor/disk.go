package monitor

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	bolt "go.etcd.io/bbolt/errors"

	"patchwork/broker"
)

// What the file holds: monitors by user and topic, the history of each in a bucket
// of its own, and the addresses of feeds both ways round.
var (
	monitorsBucket = []byte("monitors")
	historyBucket  = []byte("history")
	feedsBucket    = []byte("feeds")  // token: user
	tokensBucket   = []byte("tokens") // user: token
)

// maxHistory is how many changes of a monitor are kept.
const maxHistory = 500

// A record is a monitor on disk. Last is as of the last change, or the last close.
type record struct {
	Window  time.Duration `json:"window"`
	Created time.Time     `json:"created"`
	Last    time.Time     `json:"last,omitzero"`
	Sick    bool          `json:"sick,omitempty"`
}

func openFile(path string) (*bbolt.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if errors.Is(err, bolt.ErrTimeout) {
		return nil, fmt.Errorf("monitors %s: another relay uses this file; give each its own --data-dir", path)
	}
	if err != nil {
		return nil, fmt.Errorf("monitors %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{monitorsBucket, historyBucket, feedsBucket, tokensBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("monitors %s: %w", path, err)
	}
	return db, nil
}

// key is the id on disk. Neither half holds a zero byte.
func (i id) key() []byte { return []byte(i.user + "\x00" + i.topic.String()) }

func parseKey(key []byte) (id, error) {
	user, topic, _ := strings.Cut(string(key), "\x00")
	name, err := broker.ParseName(topic)
	return id{user, name}, err
}

func load(db *bbolt.DB) (map[id]record, error) {
	records := map[id]record{}
	err := db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(monitorsBucket).ForEach(func(k, v []byte) error {
			who, err := parseKey(k)
			if err != nil {
				return err
			}
			var r record
			if err := json.Unmarshal(v, &r); err != nil {
				return err
			}
			records[who] = r
			return nil
		})
	})
	return records, err
}

// put writes a monitor; with fresh its history says that it is healthy from now on.
func (r record) put(tx *bbolt.Tx, who id, fresh bool, now time.Time) error {
	old, err := read(tx, who)
	if err != nil {
		return err
	}
	if !old.Created.IsZero() {
		r.Created = old.Created
	}
	if err := r.write(tx, who); err != nil || !fresh {
		return err
	}
	return remember(tx, who, now, true)
}

func read(tx *bbolt.Tx, who id) (r record, err error) {
	if text := tx.Bucket(monitorsBucket).Get(who.key()); text != nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

func (r record) write(tx *bbolt.Tx, who id) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return tx.Bucket(monitorsBucket).Put(who.key(), text)
}

// put books a change.
func (c change) put(tx *bbolt.Tx) error {
	r, err := read(tx, c.m.id)
	if err != nil {
		return err
	}
	r.Sick, r.Last = !c.healthy, c.last
	return errors.Join(r.write(tx, c.m.id), remember(tx, c.m.id, c.at, c.healthy))
}

// remember adds to a monitor's history, and forgets its beginning when it gets long.
func remember(tx *bbolt.Tx, who id, at time.Time, healthy bool) error {
	h, err := tx.Bucket(historyBucket).CreateBucketIfNotExists(who.key())
	if err != nil {
		return err
	}
	state := []byte{0}
	if healthy {
		state[0] = 1
	}
	c := h.Cursor()
	when := uint64(at.UnixNano())
	if k, _ := c.Last(); k != nil { // a clock that stands still or goes back loses nothing
		when = max(when, binary.BigEndian.Uint64(k)+1)
	}
	if err := h.Put(binary.BigEndian.AppendUint64(nil, when), state); err != nil {
		return err
	}
	n := 0
	for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
		if n++; n > maxHistory {
			return c.Delete()
		}
	}
	return nil
}

// drop forgets a monitor, and the user's feed with the last one.
func drop(tx *bbolt.Tx, who id, feed bool) error {
	err := tx.Bucket(historyBucket).DeleteBucket(who.key())
	if errors.Is(err, bolt.ErrBucketNotFound) {
		err = nil
	}
	err = errors.Join(err, tx.Bucket(monitorsBucket).Delete(who.key()))
	if feed {
		if token := tx.Bucket(tokensBucket).Get([]byte(who.user)); token != nil {
			err = errors.Join(err, tx.Bucket(feedsBucket).Delete(bytes.Clone(token)), tx.Bucket(tokensBucket).Delete([]byte(who.user)))
		}
	}
	return err
}

// keepLast writes down when something was sent last.
func (s *Store) keepLast(tx *bbolt.Tx) error {
	for who, m := range s.monitors {
		r, err := read(tx, who)
		if err != nil {
			return err
		}
		if last := m.seen(); !last.Equal(r.Last) {
			r.Last = last
			if err := r.write(tx, who); err != nil {
				return err
			}
		}
	}
	return nil
}

// An entry is one line of a monitor's history.
type entry struct {
	at      time.Time
	healthy bool
}

// history returns what is remembered of a monitor, oldest first.
func history(tx *bbolt.Tx, who id) (list []entry) {
	h := tx.Bucket(historyBucket).Bucket(who.key())
	if h == nil {
		return nil
	}
	_ = h.ForEach(func(k, v []byte) error {
		list = append(list, entry{time.Unix(0, int64(binary.BigEndian.Uint64(k))), len(v) == 1 && v[0] == 1})
		return nil
	})
	return list
}

package monitor

import (
	"errors"
	"time"

	"go.etcd.io/bbolt"

	"patchwork/broker"
)

// ErrPeriod says that there is no such period in the monitor's life.
var ErrPeriod = errors.New("the monitor has not been there in that period")

// An Uptime is how much of a period a topic was healthy.
type Uptime struct {
	From, To time.Time
	Healthy  time.Duration
}

// Percent returns the share of the period in which the topic was healthy.
func (u Uptime) Percent() float64 {
	return 100 * float64(u.Healthy) / float64(u.To.Sub(u.From))
}

// Uptime adds up the healthy times of a topic between from and to, as far as they
// lie in the past and are remembered. While the relay was down the topic counts as
// what it was before.
func (s *Store) Uptime(user string, topic broker.Name, from, to time.Time) (Uptime, error) {
	s.mu.Lock()
	_, there := s.monitors[id{user, topic}]
	closed := s.closed
	s.mu.Unlock()
	switch {
	case closed:
		return Uptime{}, ErrClosed
	case !there:
		return Uptime{}, ErrNone
	}
	var list []entry
	err := s.db.View(func(tx *bbolt.Tx) error {
		list = history(tx, id{user, topic})
		return nil
	})
	if err != nil {
		return Uptime{}, err
	}
	return uptime(list, from, to, time.Now())
}

func uptime(list []entry, from, to, now time.Time) (Uptime, error) {
	if to.After(now) {
		to = now
	}
	if len(list) > 0 && from.Before(list[0].at) {
		from = list[0].at
	}
	if len(list) == 0 || !from.Before(to) {
		return Uptime{}, ErrPeriod
	}
	u := Uptime{From: from, To: to}
	for i, e := range list {
		begin, end := e.at, to
		if i+1 < len(list) && list[i+1].at.Before(to) {
			end = list[i+1].at
		}
		if begin.Before(from) {
			begin = from
		}
		if e.healthy && begin.Before(end) {
			u.Healthy += end.Sub(begin)
		}
	}
	return u, nil
}

package sshfront

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"patchwork/broker"
	"patchwork/sshfront/monitor"
)

const monitorHelp = `
  A topic to which nobody sends anything for DURATION is unhealthy until somebody
  does. status and the feed of rss say so. Send with -b=false: pub would wait for
  a subscriber.

  HOST monitor backup 25h
  ./backup.sh && HOST pub -e -b=false backup
  HOST monitor backup -d
`

const statusHelp = `
  HOST status
  HOST status -json | jq -r '.[] | select(.healthy | not) | .topic'
`

const uptimeHelp = `
  HOST uptime backup
  HOST uptime backup -from 30d
  HOST uptime backup -from 2026-01-01T00:00:00Z -to 2026-02-01T00:00:00Z
`

const rssHelp = `
  Prints the feed. Its address, for a feed reader, is said on stderr; who has the
  address can read the feed.

  HOST rss
`

// minWindow is the shortest window of a monitor.
const minWindow = time.Second

func monitorFlags(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.remove, "d", false, "remove the monitor")
	f.BoolVar(&o.clean, "c", false, "no talk on stderr")
}

func uptimeFlags(f *flag.FlagSet, o *options) {
	f.Func("from", "begin at `TIME`, like 2026-01-31T12:00:00Z, or so long ago, like 36h or 7d (default 24h)", moment(&o.from))
	f.Func("to", "end at `TIME` (default now)", moment(&o.to))
}

func rssFlags(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.clean, "c", false, "no talk on stderr")
}

// moment reads a time, or a duration before now.
func moment(at *time.Time) func(string) error {
	return func(s string) error {
		t, err := time.Parse(time.RFC3339, s)
		if d, ago := duration(s); err != nil && ago == nil {
			t, err = time.Now().Add(-d), nil
		}
		if err != nil {
			return errors.New("want a time, like 2026-01-31T12:00:00Z, or a duration, like 7d")
		}
		*at = t
		return nil
	}
}

// monitors returns where the caller's monitors are.
func (s *session) monitors() (*monitor.Store, error) {
	if s.srv.cfg.Monitors == nil {
		return nil, refused("monitors are not available on this relay")
	}
	if _, closed := s.caller.(publicCaller); closed {
		return nil, errClosed
	}
	if err := s.needOwner(); err != nil {
		return nil, err
	}
	return s.srv.cfg.Monitors, nil
}

// monitored is the topic of a monitor. Whom only an access list lets in may not
// have one there: it would outlive the list.
func (s *session) monitored(topic string) (broker.Name, error) {
	if strings.Contains(topic, "*") {
		return broker.Name{}, usage("a monitor is for one topic, and not for a pattern")
	}
	name, err := s.channel(topic, false, Receive)
	if err == nil && s.guest {
		err = denied(name.String())
	}
	return name.Request(), err
}

// runMonitor makes, changes or removes a monitor.
func runMonitor(s *session, o *options) error {
	store, err := s.monitors()
	if err != nil {
		return err
	}
	name, err := s.monitored(o.topic)
	if err != nil {
		return err
	}
	if o.remove {
		if err := store.Remove(s.caller.Namespace(), name); err != nil {
			return s.monitorError(err, o)
		}
		s.talk("no monitor any more on %s", name)
		return nil
	}
	if o.word == "" {
		return usage("monitor needs a duration, like: monitor %s 1h", quoted(o.topic))
	}
	window, err := duration(o.word)
	if err != nil || window < minWindow {
		return usage("monitor: bad duration %q: want one of a second or more, like 90s or 10m", short(o.word))
	}
	if err := store.Set(s.caller.Namespace(), name, window); err != nil {
		return s.monitorError(err, o)
	}
	s.talk("%s has to be sent something every %v", name, window)
	return nil
}

func (s *session) monitorError(err error, o *options) error {
	switch {
	case errors.Is(err, monitor.ErrNone):
		return refused("there is no monitor on %s; see: %s status", o.topic, s.host())
	case errors.Is(err, monitor.ErrFull):
		return refused("there are too many monitors; remove some with: monitor TOPIC -d")
	case errors.Is(err, monitor.ErrClosed):
		return broker.ErrClosed
	case errors.Is(err, monitor.ErrPeriod):
		return refused("nothing is known of %s in that time; see: %s help uptime", o.topic, s.host())
	}
	return err
}

// A health is one monitor as status -json shows it.
type health struct {
	Topic   string     `json:"topic"`
	Healthy bool       `json:"healthy"`
	Window  string     `json:"window"`
	Last    *time.Time `json:"last"` // null: never
	Due     time.Time  `json:"due"`  // when it becomes unhealthy, or did
}

// runStatus lists the caller's monitors.
func runStatus(s *session, o *options) error {
	store, err := s.monitors()
	if err != nil {
		return err
	}
	list := store.List(s.caller.Namespace())
	if o.json {
		healths := []health{}
		for _, m := range list {
			h := health{Topic: m.Topic.String(), Healthy: m.Healthy, Window: m.Window.String(), Due: m.Due.UTC()}
			if !m.Last.IsZero() {
				last := m.Last.UTC()
				h.Last = &last
			}
			healths = append(healths, h)
		}
		return s.printJSON(healths)
	}
	if len(list) == 0 {
		s.talk("there are no monitors; make one with: %s monitor mytopic 1h", s.host())
		return nil
	}
	return s.table("TOPIC\tSTATUS\tWINDOW\tLAST\tDUE\tREASON", func(row func(...any)) {
		for _, m := range list {
			status, last, reason := "healthy", "never", ""
			if !m.Last.IsZero() {
				last = m.Last.UTC().Format(time.RFC3339)
			}
			if !m.Healthy {
				status, reason = "unhealthy", fmt.Sprintf("nothing was sent within %v", m.Window)
			}
			row(m.Topic, status, m.Window, last, m.Due.UTC().Format(time.RFC3339), reason)
		}
	})
}

// runUptime says how much of a period a topic was healthy.
func runUptime(s *session, o *options) error {
	store, err := s.monitors()
	if err != nil {
		return err
	}
	name, err := s.monitored(o.topic)
	if err != nil {
		return err
	}
	now := time.Now()
	if o.to.IsZero() {
		o.to = now
	}
	if o.from.IsZero() {
		o.from = now.Add(-24 * time.Hour)
	}
	u, err := store.Uptime(s.caller.Namespace(), name, o.from, o.to)
	if err != nil {
		return s.monitorError(err, o)
	}
	return s.print(fmt.Sprintf("Monitor: %s\nPeriod: %s to %s\nTotal Duration: %v\nUptime Duration: %v\nUptime: %.2f%%\n",
		name, u.From.UTC().Format(time.RFC3339), u.To.UTC().Format(time.RFC3339),
		u.To.Sub(u.From).Round(time.Second), u.Healthy.Round(time.Second), u.Percent()))
}

// runRSS prints the caller's feed, and says where else it is.
func runRSS(s *session, _ *options) error {
	store, err := s.monitors()
	if err != nil {
		return err
	}
	token, err := store.Token(s.caller.Namespace())
	if errors.Is(err, monitor.ErrNone) {
		return refused("there are no monitors; make one with: %s monitor mytopic 1h", s.host())
	}
	if err != nil {
		return s.monitorError(err, &options{})
	}
	s.talk("the feed is also at %s/rss/%s", strings.TrimSuffix(s.srv.cfg.WebURL, "/"), token)
	text, ok := store.Feed(token)
	if !ok {
		return broker.ErrClosed
	}
	return s.write(text)
}

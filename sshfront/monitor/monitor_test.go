package monitor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"patchwork/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A street is where the test is heard by the monitors.
type street struct {
	mu   sync.Mutex
	ears map[broker.Name][]*func()
}

func (s *street) Watch(n broker.Name, f func()) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ears == nil {
		s.ears = map[broker.Name][]*func(){}
	}
	ear := &f
	s.ears[n] = append(s.ears[n], ear)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		*ear = nil
	}
}

func (s *street) send(n broker.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ear := range s.ears[n] {
		if *ear != nil {
			(*ear)()
		}
	}
}

func topic(s string) broker.Name {
	n, err := broker.ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

var backup = topic("alice/backup")

// A bubble is a store in fake time.
type bubble struct {
	*testing.T
	path string
	s    *Store
	street
	told []string
}

func inBubble(t *testing.T, o Options, test func(*bubble)) {
	path := filepath.Join(t.TempDir(), "sub", "monitors.db")
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{T: t, path: path}
		b.open(o)
		defer func() {
			if err := b.s.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(b)
	})
}

func (b *bubble) open(o Options) {
	b.Helper()
	o.Watcher = &b.street
	var mu sync.Mutex
	o.Notify = func(_ context.Context, user, title, _ string) {
		mu.Lock()
		defer mu.Unlock()
		b.told = append(b.told, user+": "+title)
	}
	s, err := Open(b.path, o)
	if err != nil {
		b.Fatal(err)
	}
	b.s = s
}

func (b *bubble) set(window time.Duration) {
	b.Helper()
	if err := b.s.Set("alice", backup, window); err != nil {
		b.Fatal(err)
	}
}

func (b *bubble) pass(d time.Duration) {
	<-time.After(d) // by the bubble's clock
	synctest.Wait()
}

func (b *bubble) healthy(want bool) {
	b.Helper()
	if list := b.s.List("alice"); len(list) != 1 || list[0].Healthy != want {
		b.Errorf("after %s: %+v", time.Now().Format(time.TimeOnly), list)
	}
}

func TestATopicThatStaysSilentIsUnhealthyUntilItIsNot(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		b.set(time.Hour)
		b.pass(59 * time.Minute)
		b.healthy(true)
		b.send(backup)
		b.pass(59 * time.Minute)
		b.healthy(true)
		b.pass(time.Minute)
		b.healthy(false)
		b.pass(time.Hour)
		b.send(backup)
		b.send(topic("alice/other"))
		synctest.Wait()
		b.healthy(true)
		b.pass(time.Hour)
		b.healthy(false)
		want := "alice: alice/backup is unhealthy|alice: alice/backup has recovered|alice: alice/backup is unhealthy"
		if got := strings.Join(b.told, "|"); got != want {
			b.Errorf("told %s", got)
		}
	})
}

func TestMonitorsSurviveARestart(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		b.set(time.Hour)
		other := topic("alice/other")
		if err := b.s.Set("alice", other, time.Minute); err != nil {
			b.Fatal(err)
		}
		b.pass(10 * time.Minute)
		b.send(backup)
		token, err := b.s.Token("alice")
		if err != nil {
			b.Fatal(err)
		}
		seen := time.Now()
		if err := b.s.Close(); err != nil {
			b.Fatal(err)
		}
		b.pass(24 * time.Hour)
		b.open(Options{})
		b.pass(59 * time.Minute) // the window began anew
		list := b.s.List("alice")
		if len(list) != 2 || !list[0].Healthy || !list[0].Last.Equal(seen) || list[1].Healthy || list[1].Window != time.Minute {
			b.Errorf("%+v", list)
		}
		b.pass(time.Minute)
		if list := b.s.List("alice"); list[0].Healthy {
			b.Errorf("%+v", list)
		}
		b.send(other)
		synctest.Wait()
		if again, err := b.s.Token("alice"); err != nil || again != token {
			b.Errorf("the feed moved: %v", err)
		}
		if text, ok := b.s.Feed(token); !ok || strings.Count(string(text), "<item>") != 3 {
			b.Errorf("%v\n%s", ok, text)
		}
		want := "alice: alice/other is unhealthy|alice: alice/backup is unhealthy|alice: alice/other has recovered"
		if got := strings.Join(b.told, "|"); got != want {
			b.Errorf("told %s", got)
		}
	})
}

func TestUptimeIsTheHealthyPartOfThePeriod(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		begin := time.Now()
		b.set(time.Hour)
		b.pass(3 * time.Hour) // healthy for one
		b.send(backup)
		b.pass(30 * time.Minute)
		now := time.Now()
		for _, x := range []struct {
			from, to time.Time
			all, up  time.Duration
		}{
			{begin.Add(-time.Hour), now.Add(time.Hour), 210 * time.Minute, 90 * time.Minute},
			{begin, begin.Add(30 * time.Minute), 30 * time.Minute, 30 * time.Minute},
			{begin.Add(90 * time.Minute), begin.Add(2 * time.Hour), 30 * time.Minute, 0},
			{begin.Add(30 * time.Minute), begin.Add(90 * time.Minute), time.Hour, 30 * time.Minute},
			{begin.Add(170 * time.Minute), now, 40 * time.Minute, 30 * time.Minute},
		} {
			u, err := b.s.Uptime("alice", backup, x.from, x.to)
			if err != nil || u.To.Sub(u.From) != x.all || u.Healthy != x.up {
				b.Errorf("%v to %v: %+v %v", x.from, x.to, u, err)
			}
		}
		if _, err := b.s.Uptime("alice", backup, now, begin); !errors.Is(err, ErrPeriod) {
			b.Error(err)
		}
		if _, err := b.s.Uptime("bob", backup, begin, now); !errors.Is(err, ErrNone) {
			b.Error(err)
		}
	})
}

func TestMonitorsAreSetAnewAndRemoved(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		b.set(time.Minute)
		b.pass(time.Minute)
		b.healthy(false)
		b.set(time.Hour)
		b.pass(59 * time.Minute)
		b.healthy(true)
		token, err := b.s.Token("alice")
		if err != nil {
			b.Fatal(err)
		}
		if err := b.s.Remove("bob", backup); !errors.Is(err, ErrNone) {
			b.Error(err)
		}
		if err := b.s.Remove("alice", backup); err != nil {
			b.Error(err)
		}
		b.send(backup)
		b.pass(24 * time.Hour)
		if list := b.s.List("alice"); len(list) != 0 {
			b.Errorf("%+v", list)
		}
		if _, ok := b.s.Feed(token); ok {
			b.Error("its feed is still there")
		}
		if _, err := b.s.Token("alice"); !errors.Is(err, ErrNone) {
			b.Error(err)
		}
		if len(b.told) != 1 {
			b.Errorf("told %q", b.told)
		}
	})
}

func TestMonitorsAreLimited(t *testing.T) {
	inBubble(t, Options{PerUser: 2, Total: 3}, func(b *bubble) {
		for i, want := range []error{nil, nil, ErrFull} {
			if err := b.s.Set("alice", topic(fmt.Sprint("alice/", i)), time.Hour); !errors.Is(err, want) {
				b.Errorf("%d: %v", i, err)
			}
		}
		if err := b.s.Set("alice", topic("alice/1"), time.Minute); err != nil {
			b.Errorf("one that is there: %v", err)
		}
		for i, want := range []error{nil, ErrFull} {
			if err := b.s.Set("bob", topic(fmt.Sprint("bob/", i)), time.Hour); !errors.Is(err, want) {
				b.Errorf("bob %d: %v", i, err)
			}
		}
	})
}

func TestAHistoryHasAnEnd(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		b.set(time.Second)
		for range maxHistory {
			b.pass(time.Second)
			b.send(backup)
			synctest.Wait()
		}
		token, err := b.s.Token("alice")
		if err != nil {
			b.Fatal(err)
		}
		u, err := b.s.Uptime("alice", backup, time.Time{}, time.Now())
		if err != nil || u.To.Sub(u.From) > maxHistory/2*time.Second {
			b.Errorf("%+v %v", u, err)
		}
		text, _ := b.s.Feed(token)
		var feed rss
		if err := xml.Unmarshal(text, &feed); err != nil {
			b.Fatal(err)
		}
		items := feed.Channel.Items
		if len(items) != maxItems {
			b.Fatalf("%d items:\n%s", len(items), text)
		}
		if items[0].Title != "alice/backup has recovered" || items[1].Title != "ALERT: alice/backup is unhealthy" {
			b.Errorf("the first are %+v", items[:2])
		}
		seen := map[string]bool{}
		for _, i := range items {
			seen[i.ID.Text] = true
			if _, err := time.Parse(time.RFC1123Z, i.Published); err != nil {
				b.Error(err)
			}
		}
		if len(seen) != len(items) {
			b.Error("two items have one identity")
		}
	})
}

func TestNoFeedWithoutItsToken(t *testing.T) {
	inBubble(t, Options{}, func(b *bubble) {
		b.set(time.Hour)
		if _, err := b.s.Token("alice"); err != nil {
			b.Fatal(err)
		}
		for _, token := range []string{"", "alice", "x", strings.Repeat("y", 100_000)} {
			if _, ok := b.s.Feed(token); ok {
				b.Errorf("%.10q opens a feed", token)
			}
		}
	})
}

func TestAFileThatCannotBeUsedIsOneLineThatNamesIt(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "monitors.db")
	s, err := Open(path, Options{Watcher: &street{}})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if _, err := Open(path, Options{Watcher: &street{}}); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Set("alice", backup, time.Hour); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte(strings.Repeat("rubbish", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, Options{Watcher: &street{}}); err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
		t.Errorf("rubbish: %v", err)
	}
}

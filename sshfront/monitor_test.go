package sshfront

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
	"patchwork/sshfront/monitor"
)

// ears stand in for what is sent on channels.
type ears struct {
	mu sync.Mutex
	on map[broker.Name]func()
}

func (e *ears) Watch(n broker.Name, f func()) (stop func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.on[n] = f
	return func() {}
}

func openMonitored(t *testing.T) (*door, *ears) {
	t.Helper()
	watcher := &ears{on: map[broker.Name]func(){}}
	store, err := monitor.Open(filepath.Join(t.TempDir(), "monitors.db"), monitor.Options{Watcher: watcher, PerUser: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return open(t, func(c *Config) { c.Monitors, c.WebURL = store, "https://relay.example" }), watcher
}

func TestMonitorsAreMadeShownAndRemoved(t *testing.T) {
	d, watcher := openMonitored(t)
	key := newKey(t)
	c := d.dial(key)
	own := KeyNamespace(key.PublicKey())
	must := func(cmd string) (out, stderr string) {
		t.Helper()
		code, out, stderr := do(t, c, cmd, "")
		if code != 0 {
			t.Fatalf("%s: %d %q", cmd, code, stderr)
		}
		return out, stderr
	}
	if out, stderr := must("status"); out != "" || !strings.Contains(stderr, "no monitors") {
		t.Errorf("%q %q", out, stderr)
	}
	if out, _ := must("status -json"); out != "[]\n" {
		t.Errorf("%q", out)
	}
	if out, stderr := must("monitor backup 1d"); out != "" || !strings.Contains(stderr, own+"/backup has to be sent something every 24h0m0s") {
		t.Errorf("%q %q", out, stderr)
	}
	must("monitor -c fast 1s")
	watcher.mu.Lock()
	watcher.on[name(t, key, "backup")]()
	watcher.mu.Unlock()
	eventually(t, "one of them is unhealthy", func() bool {
		out, _ := must("status")
		lines := strings.Split(out, "\n")
		return len(lines) == 4 && strings.HasPrefix(lines[0], "TOPIC ") && strings.Contains(lines[1], "/backup  healthy ") &&
			strings.Contains(lines[2], "/fast    unhealthy  1s") && strings.Contains(lines[2], "never") &&
			strings.HasSuffix(lines[2], "nothing was sent within 1s")
	})
	out, _ := must("status -json")
	var list []health
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 2 || !list[0].Healthy || list[0].Last == nil || list[1].Healthy || list[1].Last != nil {
		t.Errorf("%v %s", err, out)
	}
	if out, _ := must("uptime backup"); !strings.HasPrefix(out, "Monitor: "+own+"/backup\nPeriod: ") || !strings.HasSuffix(out, "\nUptime: 100.00%\n") {
		t.Errorf("%q", out)
	}
	out, stderr := must("rss")
	_, token, _ := strings.Cut(strings.TrimSpace(stderr), "https://relay.example/rss/")
	if text, ok := d.srv.cfg.Monitors.Feed(token); !ok || string(text) != out || !strings.Contains(out, "ALERT: "+own+"/fast is unhealthy") {
		t.Errorf("%v %q %q", ok, out, text)
	}
	must("monitor backup -d")
	if out, _ := must("status"); strings.Contains(out, "backup") {
		t.Errorf("%q", out)
	}
}

func TestMonitorsRefuse(t *testing.T) {
	d, _ := openMonitored(t)
	c, other := d.dial(newKey(t)), newKey(t)
	theirs := KeyNamespace(other.PublicKey()) + "/x"
	for cmd, want := range map[string]int{
		"monitor": 2, "monitor a": 2, "monitor a b": 2, "monitor a 1h c": 2, "monitor a 1ms": 2, "monitor 'a*' 1h": 2, "monitor a//b 1h": 2,
		"monitor a -1h": 2, "uptime": 2, "uptime a -from yesterday": 2, "status x": 2, "rss x": 2,
		"monitor none -d": 1, "uptime none": 1, "rss": 1, "monitor " + theirs + " 1h": 1, "uptime " + theirs: 1,
	} {
		code, out, stderr := do(t, c, cmd, "")
		if code != want || out != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	for i, want := range []int{0, 0, 1} {
		if code, _, stderr := do(t, c, "monitor t"+string(rune('a'+i))+" 1h", ""); code != want {
			t.Errorf("number %d: %d %q", i, code, stderr)
		}
	}
	if code, _, stderr := do(t, c, "uptime ta -to 2d", ""); code != 1 || !strings.Contains(stderr, "nothing is known") {
		t.Errorf("%d %q", code, stderr)
	}
	// Who is let in by a list may use the topic, and not watch it for ever.
	sub := start(t, d.dial(other), "sub -k -a "+gossh.FingerprintSHA256(newKey(t).PublicKey())+" x")
	defer sub.ses.Close()
	d.subscribers(parse(t, theirs), 1)
	if code, _, _ := do(t, c, "monitor "+theirs+" 1h", ""); code != 1 {
		t.Error(code)
	}
	plain := open(t, nil).dial(newKey(t))
	for _, cmd := range []string{"status", "monitor a 1h", "uptime a", "rss"} {
		if code, _, stderr := do(t, plain, cmd, ""); code != 1 || !strings.Contains(stderr, "not available") {
			t.Errorf("without a store: %s: %d %q", cmd, code, stderr)
		}
	}
}

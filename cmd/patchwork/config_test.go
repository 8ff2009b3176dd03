package main

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"patchwork/cmd/patchwork/cmdline"
)

// environment makes the lookup function of a process that has only these.
func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for _, pair := range pairs {
			if key, value, _ := strings.Cut(pair, "="); key == name {
				return value
			}
		}
		return ""
	}
}

// writeFile makes a configuration file and returns its path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "relay.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreThoseOfTheContract(t *testing.T) {
	got, err := resolve(nil, environment())
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		port: 8080, sshPort: 2222, logLevel: slog.LevelInfo, logFormat: "text",
		heartbeat: 15 * time.Second, writeTimeout: time.Minute, rateLimit: 10,
		drainTimeout: 30 * time.Second, stallLimit: 30 * time.Second,
		sshMaxConns: 1000, maxWaiting: 10000, replayBuffer: 64 << 10, mailbox: 1 << 20,
		aclTTL: 5 * time.Minute, aclMaxStale: time.Hour, sshOpen: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestFlagBeatsEnvironmentBeatsFile(t *testing.T) {
	file := writeFile(t, "ssh-port: 1\nport: 11\nmailbox: 2MiB\n")
	c, err := resolve(
		map[string]string{"config": file, "ssh-port": "3"},
		environment("SSH_PORT=2", "PORT=12"),
	)
	if err != nil {
		t.Fatal(err)
	}
	if c.sshPort != 3 {
		t.Errorf("ssh-port is %d, the flag said 3", c.sshPort)
	}
	if c.port != 12 {
		t.Errorf("port is %d, the environment said 12", c.port)
	}
	if c.mailbox != 2<<20 {
		t.Errorf("mailbox is %d, the file said 2MiB", c.mailbox)
	}
}

func TestFileCanBeNamedByEnvironment(t *testing.T) {
	c, err := resolve(nil, environment("CONFIG="+writeFile(t, "port: 4711")))
	if err != nil || c.port != 4711 {
		t.Errorf("port is %d (%v), the file said 4711", c.port, err)
	}
}

func TestEmptyEnvironmentVariableIsNotSet(t *testing.T) {
	c, err := resolve(nil, environment("PORT=", "HEARTBEAT="))
	if err != nil || c.port != 8080 || c.heartbeat != 15*time.Second {
		t.Errorf("port %d, heartbeat %v, error %v", c.port, c.heartbeat, err)
	}
}

// TestEveryOptionWorksFromEverySource sets each option of the table, by each of
// its three names, to a value that is not its default.
func TestEveryOptionWorksFromEverySource(t *testing.T) {
	other := map[string]string{
		"port": "1234", "ssh-port": "-1", "bind": "127.0.0.1", "data-dir": "/somewhere",
		"log-level": "WARN", "log-format": "json", "log-source": "true",
		"heartbeat": "0", "write-timeout": "1m30s", "request-timeout": "90",
		"rate-limit": "0.5", "drain-timeout": "1h", "stall-limit": "5s",
		"ssh-max-conns": "7", "max-waiting": "9", "trusted-proxies": "10.0.0.0/8, ::1",
		"replay-buffer": "1", "mailbox": "3m",
		"secret-key": "hunter2", "metrics-token": "hunter2",
		"acl-dir": "/etc/patchwork/users", "forgejo-url": "https://git.example.com", "forgejo-token": "hunter2",
		"acl-ttl": "1m", "acl-max-stale": "2h", "admins": "alice, bob", "ssh-open": "false", "ssh-ca": "/etc/patchwork/ca.pub",
		"public-url": "https://relay.example.com", "tunnel-secret": "hunter2", "tunnel-host": "t.example.com", "egress-allow": "10.0.0.0/8", "egress-deny": "192.0.2.1",
	}
	plain, err := resolve(nil, environment())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range options {
		value, ok := other[o.name]
		if !ok {
			t.Errorf("no value to try for %s", o.name)
			continue
		}
		byFlag, err1 := resolve(map[string]string{o.name: value}, environment())
		byEnv, err2 := resolve(nil, environment(o.env()+"="+value))
		file := writeFile(t, o.name+": "+quoteYAML(value))
		byFile, err3 := resolve(map[string]string{"config": file}, environment())
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Errorf("%s: %v", o.name, err)
			continue
		}
		if reflect.DeepEqual(byFlag, plain) {
			t.Errorf("--%s %s changed nothing", o.name, value)
		}
		if !reflect.DeepEqual(byFlag, byEnv) || !reflect.DeepEqual(byFlag, byFile) {
			t.Errorf("%s differs by source: flag %+v, environment %+v, file %+v", o.name, byFlag, byEnv, byFile)
		}
	}
}

func quoteYAML(s string) string { return "'" + s + "'" }

func TestFileTakesPlainYAMLValuesAndLists(t *testing.T) {
	file := writeFile(t, "port: 99\nlog-source: true\nssh-port: -1 # off\ntrusted-proxies:\n  - 10.1.2.3/8\n  - 192.0.2.7\n")
	c, err := resolve(map[string]string{"config": file}, environment())
	if err != nil {
		t.Fatal(err)
	}
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32")}
	if c.port != 99 || c.sshPort != -1 || !c.logSource || !reflect.DeepEqual(c.trustedProxies, want) {
		t.Errorf("got %+v", c)
	}
}

func TestMetricsTokenFallsBackToTheForges(t *testing.T) {
	for want, env := range map[secret]func(string) string{
		"forge": environment("FORGEJO_TOKEN=forge"),
		"own":   environment("FORGEJO_TOKEN=forge", "METRICS_TOKEN=own"),
		"":      environment(),
	} {
		if c, err := resolve(nil, env); err != nil || c.metricsToken != want {
			t.Errorf("the wrong token for %q (%v)", string(want), err)
		}
	}
}

func TestMistakesInTheFileNameFileLineAndKey(t *testing.T) {
	for name, test := range map[string]struct{ file, want string }{
		"unknown key":     {"port: 1\nprot: 80", `FILE:2: unknown key "prot"`},
		"config itself":   {"config: other.yaml", `FILE:1: unknown key "config"`},
		"twice":           {"port: 1\nport: 2", `FILE:2: key "port" for the second time`},
		"bad value":       {"\nport: many", `FILE:2: port "many" is not a whole number`},
		"no value":        {"port:", `FILE:1: port has no value`},
		"mapping":         {"port: {a: b}", `FILE:1: port is not a plain value`},
		"nested list":     {"trusted-proxies: [[a]]", `FILE:1: trusted-proxies is not a list of plain values`},
		"not a mapping":   {"- port", `FILE:1: not a list of 'key: value' lines`},
		"not YAML":        {"port: [", `FILE: yaml:`},
		"second document": {"port: 1\n---\nport: 2", `FILE: more than one YAML document`},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, test.file)
			_, err := resolve(map[string]string{"config": path}, environment())
			wantUsage(t, err, strings.ReplaceAll(test.want, "FILE", path))
		})
	}
}

func TestEmptyFileSaysNothing(t *testing.T) {
	for _, file := range []string{"", "# only a comment\n", "---\n"} {
		if _, err := resolve(map[string]string{"config": writeFile(t, file)}, environment()); err != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}

func TestMissingFileIsNamed(t *testing.T) {
	_, err := resolve(map[string]string{"config": "/no/such/file"}, environment())
	wantUsage(t, err, "--config: open /no/such/file: no such file")
}

func TestBadValuesAreRefusedFromEverySource(t *testing.T) {
	bad := map[string][]string{
		"port": {"x", "-2", "65536", "80.5"}, "ssh-port": {"2222 ", "-5"},
		"bind": {"127.0.0.1:80", "a b"}, "log-level": {"verbose"}, "log-format": {"xml"}, "log-source": {"maybe"},
		"heartbeat": {"-1s", "soon"}, "write-timeout": {"0", "x"}, "request-timeout": {"1 day"},
		"rate-limit": {"-1", "NaN", "inf", "ten"}, "drain-timeout": {"-3s"}, "stall-limit": {"0s"},
		"ssh-max-conns": {"0", "x"}, "max-waiting": {"-1"},
		"trusted-proxies": {"10.0.0.0/33", "localhost", "fe80::1%eth0"},
		"forgejo-url":     {"git.example.com", "ftp://git.example.com", "https://", "https://user:pw@git.example.com"},
		"public-url":      {"relay", "https://relay.example.com/?x=1"},
		"acl-ttl":         {"0", "x"}, "acl-max-stale": {"0"}, "admins": {"alice,,bob"}, "ssh-open": {"maybe"},
		"tunnel-host": {"a b", "x:80"}, "egress-allow": {"everything"}, "egress-deny": {"10.0.0.0/33"},
		"replay-buffer": {"0", "64 parsecs", "KiB", "2GiB"}, "mailbox": {"1TB", "-1"},
	}
	for _, o := range options {
		anyText := []string{"data-dir", "secret-key", "metrics-token", "acl-dir", "forgejo-token", "ssh-ca", "tunnel-secret"}
		if len(bad[o.name]) == 0 && !slices.Contains(anyText, o.name) {
			t.Errorf("no bad value to try for %s", o.name)
		}
		for _, value := range bad[o.name] {
			_, err := resolve(map[string]string{o.name: value}, environment())
			wantUsage(t, err, "--"+o.name+" ")
			_, err = resolve(nil, environment(o.env()+"="+value))
			wantUsage(t, err, "environment variable "+o.env()+" ")
			file := writeFile(t, o.name+": "+quoteYAML(value))
			_, err = resolve(map[string]string{"config": file}, environment())
			wantUsage(t, err, file+":1: "+o.name+" ")
		}
	}
}

func TestOverriddenMistakeIsStillRefused(t *testing.T) {
	_, err := resolve(map[string]string{"port": "80"}, environment("PORT=eighty"))
	wantUsage(t, err, `environment variable PORT "eighty"`)
}

func TestBothDoorsOffIsRefused(t *testing.T) {
	_, err := resolve(map[string]string{"port": "-1", "ssh-port": "-1"}, environment())
	wantUsage(t, err, "--port and --ssh-port are both off")
}

func TestStateFolderFollowsXDG(t *testing.T) {
	for _, test := range []struct {
		told string
		env  func(string) string
		want string
	}{
		{"/told", environment("XDG_STATE_HOME=/xdg", "HOME=/home/a"), "/told"},
		{"", environment("XDG_STATE_HOME=/xdg", "HOME=/home/a"), "/xdg/patchwork"},
		{"", environment("XDG_STATE_HOME=relative", "HOME=/home/a"), "/home/a/.local/state/patchwork"},
		{"", environment("HOME=/home/a"), "/home/a/.local/state/patchwork"},
	} {
		if got, err := stateDir(config{dataDir: test.told}, test.env); err != nil || got != test.want {
			t.Errorf("got %q (%v), want %q", got, err, test.want)
		}
	}
	if _, err := stateDir(config{}, environment()); err == nil || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("without any folder: %v", err)
	}
}

// wantUsage fails unless err is a cmdline.UsageError of one line that begins like want.
func wantUsage(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.As(err, new(cmdline.UsageError)) {
		t.Errorf("want a usage error %q, got %v", want, err)
		return
	}
	if !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got  %q\nwant %q…", err, want)
	}
}

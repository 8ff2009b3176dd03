package sshfront

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestWrongUsageIsOneLineAndExit2(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	for _, cmd := range []string{
		"pub 'unbalanced", `pub "x`, `pub x\`, "bash", "ls -la /", "scp -f x", "sub", "sub ''", "sub a b",
		"pub -x a", "pub a -t never", "pub a -t -1s", "pub -t", "pub -d both a", "sub -a bob, x", "pipe -a SHA256:x x", "pub -a Bob x", "pub -a '' x", "sub -a bob 'x*'",
		"pub a//b", "pub ../x", "pub _/x", "sub 'a\x01b'", "help me", "pipe queue/x", "sub req/x", "pipe req/x", "pipe res/x", "pub -l req/x", "ls x", "token x", "token -get ''", "token -ttl 0",
		"sub " + strings.Repeat("x", 2000), "pub -b=maybe x", "sub -pk x",
	} {
		code, out, stderr := do(t, c, cmd, "")
		if code != 2 || out != "" || strings.Count(stderr, "\n") != 1 || len(stderr) > 200 {
			t.Errorf("%.30s: %d %q %q", cmd, code, out, stderr)
		}
	}
}

func TestFlagsMayStandAnywhere(t *testing.T) {
	c := findCommand("pub")
	for _, line := range []string{"-p x -b=false -t 10m", "x -p -b=false -t=600", "-b=false x -t 10m -p", "-p -b=false -t 10m -- x"} {
		o, err := c.parse(strings.Fields(line))
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if o.topic != "x" || !o.public || o.block || o.timeout.Minutes() != 10 {
			t.Errorf("%s: %+v", line, o)
		}
	}
	if o, err := c.parse([]string{"--", "-p"}); err != nil || o.topic != "-p" || o.public || o.timeout != defaultWait || !o.block {
		t.Errorf("%+v %v", o, err)
	}
}

func TestHelpReadsAsItShould(t *testing.T) {
	d := open(t, func(c *Config) { c.PublicHost, c.PublicPort = "relay.example", 2222 })
	key := newKey(t)
	c := d.dial(key)
	for file, cmds := range map[string][]string{
		"help":    {"help", "", "-h", "--help"},
		"pub":     {"help pub", "pub -h", "pub x --help"},
		"sub":     {"help sub", "sub -h"},
		"pipe":    {"help pipe", "pipe -h"},
		"ls":      {"help ls", "ls -h"},
		"token":   {"help token", "token -h"},
		"monitor": {"help monitor", "monitor -h"},
		"status":  {"help status", "status -h"},
		"uptime":  {"help uptime", "uptime -h"},
		"rss":     {"help rss", "rss -h"},
	} {
		path := filepath.Join("testdata", file+".txt")
		for i, cmd := range cmds {
			code, out, stderr := do(t, c, cmd, "")
			out = strings.ReplaceAll(out, KeyNamespace(key.PublicKey()), "key-aaaaaaaaaaaaaaaa")
			if code != 0 || stderr != "" {
				t.Errorf("%q: %d %q", cmd, code, stderr)
			}
			if *update && i == 0 {
				_ = os.MkdirAll("testdata", 0o755)
				if err := os.WriteFile(path, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if out != string(want) {
				t.Errorf("%q says\n%s\nand not\n%s", cmd, out, want)
			}
		}
	}
}

func TestOneLogLineASessionWithoutWhatWasSaid(t *testing.T) {
	d := open(t, nil)
	c := d.dial(newKey(t))
	do(t, c, "pub -b=false secret-topic", "secret-body")
	do(t, c, "rm -rf secret-dir", "")
	eventually(t, "both are logged", func() bool { return strings.Count(d.log.String(), "\n") == 2 })
	log := d.log.String()
	if strings.Contains(log, "secret") || !strings.Contains(log, "command=pub exit=0") || !strings.Contains(log, "command=none exit=2") {
		t.Errorf("logged\n%s", log)
	}
}

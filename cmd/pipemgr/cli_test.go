package main

import (
	"bytes"
	"errors"
	"flag"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// command runs one command line in an environment that holds nothing of ours.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for _, s := range settings {
		t.Setenv(s.env(), "")
	}
	return commandIn(t, args...)
}

// commandIn runs it in the environment of the test.
func commandIn(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, talk bytes.Buffer
	code = run(t.Context(), append([]string{"pipemgr"}, args...), &out, &talk)
	return code, out.String(), talk.String()
}

// wantLine fails unless text is exactly one line that holds want.
func wantLine(t *testing.T, text, want string) {
	t.Helper()
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") || !strings.Contains(text, want) {
		t.Errorf("got %q, want one line with %q", text, want)
	}
}

func TestHelpPages(t *testing.T) {
	for name, args := range map[string][]string{"help": {"--help"}, "help-healthcheck": {"healthcheck", "--help"}} {
		t.Run(name, func(t *testing.T) {
			code, got, talk := command(t, args...)
			if code != exitDone || talk != "" {
				t.Errorf("exit code %d, stderr %q", code, talk)
			}
			golden := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				must(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			must(t, err)
			if got != string(want) {
				t.Errorf("the page changed; look at it and run 'go test ./cmd/pipemgr -update -run TestHelpPages':\n%s", got)
			}
		})
	}
}

func TestMistakesOnTheCommandLineAreOneLineAndExit2(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"start", `what is "start"? pipemgr takes flags only`},
		{"--relai x", "unknown flag --relai; see 'pipemgr --help'"},
		{"--relay", "--relay needs a value"},
		{"--relay a:b", `--relay or PIPEMGR_RELAY: "a:b" is no [USER@]HOST[:PORT]`},
		{"--relay @host", `is no [USER@]HOST[:PORT]`},
		{"--relay host/x", `is no [USER@]HOST[:PORT]`},
		{"--host-key x", `--host-key or PIPEMGR_HOST_KEY: "x" is no fingerprint`},
		{"--known-hosts f --host-key SHA256:6DKRPHrf0Oq4KUi5w/BasqCwO5yWzKngdbMQ2ZMwaQw", "exclude each other"},
		{"--format xml", `"xml" is not one of plain, prefix, json`},
		{"--since yesterday", `"yesterday" is neither a duration such as 10m or 24h, nor all`},
		{"--buffer 10", `"10" is not a size from 1MiB to 1GiB`},
		{"--when-full explode", `"explode" is not one of wait, drop`},
		{"--health here", `"here" is no address such as :8080 or localhost:8081, nor off`},
		{"--flush-timeout -1s", `"-1s" is not a duration`},
		{"--log-level loud", `"loud" is not one of debug, info, warn, error`},
		{"healthcheck now", `healthcheck takes no arguments, but got "now"`},
		{"healthcheck --uri x", "unknown flag --uri; see 'pipemgr healthcheck --help'"},
	} {
		code, out, talk := command(t, strings.Fields(test.line)...)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, stdout %q", test.line, code, out)
		}
		wantLine(t, talk, test.want)
	}
	t.Setenv("PIPEMGR_FORMAT", "xml")
	if code, _, talk := commandIn(t); code != exitUsage || !strings.Contains(talk, "PIPEMGR_FORMAT") {
		t.Errorf("%d %q", code, talk)
	}
}

func TestWhatCannotStartIsOneLineAndExit1(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "file"), writeKey(t, "")
	must(t, os.WriteFile(file, []byte("no key\n"), 0o600))
	other, err := openState(filepath.Join(dir, "used"))
	must(t, err)
	defer other.close()
	taken := httptest.NewServer(nil)
	defer taken.Close()
	address := strings.TrimPrefix(taken.URL, "http://")
	for _, test := range []struct{ line, want string }{
		{"--key " + file, "is no private SSH key"},
		{"--key " + file + ".none", "there is no key " + file + ".none"},
		{"--key " + dir, "is a directory and no key: Docker makes one when the file to mount there does not exist"},
		{"--key " + writeKey(t, "secret"), "has a passphrase; give it in PIPEMGR_KEY_PASSPHRASE"},
		{"--key " + key + " --state-dir " + file, "cannot use --state-dir"},
		{"--key " + key + " --state-dir " + filepath.Join(dir, "used"), "is used by another pipemgr"},
		{"--key " + key + " --state-dir off --health " + address, "the port of " + address + " is taken; choose another with --health, or off"},
		{"healthcheck --url http://" + address + "/nothing", "is no pipemgr"},
		{"healthcheck --url 127.0.0.1:1", "pipemgr does not answer"},
	} {
		code, _, talk := command(t, strings.Fields(test.line)...)
		if code != exitFailed {
			t.Errorf("%s: exit code %d", test.line, code)
		}
		wantLine(t, talk, test.want)
	}
}

// What can never be connected is said at once, and not tried for ever.
func TestWhereDockerCannotBeIsAMistake(t *testing.T) {
	key, certs := writeKey(t, ""), t.TempDir()
	for _, name := range []string{"ca.pem", "cert.pem", "key.pem"} {
		must(t, os.WriteFile(filepath.Join(certs, name), []byte("nothing\n"), 0o600))
	}
	for _, test := range []struct{ name, value, want string }{
		{"DOCKER_HOST", "docker.sock", "DOCKER_HOST or DOCKER_CERT_PATH is wrong: unable to parse docker host `docker.sock`"},
		{"DOCKER_HOST", "ssh://me@host", `DOCKER_HOST: "ssh://me@host" goes through SSH, which pipemgr does not; forward the socket`},
		{"DOCKER_CERT_PATH", certs, certs},
	} {
		t.Run(test.name+" "+filepath.Base(test.value), func(t *testing.T) {
			t.Setenv("DOCKER_CERT_PATH", "")
			t.Setenv(test.name, test.value)
			code, _, talk := command(t, "--key", key, "--state-dir", "off", "--health", "off")
			if code != exitUsage {
				t.Errorf("exit code %d", code)
			}
			wantLine(t, talk, test.want)
		})
	}
}

func TestDestinationsAreThoseOfSSH(t *testing.T) {
	me := userName()
	for in, want := range map[string]destination{
		"relay.example.com":          {me, "relay.example.com:2222"},
		"alice@relay.example.com:22": {"alice", "relay.example.com:22"},
		"ssh://alice@relay":          {"alice", "relay:2222"},
		"127.0.0.1":                  {me, "127.0.0.1:2222"},
		"::1":                        {me, "[::1]:2222"},
		"[::1]":                      {me, "[::1]:2222"},
		"a@b@[fe80::1]:23":           {"a@b", "[fe80::1]:23"},
	} {
		if got, err := parseDestination(in); err != nil || got != want {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}

// One line, 200 only when both are connected, and no names of containers.
func TestHealthTellsHowBothConnectionsStand(t *testing.T) {
	s := newStatus(discard())
	q := newQueue(1 << 20)
	page := httptest.NewServer(healthServer(func() health { return newHealth(s, watchCount{Following: 3}, q.counts()) }).Handler)
	defer page.Close()
	check := func(wantCode int, want string) {
		t.Helper()
		code, _, talk := command(t, "healthcheck", "--url", page.URL+"/health")
		if code != wantCode {
			t.Errorf("exit code %d: %s", code, talk)
		}
		if want != "" {
			wantLine(t, talk, want)
		}
	}
	check(exitFailed, "Docker is not connected: not connected yet; the relay is not connected: not connected yet")
	s.setDocker(nil)
	check(exitFailed, "the relay is not connected: not connected yet")
	s.setRelay(nil)
	check(exitDone, "")
	s.setRelay(errors.New("of\nno use"))
	check(exitFailed, "the relay is not connected: of no use")
	s.setRelay(nil)

	// As the compose files of other such images ask.
	var talk bytes.Buffer
	if code := run(t.Context(), []string{"/usr/bin/curl", "-f", page.URL + "/health"}, &talk, &talk); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	wantLine(t, talk.String(), `{"well":true,"docker":"connected","relay":"connected","following":3,`)
	if code := run(t.Context(), []string{"curl", "--help"}, &talk, &talk); code != exitUsage {
		t.Errorf("%d %s", code, talk.String())
	}
}

func TestHealthcheckAsksWhereItListens(t *testing.T) {
	for _, test := range []struct{ told, listen, want string }{
		{"", "", "http://localhost:8080/health"},
		{"", ":81", "http://localhost:81/health"},
		{"", "0.0.0.0:81", "http://localhost:81/health"},
		{"", "127.0.0.1:81", "http://127.0.0.1:81/health"},
		{"", "82", "http://localhost:82/health"},
		{"host:1/health", ":81", "http://host:1/health"},
	} {
		if got := healthURL(test.told, test.listen); got != test.want {
			t.Errorf("%q %q: %s", test.told, test.listen, got)
		}
	}
}

func TestBackoffGrowsAndBeginsAnewAfterWhatWorked(t *testing.T) {
	b := backoff{first: 100, most: 1000}
	for _, most := range []int{100, 200, 400, 800, 1000, 1000} {
		if d := int(b.step()); d < most/2 || d > most {
			t.Errorf("%d of %d", d, most)
		}
	}
	b.worked(time.Duration(999))
	if d := b.step(); d < 500 {
		t.Errorf("after what did not work for long it is %d", d)
	}
	b.worked(time.Duration(1001))
	if d := b.step(); d > 100 {
		t.Errorf("after what worked it is %d", d)
	}
}

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"patchwork/cmd/patchwork/doctor"
)

// askDoctor runs the doctor as its users do and returns its report and exit code.
func askDoctor(t *testing.T, env []string, args ...string) (doctor.Report, int) {
	t.Helper()
	binary, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	var out, talk bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"doctor", "--json"}, args...)...)
	cmd.Env = append(append(os.Environ(), "HOME="+t.TempDir(), "PATCHWORK_SERVER="), env...)
	cmd.Stdout, cmd.Stderr = &out, &talk
	err = cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	var r doctor.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v: %s%s", err, &out, &talk)
	}
	if talk.Len() > 0 {
		t.Errorf("on stderr: %s", &talk)
	}
	return r, cmd.ProcessState.ExitCode()
}

// troubles are the checks of a report that are not ok.
func troubles(r doctor.Report) map[string]doctor.Verdict {
	found := map[string]doctor.Verdict{}
	for _, f := range r.Checks {
		if f.Verdict != doctor.VerdictOK {
			found[f.Check] = f.Verdict
		}
	}
	return found
}

// wantTroubles fails unless these checks, and no others, are not ok, and the exit
// code says so.
func wantTroubles(t *testing.T, r doctor.Report, code int, want map[string]doctor.Verdict) {
	t.Helper()
	if got := troubles(r); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
		for _, f := range r.Checks {
			if f.Verdict != doctor.VerdictOK || want[f.Check] != "" {
				t.Log(f)
			}
		}
	}
	wantCode := exitDone
	if slices.Contains(slices.Collect(maps.Values(want)), doctor.VerdictFail) {
		wantCode = exitFailed
	}
	if code != wantCode {
		t.Errorf("exit code %d, want %d", code, wantCode)
	}
}

func checkNames(r doctor.Report) []string {
	var names []string
	for _, f := range r.Checks {
		names = append(names, f.Check)
	}
	return names
}

func TestDoctorFindsNothingWrongWithARelayAlone(t *testing.T) {
	t.Parallel()
	r := testRelay(t, "--heartbeat", "1s")
	got, code := askDoctor(t, nil, "--idle", "3s", "--ssh-port", sshPortOf(r), r.http)
	wantTroubles(t, got, code, map[string]doctor.Verdict{})
	want := []string{
		"relay", "certificate", "clock", "address", "protocol", "host", "confirmation", "http2", "paths", "headers", "expect",
		"response-buffering", "request-buffering", "websocket", "body-size", "ssh",
		"idle-receiver", "idle-sender", "idle-message", "idle-websocket", "interim",
	}
	if names := checkNames(got); !slices.Equal(names, want) {
		t.Errorf("the checks are %q, want %q", names, want)
	}
	for check, seen := range map[string]string{
		"address":      "nothing between you and the relay",
		"body-size":    "64 MiB pass",
		"confirmation": "the receiver has it all",
		"expect":       "when a receiver is there",
		"interim":      "heartbeats (100 Continue) arrived",
		"ssh":          "not in known_hosts yet",
	} {
		if f := findingOf(got, check); !strings.Contains(f.Seen, seen) {
			t.Errorf("%s: %q, want %q in it", check, f.Seen, seen)
		}
	}
	if len(got.Config)+len(got.Relay) > 0 {
		t.Errorf("there is nothing to mend, but %q, %q", got.Config, got.Relay)
	}
}

// findingOf is what a check found, the zero finding if it was not made.
func findingOf(r doctor.Report, check string) doctor.Finding {
	for _, f := range r.Checks {
		if f.Check == check {
			return f
		}
	}
	return doctor.Finding{}
}

// goodNginx is the location that the doctor would have.
func goodNginx() []string {
	return append(directives(doctor.Config("nginx"), false), "proxy_bind "+proxyPeer+";")
}

// TestDoctorFindsWhatIsWrongWithNginxAndMendsIt has real nginx stand before a relay
// with something wrong; the doctor has to find that and nothing else, and with what
// it writes put into the configuration everything has to be well.
func TestDoctorFindsWhatIsWrongWithNginxAndMendsIt(t *testing.T) {
	t.Parallel()
	trusting := []string{"--trusted-proxies", proxyPeer}
	beside := besides(6)
	fail := func(checks ...string) map[string]doctor.Verdict {
		m := map[string]doctor.Verdict{}
		for _, c := range checks {
			m[c] = doctor.VerdictFail
		}
		return m
	}
	for name, test := range map[string]struct {
		location []string
		relay    []string
		want     map[string]doctor.Verdict
	}{
		"nothing": {goodNginx(), trusting, fail()},
		"nothing, as the relay itself asks for no buffering": {override(goodNginx(), "proxy_buffering on;"), trusting, fail()},

		"all that is not said": {
			[]string{"proxy_pass http://127.0.0.1:8080;", "proxy_bind " + proxyPeer + ";"}, trusting,
			map[string]doctor.Verdict{"address": doctor.VerdictFail, "protocol": doctor.VerdictFail, "host": doctor.VerdictWarn, "request-buffering": doctor.VerdictFail, "websocket": doctor.VerdictFail, "body-size": doctor.VerdictFail},
		},
		"buffering and a short timeout": {
			override(goodNginx(), "proxy_buffering on;", "proxy_ignore_headers X-Accel-Buffering;", "proxy_read_timeout 2s;"), trusting,
			fail("response-buffering", "idle-receiver", "idle-sender", "idle-message", "idle-websocket"),
		},
		"a short timeout for bodies": {override(goodNginx(), "client_body_timeout 2s;"), trusting, fail("idle-message")},
		"no upgrades":                {override(goodNginx(), "-proxy_set_header Upgrade"), trusting, fail("websocket")},
		"short bodies only":          {override(goodNginx(), "client_max_body_size 1m;"), trusting, fail("body-size")},
		"requests kept back":         {override(goodNginx(), "proxy_request_buffering on;"), trusting, fail("request-buffering")},
		"slashes merged":             {override(goodNginx(), "proxy_pass http://127.0.0.1:8080/;"), trusting, fail("paths")},
		"another host":               {override(goodNginx(), "-proxy_set_header Host"), trusting, map[string]doctor.Verdict{"host": doctor.VerdictWarn}},
		"a proxy nobody trusts":      {goodNginx(), []string{"--trusted-proxies", "192.0.2.1"}, fail("address")},
		"nobody's address":           {override(goodNginx(), "-proxy_set_header X-Forwarded-For"), trusting, fail("address")},
		"any address one likes": {
			override(goodNginx(), "set $who $remote_addr;", "if ($http_x_forwarded_for) { set $who $http_x_forwarded_for; }", "proxy_set_header X-Forwarded-For $who;"),
			trusting, fail("address"),
		},
	} {
		beside.run(t, name, func(t *testing.T) {
			r := testRelay(t, test.relay...)
			address := nginxFront(t, r, test.location)
			args := []string{"--idle", "4s", "--body", "10MiB", "--ssh-port", sshPortOf(r)}
			got, code := askDoctor(t, nil, append(args, address)...)
			wantTroubles(t, got, code, test.want)
			if len(test.want) == 0 || t.Failed() {
				return
			}

			if got.Relay != nil {
				r = testRelay(t, strings.Fields(strings.Join(got.Relay, " "))...)
				args[len(args)-1] = sshPortOf(r)
			} else if got.Config["nginx"] == "" {
				t.Fatal("nothing that mends it")
			}
			mended := override(test.location, directives(got.Config["nginx"], false)...)
			again, code := askDoctor(t, nil, append(args, nginxFront(t, r, mended))...)
			wantTroubles(t, again, code, map[string]doctor.Verdict{})
		})
	}
	beside.wait()
}

func TestDoctorSeesThatTokensDoNotArrive(t *testing.T) {
	t.Parallel()
	r := testRelay(t, "--trusted-proxies", proxyPeer)
	address := nginxFront(t, r, override(goodNginx(), `proxy_set_header Authorization "";`))
	got, code := askDoctor(t, nil, "--quick", "--body", "1MiB", "--ssh-port", "-1", address)
	wantTroubles(t, got, code, map[string]doctor.Verdict{"headers": doctor.VerdictFail})
	if f := findingOf(got, "headers"); !strings.Contains(f.Seen, "Authorization") {
		t.Error(f)
	}
	if slices.Contains(checkNames(got), "ssh") {
		t.Error("--ssh-port -1 looks at SSH")
	}
}

func TestDoctorKnowsARelayThatIsOlderThanItself(t *testing.T) {
	t.Parallel()
	r := testRelay(t, "--trusted-proxies", proxyPeer)
	address := nginxFront(t, r, append(goodNginx(), "if ($uri ~ ^/_/) { return 404; }"))
	got, code := askDoctor(t, nil, "--quick", "--body", "1MiB", "--ssh-port", "-1", address)
	wantTroubles(t, got, code, map[string]doctor.Verdict{"address": doctor.VerdictWarn})
}

func TestDoctorTellsARelayFromWhatIsNone(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"another site":  {http.NotFound, "is no Patchwork relay: /healthz answers 404"},
		"another relay": {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "OK!") }, "without Patch-Producers"},
		"a proxy alone": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, "the proxy does not reach the relay"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.org/", http.StatusMovedPermanently)
		}, "/healthz answers 301"},
		"a loop": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusMovedPermanently)
		}, "/healthz answers 301"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(test.answer)
			defer s.Close()
			code, out, talk := command(t, t.Context(), "doctor", s.URL)
			if lines := strings.Split(strings.TrimSpace(out), "\n"); code != exitFailed || talk != "" || !strings.Contains(lines[len(lines)-1], test.want) {
				t.Errorf("exit code %d: %s%s", code, out, talk)
			}
		})
	}
}

// hostKeyOf is a relay's host key as known_hosts has it, without the host.
func hostKeyOf(t *testing.T, r *relay) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ssh-keyscan", "-p", sshPortOf(r), "127.0.0.1").Output()
	_, key, ok := strings.Cut(string(out), " ")
	if err != nil || !ok {
		t.Fatalf("ssh-keyscan: %v, %q", err, out)
	}
	return key
}

func TestDoctorComparesTheHostKeyWithKnownHosts(t *testing.T) {
	t.Parallel()
	r := testRelay(t)
	key, otherKey := hostKeyOf(t, r), hostKeyOf(t, testRelay(t))
	host := "[127.0.0.1]:" + sshPortOf(r) + " "
	for name, test := range map[string]struct {
		line string
		want map[string]doctor.Verdict
		seen string
	}{
		"the same":  {host + key, map[string]doctor.Verdict{}, "that known_hosts has"},
		"another":   {host + otherKey, map[string]doctor.Verdict{"ssh": doctor.VerdictFail}, "has another"},
		"of others": {"example.org " + otherKey, map[string]doctor.Verdict{}, "not in known_hosts yet"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(home, ".ssh", "known_hosts"), []byte(test.line), 0o600); err != nil {
				t.Fatal(err)
			}
			got, code := askDoctor(t, []string{"HOME=" + home}, "--quick", "--body", "1MiB", "--ssh-port", sshPortOf(r), "127.0.0.1:"+portText(r.http))
			wantTroubles(t, got, code, test.want)
			if f := findingOf(got, "ssh"); !strings.Contains(f.Seen, test.seen) {
				t.Error(f)
			}
		})
	}
}

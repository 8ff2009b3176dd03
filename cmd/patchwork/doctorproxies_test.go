package main

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"patchwork/cmd/patchwork/doctor"
)

// A fronted proxy is how one of the doctor's proxies is run before a relay.
type fronted struct {
	bare []string // what leads to the relay at all, as its manual begins
	want map[string]doctor.Verdict
	// With all that the doctor writes it is well, but for these.
	left  map[string]doctor.Verdict
	start func(t *testing.T, address, dir string, lines []string)
	// redirects starts it with what the doctor writes for the port without TLS.
	redirects func(t *testing.T, address, dir string, lines []string)
}

// frontedProxies are those but nginx, which has a test of its own.
var frontedProxies = map[string]fronted{
	"caddy": {
		want:  map[string]doctor.Verdict{"response-buffering": doctor.VerdictFail},
		start: startCaddy, redirects: redirectingCaddy,
	},
	"haproxy": {
		bare: []string{"mode http", "option forwardfor", "timeout client 2s", "timeout server 2s"},
		want: map[string]doctor.Verdict{"confirmation": doctor.VerdictFail, "idle-receiver": doctor.VerdictFail, "idle-sender": doctor.VerdictFail, "idle-message": doctor.VerdictFail, "idle-websocket": doctor.VerdictFail},
		// In mode tcp nobody tells the relay who the client is.
		left:  map[string]doctor.Verdict{"address": doctor.VerdictWarn},
		start: startHAProxy, redirects: redirectingHAProxy,
	},
	"apache": {
		bare: []string{"ProxyPass / http://127.0.0.1:8080/", "Timeout 2"},
		want: map[string]doctor.Verdict{
			"host": doctor.VerdictWarn, "paths": doctor.VerdictFail, "request-buffering": doctor.VerdictFail, "websocket": doctor.VerdictFail,
			"idle-receiver": doctor.VerdictFail, "idle-sender": doctor.VerdictFail, "idle-message": doctor.VerdictFail,
		},
		start: startApache, redirects: redirectingApache,
	},
}

// TestDoctorMendsOtherProxies has each proxy stand before a relay as it is without
// advice, and with what the doctor writes about it.
func TestDoctorMendsOtherProxies(t *testing.T) {
	t.Parallel()
	beside := besides(3)
	for _, name := range doctor.ProxyNames() {
		p, ok := frontedProxies[name]
		if !ok {
			continue
		}
		beside.run(t, name, func(t *testing.T) {
			r := testRelay(t, "--trusted-proxies", "127.0.0.1")
			ask := func(lines []string) (doctor.Report, int) {
				address := unusedAddress()
				for i := range lines {
					lines[i] = strings.ReplaceAll(lines[i], "127.0.0.1:8080", r.http)
				}
				p.start(t, address, t.TempDir(), append(lines, "relay "+r.http))
				return askDoctor(t, nil, "--idle", "4s", "--body", "10MiB", "--proxy", name, "--ssh-port", sshPortOf(r), address)
			}
			got, code := ask(slices.Clone(p.bare))
			for range 5 { // what resets do is a matter of luck
				if p.want["confirmation"] == findingOf(got, "confirmation").Verdict || p.want["confirmation"] == "" {
					break
				}
				got, code = ask(slices.Clone(p.bare))
			}
			wantTroubles(t, got, code, p.want)
			if got.Config[name] == "" {
				t.Fatal("nothing that mends it")
			}
			got, code = ask(override(p.bare, directives(got.Config[name], false)...))
			wantTroubles(t, got, code, p.left)

			// And so with everything, as it is written for a proxy that is new.
			got, code = ask(override(p.bare, directives(doctor.Config(name), false)...))
			wantTroubles(t, got, code, p.left)
		})
	}
	beside.wait()
}

// relayLine takes the last line, that names the relay, off the others.
func relayLine(lines []string) (relay string, others []string) {
	last := len(lines) - 1
	return strings.TrimPrefix(lines[last], "relay "), lines[:last]
}

func TestWrittenRedirectsKeepAPost(t *testing.T) {
	for name, p := range frontedProxies {
		t.Run(name, func(t *testing.T) {
			address := unusedAddress()
			p.redirects(t, address, t.TempDir(), directives(doctor.Config(name), true))
			resp, err := unredirected.Post("http://"+address+"/p/a%2Fb?x=y", "text/plain", strings.NewReader("x")) //nolint:noctx // short
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			to, err := url.Parse(resp.Header.Get("Location"))
			if err != nil || resp.StatusCode != http.StatusPermanentRedirect || to.Scheme != "https" || to.RequestURI() != "/p/a%2Fb?x=y" {
				t.Errorf("%d to %s (%v)", resp.StatusCode, to, err)
			}
		})
	}
}

func writeConfig(t *testing.T, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func startCaddy(t *testing.T, address, dir string, lines []string) {
	t.Helper()
	relay, lines := relayLine(lines)
	redirectingCaddy(t, address, dir, []string{"reverse_proxy " + relay + " {", strings.Join(lines, "\n"), "}"})
}

func redirectingCaddy(t *testing.T, address, dir string, lines []string) {
	t.Helper()
	text := fmt.Sprintf("{\n\tadmin off\n\tauto_https off\n}\nhttp://%s {\n%s\n}\n", address, strings.Join(lines, "\n"))
	front(t, "http://"+address+"/healthz", "caddy", "run", "--config", writeConfig(t, dir, text), "--adapter", "caddyfile")
}

func startHAProxy(t *testing.T, address, dir string, lines []string) {
	t.Helper()
	relay, lines := relayLine(lines)
	text := fmt.Sprintf("defaults\ntimeout connect 5s\n%s\nfrontend f\nbind %s\ndefault_backend b\nbackend b\nserver relay %s\n", strings.Join(lines, "\n"), address, relay)
	front(t, "http://"+address+"/healthz", "haproxy", "-db", "-f", writeConfig(t, dir, text))
}

func redirectingHAProxy(t *testing.T, address, dir string, lines []string) {
	t.Helper()
	text := fmt.Sprintf("defaults\nmode http\ntimeout client 9s\nfrontend f\nbind %s\n%s\n", address, strings.Join(lines, "\n"))
	front(t, "http://"+address+"/healthz", "haproxy", "-db", "-f", writeConfig(t, dir, text))
}

func startApache(t *testing.T, address, dir string, lines []string) {
	t.Helper()
	_, lines = relayLine(lines)
	redirectingApache(t, address, dir, lines)
}

func redirectingApache(t *testing.T, address, dir string, lines []string) {
	t.Helper()
	var conf strings.Builder
	fmt.Fprintf(&conf, "ServerName localhost\nServerRoot %[1]s\nPidFile %[1]s/pid\nErrorLog %[1]s/error.log\nListen %[2]s\n", dir, address)
	for _, module := range []string{"mpm_event", "authz_core", "proxy", "proxy_http", "env", "reqtimeout", "rewrite"} {
		fmt.Fprintf(&conf, "LoadModule %[1]s_module /usr/lib/apache2/modules/mod_%[1]s.so\n", module)
	}
	fmt.Fprintf(&conf, "<VirtualHost %s>\n%s\n</VirtualHost>\n", address, strings.Join(lines, "\n"))
	front(t, "http://"+address+"/healthz", "apache2", "-f", writeConfig(t, dir, conf.String()), "-DFOREGROUND")
}

// TestManualHasTheConfigurationThatTheDoctorWrites keeps the page and the program
// from saying different things.
func TestManualHasTheConfigurationThatTheDoctorWrites(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	code, written, talk := command(t, t.Context(), "doctor", "--config")
	if code != exitDone || talk != "" || written != doctor.Config("nginx") {
		t.Errorf("exit code %d: %s%s", code, written, talk)
	}
	if !strings.Contains(string(page), "```nginx\n"+written+"```\n") {
		t.Errorf("docs/doctor.md has another configuration than this:\n%s", written)
	}
}

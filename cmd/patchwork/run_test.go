package main

import (
	"bytes"
	"context"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// command runs one command line in an environment that holds nothing of ours.
func command(t *testing.T, ctx context.Context, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	for _, o := range append(options, configOption) {
		t.Setenv(o.env(), "")
	}
	t.Setenv("PATCHWORK_SERVER", "")
	var out, talk bytes.Buffer
	code = run(ctx, append([]string{"patchwork"}, args...), strings.NewReader(""), &out, &talk)
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
	for name, args := range map[string][]string{
		"help":             {"help"},
		"help-start":       {"start", "--help"},
		"help-healthcheck": {"healthcheck", "--help"},
		"help-acl":         {"acl", "--help"},
		"help-acl-check":   {"acl", "check", "--help"},
		"help-acl-can":     {"acl", "can", "--help"},
	} {
		t.Run(name, func(t *testing.T) {
			code, got, talk := command(t, t.Context(), args...)
			if code != exitDone || talk != "" {
				t.Errorf("exit code %d, stderr %q", code, talk)
			}
			golden := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the page changed; look at it and run 'go test ./cmd/patchwork -update':\n%s", got)
			}
		})
	}
}

func TestMistakesOnTheCommandLineAreOneLineAndExit2(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"strat", `unknown command "strat"`},
		{"start --prot 1", "unknown flag --prot; see 'patchwork start --help'"},
		{"start --port", "--port needs a value"},
		{"start --port many", `--port "many" is not a whole number`},
		{"start --log-source=perhaps", `--log-source "perhaps" is neither true nor false`},
		{"start now", `start takes no arguments, but got "now"`},
		{"healthcheck --uri x", "unknown flag --uri; see 'patchwork healthcheck --help'"},
		{"healthcheck localhost", `healthcheck takes no arguments, but got "localhost"`},
		{"--verbose", "unknown flag --verbose"},
	} {
		code, out, talk := command(t, t.Context(), strings.Fields(test.line)...)
		if code != exitUsage || out != "" {
			t.Errorf("%s: exit code %d, stdout %q", test.line, code, out)
		}
		wantLine(t, talk, test.want)
	}
}

func TestTakenPortIsOneLineAndExit1(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, number, _ := net.SplitHostPort(taken.Addr().String())

	for _, flags := range [][]string{
		{"--port", number, "--ssh-port", "0"},
		{"--port", "0", "--ssh-port", number},
	} {
		args := append([]string{"start", "--bind", "127.0.0.1", "--data-dir", t.TempDir()}, flags...)
		code, _, talk := command(t, t.Context(), args...)
		if code != exitFailed {
			t.Errorf("exit code %d, want 1", code)
		}
		wantLine(t, talk, "port "+number+" is taken; choose another with --")
	}
}

func TestUnusableDataFolderIsOneLineAndExit1(t *testing.T) {
	file := writeFile(t, "not a folder")
	code, _, talk := command(t, t.Context(), "start", "--port", "0", "--ssh-port", "0", "--data-dir", file)
	if code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	wantLine(t, talk, "--data-dir")
}

func TestUnreadableHostKeyIsOneLineAndExit1(t *testing.T) {
	const hostKeyFile = "ssh_host_ed25519_key"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, hostKeyFile), []byte("no key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, talk := command(t, t.Context(), "start", "--port", "0", "--ssh-port", "0", "--data-dir", dir)
	if code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	wantLine(t, talk, hostKeyFile)
}

func TestDataFolderIsPrivate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the relay starts, and stops at once
	dir := filepath.Join(t.TempDir(), "deep", "down")
	code, _, talk := command(t, ctx, "start", "--bind", "127.0.0.1", "--port", "0", "--ssh-port", "0", "--data-dir", dir)
	if code != exitDone {
		t.Fatalf("exit code %d: %s", code, talk)
	}
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Errorf("mode is %v, want 0700", info.Mode().Perm())
	}
}

func TestDoorsCanBeOff(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, talk := command(t, ctx, "start", "--bind", "127.0.0.1", "--port", "0", "--ssh-port", "-1", "--data-dir", t.TempDir())
	if code != exitDone || !strings.Contains(talk, "ssh=off") || !strings.Contains(talk, "http=127.0.0.1:") {
		t.Errorf("exit code %d: %s", code, talk)
	}
}

func TestHealthcheck(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		body   string
		code   int
		want   string
	}{
		"well":          {http.StatusOK, "OK!\n", exitDone, ""},
		"wrong status":  {http.StatusServiceUnavailable, "OK!\n", exitFailed, "503"},
		"somebody else": {http.StatusOK, "<html>", exitFailed, "a well relay says"},
	} {
		t.Run(name, func(t *testing.T) {
			relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthz" {
					t.Errorf("asked for %s", r.URL)
				}
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			}))
			defer relay.Close()
			for _, url := range []string{relay.URL, relay.URL + "/", relay.URL + "/healthz"} {
				code, out, talk := command(t, t.Context(), "healthcheck", "--url", url)
				if code != test.code || out != "" {
					t.Errorf("exit code %d, want %d; stdout %q", code, test.code, out)
				}
				if test.want == "" && talk != "" {
					t.Errorf("said %q", talk)
				}
				if test.want != "" {
					wantLine(t, talk, test.want)
				}
			}
		})
	}
}

func TestHealthcheckOfNobodyIsExit1(t *testing.T) {
	nobody := httptest.NewServer(nil)
	nobody.Close()
	code, _, talk := command(t, t.Context(), "healthcheck", "--url", nobody.URL)
	if code != exitFailed {
		t.Errorf("exit code %d, want 1", code)
	}
	wantLine(t, talk, "the relay does not answer")
}

func TestServerURL(t *testing.T) {
	for _, test := range []struct {
		told string
		env  func(string) string
		want string
	}{
		{"", environment(), "http://localhost:8080"},
		{"", environment("PORT=81"), "http://localhost:81"},
		{"", environment("PORT=81", "PATCHWORK_SERVER=https://relay.example/"), "https://relay.example"},
		{"relay.example:82", environment("PATCHWORK_SERVER=https://x"), "http://relay.example:82"},
	} {
		if got := serverURL(test.told, test.env); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

package httpfront_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// clients are programs that take one message from the URL in their last
// argument and write it to their output.
var clients = map[string][]string{
	"curl":          {"curl", "-sSf"},
	"curl HTTP/1.0": {"curl", "-sSf", "--http1.0"},
	"wget":          {"wget", "-q", "-O", "-"},
	"python": {"python3", "-c", `import sys, urllib.request
sys.stdout.buffer.write(urllib.request.urlopen(sys.argv[1]).read())`},
	"node": {"node", "-e", `fetch(process.argv[1]).then(r => r.arrayBuffer()).then(b => {
  process.stdout.write(Buffer.from(b)); setTimeout(() => {}, 500)})`},
}

// runs starts a client and returns where its output will be; a client that is
// not installed skips the test.
func runs(t *testing.T, args ...string) <-chan answer {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Fatalf("%s is not installed; run make test, which installs it", args[0])
	}
	return later(func() answer {
		cmd := exec.CommandContext(within(t, 4*patience), args[0], args[1:]...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr.String())
		}
		return answer{code: 200, body: string(out), err: err}
	})
}

func TestEveryClientConfirmsItsMessageAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t)
	for what, args := range clients {
		t.Run(what, func(t *testing.T) {
			for _, size := range []int{0, 300_000} {
				for _, chunked := range []bool{false, true} {
					got := runs(t, append(args, r.url+"/p/client")...)
					r.consumers("client", 1)
					// Long enough for some interim responses.
					until(t, "heartbeats", beats(250*time.Millisecond))
					begun := time.Now()
					whole, _ := io.ReadAll(body(size, chunked))
					want(t, r.do("POST", "/p/client", body(size, chunked)), 200, "")
					if took := time.Since(begun); took > 3*time.Second {
						t.Errorf("the producer of %d bytes waited %v for its 200", size, took)
					}
					want(t, soon(t, got), 200, string(whole))
				}
			}
		})
	}
	r.empty()
}

// beats is a fact that becomes true after some time has passed.
func beats(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
}

func TestAGoClientConfirmsItsMessageWithoutReadingBeyondIt(t *testing.T) {
	r := start(t)
	sent := later(func() answer { return r.post("/p/go", "0123456789") })
	res, err := http.Get(r.url + "/p/go") //nolint:noctx // short
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(res.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	want(t, soon(t, sent), 200, "")
	r.empty()
}

// nginx runs Debian's nginx before a relay and returns its URL. extra goes into
// the location.
func nginx(t *testing.T, r *relay, extra string) string {
	t.Helper()
	binary, err := exec.LookPath("nginx")
	if err != nil {
		if _, err = os.Stat("/usr/sbin/nginx"); err != nil {
			t.Fatal("nginx is not installed; run make test, which installs it")
		}
		binary = "/usr/sbin/nginx"
	}
	dir := t.TempDir()
	port := freePort(t)
	conf := fmt.Sprintf(`daemon off; master_process off; worker_processes 1; pid %[1]s/pid; error_log %[1]s/error.log;
events { worker_connections 64; }
http { access_log off; client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f;
uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s; client_max_body_size 0;
server { listen 127.0.0.1:%[2]d; location / { proxy_pass %[3]s; proxy_http_version 1.1; %[4]s } } }
`, dir, port, r.url, extra)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "-c", file, "-p", dir, "-e", filepath.Join(dir, "error.log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() //nolint:errcheck // by its own process id
		cmd.Wait()         //nolint:errcheck // killed is an error
	})
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	until(t, "nginx listens", func() bool {
		res, err := http.Get(url + "/healthz") //nolint:noctx // short
		if err == nil {
			res.Body.Close()
		}
		return err == nil && res.StatusCode == 200
	})
	return url
}

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// behindNginx runs nginx, as Debian has it and with nothing but proxy_pass and what
// lines say, before a relay.
func behindNginx(t *testing.T, r *relay, lines string) string {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			t.Fatalf("%v; 'make test' installs what the tests need", err)
		}
	}
	at := unusedAddress()
	dir := t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error.log;
events {}
http {
	access_log off; client_body_temp_path %[1]s/1; proxy_temp_path %[1]s/2; fastcgi_temp_path %[1]s/3; uwsgi_temp_path %[1]s/4; scgi_temp_path %[1]s/5;
	server { listen %[2]s; location / { proxy_pass http://%[3]s; proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto https; %[4]s } }
}`, dir, at, r.http, lines)
	if err := os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "-e", filepath.Join(dir, "error.log"), "-c", filepath.Join(dir, "conf"))
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait() //nolint:errcheck // it was killed
	})
	if !inTime(func() bool {
		conn, err := net.Dial("tcp", at)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}) {
		text, _ := os.ReadFile(filepath.Join(dir, "error.log"))
		t.Fatalf("nginx does not listen: %s", text)
	}
	return "http://" + at
}

// nginxAsItComesIsNoHindrance uses the pages behind an nginx that knows nothing of
// WebSockets, and lets no long body through until it is told to.
func nginxAsItComesIsNoHindrance(t *testing.T, b *chromium) {
	r, _ := pageRelay(t, "--trusted-proxies", "127.0.0.1/32")
	front := behindNginx(t, r, "")
	home := b.open(t, front+"/")
	home.until("document.querySelector('.doors').textContent.includes(" + quote("https"+front[len("http"):]+"/p/NAME") + ")")
	p := b.open(t, front+"/terminal?topic=behind&autoConnect")
	p.shows("state", "Connected by server-sent events")
	p.notes("WebSocket connection to .* failed")
	other := b.open(t, "http://"+r.http+"/terminal?topic=behind&autoConnect")
	other.says("to the one behind")
	p.reads("to the one behind")
	p.says("from the one behind")
	other.reads("from the one behind")

	file, _ := noise(t, "long.bin", 12<<20)
	drop := b.open(t, front+"/drop")
	drop.offers(file, "p/nginx", true)
	drop.shows("send-state", "client_max_body_size 0;")
	drop.notes("status of 413|ERR_")

	front = behindNginx(t, r, "client_max_body_size 0;")
	drop = b.open(t, front+"/drop")
	drop.offers(file, "p/nginx", true)
	to := b.open(t, js[string](drop, "document.getElementById('link').textContent"))
	to.saves()
	to.click("#take")
	to.shows("receive-state", "12.0 MiB, SHA-256")
	drop.shows("send-state", "Received by the other side")
}

//go:build long

package sshfront

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"
)

const idle = 2000

// Two thousand clients that wait for something cost so much memory each. The
// clients are another process, so that only the server is measured.
func TestIdleSubscriptionsCostLittle(t *testing.T) {
	if addr := os.Getenv("PATCHWORK_IDLE_CLIENTS"); addr != "" {
		waitIdly(t, addr)
		return
	}
	d := open(t, func(c *Config) { c.MaxConns = idle + 1 })
	before := memory()
	clients := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	clients.Env = append(os.Environ(), "PATCHWORK_IDLE_CLIENTS="+d.addr)
	stdin, err := clients.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := clients.Start(); err != nil {
		t.Fatal(err)
	}
	n := parse(t, "public/idle")
	for want := 100; want <= idle; want += 100 {
		eventually(t, "a hundred more are there", func() bool { return d.b.Peek(n).Subscribers >= want })
	}
	after := memory()
	t.Logf("%d idle subscriptions: %d KiB each in Go's heap and stacks, %d KiB each of resident memory, %d goroutines each",
		idle, (after.goBytes-before.goBytes)/idle>>10, (after.resident-before.resident)/idle>>10, (after.goroutines-before.goroutines)/idle)
	if each := (after.goBytes - before.goBytes) / idle; each > 256<<10 {
		t.Errorf("%d bytes each", each)
	}
	// They are all alive.
	if code, _, stderr := do(t, d.dial(newKey(t)), "pub -p idle", "wake up"); code != 0 {
		t.Error(code, stderr)
	}
	stdin.Close()
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
}

// waitIdly is the clients' side: every one has to receive the same message.
func waitIdly(t *testing.T, addr string) {
	key := newKey(t)
	var connecting errgroup.Group
	connecting.SetLimit(10)
	got := make(chan error, idle)
	for range idle {
		connecting.Go(func() error {
			c, err := gossh.Dial("tcp", addr, &gossh.ClientConfig{
				User: "x", Auth: []gossh.AuthMethod{gossh.PublicKeys(key)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
			})
			if err != nil {
				return err
			}
			ses, err := c.NewSession()
			if err != nil {
				return err
			}
			go func() {
				out, err := ses.Output("sub -p idle")
				if err == nil && string(out) != "wake up" {
					err = fmt.Errorf("got %q", out)
				}
				got <- err
			}()
			return nil
		})
	}
	if err := connecting.Wait(); err != nil {
		t.Fatal(err)
	}
	for range idle {
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	}
}

type footprint struct{ goBytes, resident, goroutines int }

func memory() footprint {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f := footprint{goBytes: int(m.HeapInuse + m.StackInuse), goroutines: runtime.NumGoroutine()}
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return f
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "VmRSS:" {
			kib, _ := strconv.Atoi(fields[1])
			f.resident = kib << 10
		}
	}
	return f
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// relay is a patchwork process under test.
type relay struct {
	cmd       *exec.Cmd
	http, ssh string // addresses it listens on

	mu  sync.Mutex // guards log
	log strings.Builder

	more   chan struct{} // has room for one: the log has grown
	ended  chan struct{} // closed when the process is gone
	err    error         // of Wait; read after ended
	judged bool          // somebody has looked at how it ended
}

// patience is how long a test waits for what has to happen. It is long, as the
// machine may be slow, and costs nothing where all is well.
const patience = time.Minute

// unusedAddress is one of the loopback that nobody listens on. Its port is none that a
// kernel gives to connections and to those who listen anywhere (Linux: 32768 and
// above), so it stays free until it is used, and between two uses.
func unusedAddress() string {
	for {
		address := fmt.Sprint("127.0.0.1:", 10000+nextPort.Add(1)%20000)
		if l, err := net.Listen("tcp", address); err == nil { //nolint:noctx // at once
			l.Close()
			return address
		}
	}
}

var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(20000)) }

var listening = regexp.MustCompile(`msg=listening http=(\S+) ssh=(\S+)`)

// startRelay runs 'patchwork start' in dir, with its data folder there and free
// ports, and returns when both doors are open; with an error it returns the relay
// as far as it came. The flags override these: the rate limit is off because
// everybody here has the same address.
func startRelay(binary, dir string, env []string, flags ...string) (*relay, error) {
	args := append([]string{"start", "--bind", "localhost", "--port", "0", "--ssh-port", "0",
		"--data-dir", ".relay", "--rate-limit", "0"}, flags...)
	r := &relay{
		cmd:   exec.Command(binary, args...),
		more:  make(chan struct{}, 1),
		ended: make(chan struct{}),
	}
	r.cmd.Dir, r.cmd.Env = dir, env
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	go r.read(stderr) // ends with the process, which stop and wait wait for

	if err := r.waitLog(listening.String()); err != nil {
		return r, err
	}
	found := listening.FindStringSubmatch(r.logged())
	r.http, r.ssh = found[1], found[2]
	return r, nil
}

// testRelay runs a relay until the test ends, which it has to end well.
func testRelay(t *testing.T, flags ...string) *relay {
	t.Helper()
	binary, err := exec.LookPath("patchwork")
	if err != nil {
		t.Fatal(err)
	}
	r, err := startRelay(binary, t.TempDir(), os.Environ(), flags...)
	if r != nil {
		t.Cleanup(func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// read collects the log until the process is gone.
func (r *relay) read(stderr io.Reader) {
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		r.mu.Lock()
		fmt.Fprintln(&r.log, lines.Text())
		r.mu.Unlock()
		select {
		case r.more <- struct{}{}:
		default:
		}
	}
	r.err = r.cmd.Wait()
	close(r.ended)
}

func (r *relay) logged() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.String()
}

// waitLog waits until something in the log matches.
func (r *relay) waitLog(pattern string) error {
	match, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	late := time.After(patience)
	for !match.MatchString(r.logged()) {
		select {
		case <-r.more:
		case <-r.ended:
			if match.MatchString(r.logged()) {
				return nil
			}
			r.judged = true
			return fmt.Errorf("the relay ended (%v) before it logged %q:\n%s", r.err, pattern, r.logged())
		case <-late:
			return fmt.Errorf("the relay has not logged %q:\n%s", pattern, r.logged())
		}
	}
	return nil
}

// wait waits for the end of the process and judges it: the exit code has to be
// this one, and the log must not tell of a panic or a data race.
func (r *relay) wait(code int) error {
	r.judged = true
	select {
	case <-r.ended:
	case <-time.After(patience):
		r.cmd.Process.Kill()
		<-r.ended
		return fmt.Errorf("the relay did not end:\n%s", r.logged())
	}
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("the relay ended with %d (%v), not %d:\n%s", got, r.err, code, r.logged())
	}
	for _, bad := range []string{"panic", "DATA RACE"} {
		if strings.Contains(r.logged(), bad) {
			return errors.New("the relay's log tells of a " + bad + ":\n" + r.logged())
		}
	}
	return nil
}

// stop ends a relay that nobody has ended yet, by its process id.
func (r *relay) stop() error {
	if r.judged {
		return nil
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return r.wait(exitDone) // it is gone already; wait says how
	}
	return r.wait(exitDone)
}

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary the commands that the scripts run: patchwork
// itself, built like the test with or without the race detector, a small
// WebSocket client, which no Linux distribution has under one name, and first.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"patchwork": main,
		"ws":        websocketMain,
		"first":     firstMain,
	})
}

// TestScripts runs testdata/script/*.txtar against a relay of their own each,
// with the ssh and curl of the machine. What the scripts may use beyond the
// language of testscript is listed in testdata/script/README.
func TestScripts(t *testing.T) {
	needTools(t)
	// A script is a relay and several clients; more of them at once than this
	// would measure the machine and not the relay.
	turns := make(chan struct{}, 4)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			turns <- struct{}{}
			env.Defer(func() { <-turns })
			return setupClients(env)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"relay":   cmdRelay,
			"signal":  cmdSignal,
			"insist":  cmdInsist,
			"exited":  cmdExited,
			"waitfor": cmdWaitfor,
			"waitlog": cmdWaitlog,

			"waitmetric": cmdWaitmetric,
			"savelog":    cmdSavelog,
			"freeport":   cmdFreeport,
		},
	})
}

// needTools fails the test when a program of the machine is missing: a skipped
// script is a claim nobody checked.
func needTools(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"ssh", "ssh-keygen", "curl", "bash"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v; 'make test' installs what the tests need", err)
		}
	}
}

// setupClients gives a script two people, alice and bob, each with an SSH key,
// and an ssh that asks nothing and leaves the user's own files alone.
func setupClients(env *testscript.Env) error {
	ssh, err := newSSH(filepath.Join(env.WorkDir, ".clients"))
	if err != nil {
		return err
	}
	npm, err := filepath.Abs(filepath.Join("..", "..", ".cache", "npm", "node_modules")) // laid by .ci/npm.sh
	if err != nil {
		return err
	}
	path := []string{ssh.bin, env.Getenv("PATH"), filepath.Join(npm, ".bin"), "/usr/sbin"}
	env.Setenv("PATH", strings.Join(path, string(os.PathListSeparator)))
	env.Setenv("NODE_PATH", npm)
	env.Setenv("GORACE", "atexit_sleep_ms=0") // of the clients; the relay's own reports are waited for
	env.Values[sshKey{}] = ssh
	running := new(*relay)
	env.Values[relayKey{}] = running
	env.Defer(func() {
		if *running == nil {
			return
		}
		if err := (*running).stop(); err != nil {
			env.T().Fatal(err)
		}
	})
	return nil
}

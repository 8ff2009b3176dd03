package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// asPipemgr in the environment makes this test binary pipemgr itself, built like
// the tests with or without the race detector.
const asPipemgr = "TEST_AS_PIPEMGR"

func TestMain(m *testing.M) {
	if os.Getenv(asPipemgr) != "" {
		main()
	}
	code := m.Run()
	if theEngine.e != nil {
		if err := theEngine.e.end(); err != nil {
			fmt.Fprintln(os.Stderr, "the Docker Engine of the tests has not ended well:", err)
			code = 1
		}
	}
	if programs.dir != "" {
		os.RemoveAll(programs.dir)
	}
	os.Exit(code)
}

// programs are built once for all tests.
var programs struct {
	mu  sync.Mutex // guards what follows
	dir string
}

// program builds a command of this module, static as for its image, and returns its
// path.
func program(t *testing.T, name string) string {
	t.Helper()
	programs.mu.Lock()
	defer programs.mu.Unlock()
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "pipemgr")
		must(t, err)
		programs.dir = dir
	}
	path := filepath.Join(programs.dir, name)
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.Command("go", "build", "-trimpath", "-o", path, "patchwork/cmd/"+name)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

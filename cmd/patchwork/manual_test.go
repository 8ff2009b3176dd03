package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestManualCommandsWork runs the commands of the manual as they are written.
// Every fenced block marked sh in README.md and docs/*.md is a command block;
// those of one page are run in order by one 'bash -e', in an empty folder,
// against a relay of the page's own. localhost:8080 and 'ssh -p 2222 localhost'
// lead to that relay; patchwork, and an ssh with a key, are in the PATH. What
// cannot be run is no command block: text and console are the marks for it. What
// still runs in the background at the end of a page is ended.
func TestManualCommandsWork(t *testing.T) {
	needTools(t)
	root := filepath.Join("..", "..")
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	if readme := filepath.Join(root, "README.md"); exists(readme) {
		pages = append(pages, readme)
	}
	pages = append(pages, filepath.Join("testdata", "docs", "tour.md"))
	for _, page := range pages {
		t.Run(filepath.Base(page), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			blocks := commandBlocks(string(text))
			if len(blocks) == 0 {
				t.Skip("no command blocks on this page")
			}
			if out, err := runPage(t, blocks); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// commandBlocks are the contents of the blocks fenced with ```sh, each with a
// comment that tells the line it begins at.
func commandBlocks(page string) []string {
	var blocks []string
	var block strings.Builder
	inside, running := false, false
	for n, line := range strings.Split(page, "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence && !inside:
			inside, running = true, strings.TrimSpace(line) == "```sh"
			block.Reset()
			fmt.Fprintf(&block, ": line %d\n", n+1)
		case fence:
			if running {
				blocks = append(blocks, block.String())
			}
			inside, running = false, false
		default:
			fmt.Fprintln(&block, line)
		}
	}
	return blocks
}

// runPage runs the blocks, in order, in one shell. The output is what the shell
// said, with each command before what it does.
func runPage(t *testing.T, blocks []string) (string, error) {
	ssh, err := newSSH(t.TempDir())
	if err != nil {
		return "", err
	}
	binary, err := exec.LookPath("patchwork")
	if err != nil {
		return "", err
	}
	home := t.TempDir()
	env := append(os.Environ(), "HOME="+home, "PATH="+ssh.bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	r, err := startRelay(binary, t.TempDir(), env)
	if r != nil {
		defer func() {
			if err := r.stop(); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		return "", err
	}
	_, port, _ := net.SplitHostPort(r.ssh)
	if err := ssh.point(port); err != nil {
		return "", err
	}

	script := strings.NewReplacer(
		"localhost:8080", r.http,
		"ssh -p 2222 ", "ssh -p "+port+" ",
	).Replace(strings.Join(blocks, "\n"))
	file := filepath.Join(home, ".page.sh")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	output, err := os.Create(filepath.Join(t.TempDir(), "output")) // a file: background jobs may hold it open
	if err != nil {
		return "", err
	}
	defer output.Close()
	shell := exec.CommandContext(ctx, "bash", "-ex", file)
	shell.Dir, shell.Env, shell.Stdout, shell.Stderr = home, env, output, output
	// A group of its own, so that all that the page left in the background can
	// be ended with it.
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.Cancel = group
	err = shell.Run()
	if shell.Process != nil {
		_ = group() // fails when nobody is left, which is fine
	}
	said, _ := os.ReadFile(output.Name())
	return string(said), err
}

func TestCommandBlocksAreThoseMarkedSh(t *testing.T) {
	got := commandBlocks("a\n```sh\none\n```\n```text\ntwo\n```\n  ```sh\n  three\n  ```\n```\nfour\n```\n```sh x\nfive\n```\n")
	want := []string{": line 2\none\n", ": line 8\n  three\n"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

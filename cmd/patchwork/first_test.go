package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

// firstMain is the command first of the scripts:
//
//	first COUNT COMMAND…
//
// prints the first COUNT lines of what COMMAND prints, ends COMMAND and exits 0.
// It is how a script looks at what never ends; 'COMMAND | head' would wait for
// COMMAND to notice. When COMMAND ends before that, it is exit 1.
func firstMain() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: first COUNT COMMAND…")
		os.Exit(2)
	}
	count, err := strconv.Atoi(os.Args[1])
	if err == nil {
		err = first(count, exec.Command(os.Args[2], os.Args[3:]...))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "first:", err)
		os.Exit(1)
	}
}

func first(count int, cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	for n := range count {
		line, err := lines.ReadString('\n')
		fmt.Print(line)
		if err != nil {
			return fmt.Errorf("%s ended after %d lines: %w", cmd.Path, n, cmd.Wait())
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		return err
	}
	_ = cmd.Wait() // says that it was killed
	return nil
}

//go:build unix

package main

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup has a command, and what it starts, be a group of processes.
func ownGroup(run *exec.Cmd) { run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// askGroup and killGroup fail where nobody is left, which is what they are for.
func askGroup(p *os.Process)  { _ = syscall.Kill(-p.Pid, syscall.SIGTERM) }
func killGroup(p *os.Process) { _ = syscall.Kill(-p.Pid, syscall.SIGKILL) }

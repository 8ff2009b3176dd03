package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sshKey is where a script keeps its [clientSSH].
type sshKey struct{}

// clientSSH is a folder with two keys and an 'ssh' in bin that is the machine's
// own, with a configuration of this folder. OpenSSH finds its files through the
// password database and not through HOME, so -F is the only way.
type clientSSH struct{ dir, bin string }

func newSSH(dir string) (*clientSSH, error) {
	s := &clientSSH{dir: dir, bin: filepath.Join(dir, "bin")}
	real, err := exec.LookPath("ssh")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.bin, 0o700); err != nil {
		return nil, err
	}
	for _, who := range []string{"alice", "bob"} {
		out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", filepath.Join(dir, who)).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("ssh-keygen: %w: %s", err, out)
		}
	}
	wrapper := fmt.Sprintf("#!/bin/sh\nexec '%s' -F '%s' \"$@\"\n", real, s.config())
	if err := os.WriteFile(filepath.Join(s.bin, "ssh"), []byte(wrapper), 0o700); err != nil {
		return nil, err
	}
	return s, s.point("22")
}

func (s *clientSSH) config() string { return filepath.Join(s.dir, "ssh_config") }

// point makes 'ssh alice' and 'ssh bob' lead to the relay at port, by that
// person's key. Any other host is reached by alice's key, so that a command
// copied from the manual works.
func (s *clientSSH) point(port string) error {
	return os.WriteFile(s.config(), fmt.Appendf(nil, `Host alice bob
  HostName 127.0.0.1
  Port %[2]s
Host bob
  IdentityFile %[1]s/bob
Host * !bob
  IdentityFile %[1]s/alice
Host *
  IdentitiesOnly yes
  IdentityAgent none
  BatchMode yes
  ConnectTimeout 20
  StrictHostKeyChecking accept-new
  UserKnownHostsFile %[1]s/known_hosts
  GlobalKnownHostsFile /dev/null
  LogLevel ERROR
`, s.dir, port), 0o600)
}

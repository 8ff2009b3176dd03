package main

import (
	"net"
	"path/filepath"
	"testing"
)

func TestADockerThatIsAwayIsToldInOneSentence(t *testing.T) {
	r := startRelay(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	port := l.Addr().String()
	must(t, l.Close()) // nobody listens there any more
	missing := "unix://" + filepath.Join(t.TempDir(), "docker.sock")
	dead := filepath.Join(t.TempDir(), "docker.sock")
	s, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead, Net: "unix"})
	must(t, err)
	s.SetUnlinkOnClose(false)
	must(t, s.Close())
	for _, host := range []string{missing, "unix://" + dead, "tcp://" + port} {
		m := launch(t, host, r)
		m.says(`to=Docker error="no Docker answers at ` + host + `; start it, or say with DOCKER_HOST where it is"`)
		m.stop()
	}
}

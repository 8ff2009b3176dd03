package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretKeyIsMadeOnceAndKeptPrivate(t *testing.T) {
	dir := t.TempDir()
	first, err := secretKey("", dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := secretKey("", dir)
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("the second start has another key (%v)", err)
	}
	if other, _ := secretKey("", t.TempDir()); bytes.Equal(first, other) {
		t.Error("another folder has the same key")
	}
	info, err := os.Stat(filepath.Join(dir, secretKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, want 0600", info.Mode().Perm())
	}
}

func TestSecretKeyThatIsToldIsNotKept(t *testing.T) {
	dir := t.TempDir()
	key, err := secretKey("hunter2", dir)
	if err != nil || string(key) != "hunter2" {
		t.Errorf("got %q (%v)", key, err)
	}
	if exists(filepath.Join(dir, secretKeyFile)) {
		t.Error("a file was made")
	}
}

func TestDamagedSecretKeyStopsTheStart(t *testing.T) {
	for _, damage := range []string{"", "abcd\n", "not hex"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, secretKeyFile), []byte(damage), 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, talk := command(t, t.Context(), "start", "--port", "0", "--ssh-port", "-1", "--data-dir", dir)
		if code != exitFailed {
			t.Errorf("exit code %d, want 1", code)
		}
		wantLine(t, talk, secretKeyFile)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	var log bytes.Buffer
	s := secret("hunter2")
	fmt.Fprintf(&log, "%v %+v %#v %s", s, s, s, s)
	newLogger(config{logFormat: "text"}, &log).Info("starting", "key", s)
	newLogger(config{logFormat: "json"}, &log).Info("starting", "key", s)
	if strings.Contains(log.String(), "hunter2") {
		t.Errorf("printed: %s", log.String())
	}
}

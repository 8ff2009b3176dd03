package sshfront

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	gossh "golang.org/x/crypto/ssh"
)

func hostKeyPath(dir string) string { return filepath.Join(dir, "ssh_host_ed25519_key") }

// hostKey returns the host key kept in dir as PEM, and makes it if there is none.
// Errors name the file.
func hostKey(dir string) ([]byte, error) {
	path := hostKeyPath(dir)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeHostKey(path); err != nil {
			return nil, fmt.Errorf("host key %s: %w", path, err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("host key: %w", err) // names the file itself
	}
	if _, err := gossh.ParsePrivateKey(text); err != nil {
		return nil, fmt.Errorf("host key %s: %w", path, err)
	}
	return text, nil
}

// makeHostKey writes a new key under path, unless somebody else was faster: the
// file appears whole or not at all, and is never replaced.
func makeHostKey(path string) error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	block, err := gossh.MarshalPrivateKey(key, "patchwork host key")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".ssh_host_key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(pem.EncodeToMemory(block))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

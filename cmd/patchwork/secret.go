package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// secret is a text that is nobody's business: it prints and logs as stars.
type secret string

func (secret) String() string       { return "***" }
func (secret) GoString() string     { return "***" }
func (secret) LogValue() slog.Value { return slog.StringValue("***") }

func hidden(s string) (secret, error) { return secret(s), nil }

// secretKeyFile is where a key that was made here is kept, as hex.
const secretKeyFile = "secret_key"

// secretKey is the key that secrets of hooks are made with: as told, else the
// one kept in dir, which is made at the first start. So hooks outlive restarts.
// An unreadable, empty or damaged file is an error that names it.
func secretKey(told secret, dir string) ([]byte, error) {
	if told != "" {
		return []byte(told), nil
	}
	path := filepath.Join(dir, secretKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeSecretKey(path); err != nil {
			return nil, fmt.Errorf("secret key: %w; give one as SECRET_KEY, or another --data-dir", err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret key: %w; give one as SECRET_KEY, or another --data-dir", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) < 32 {
		return nil, fmt.Errorf("secret key: %s is damaged; remove it to have a new one made, which ends all hooks", path)
	}
	return key, nil
}

// makeSecretKey writes a new key. The file appears whole or not at all, and an
// existing one stays: of two relays that start at once, both use the first's.
func makeSecretKey(path string) error {
	key := make([]byte, 32)
	rand.Read(key)                                               // never fails
	f, err := os.CreateTemp(filepath.Dir(path), ".secret_key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, hex.EncodeToString(key))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

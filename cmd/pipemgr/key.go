package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/crypto/ssh"
)

// passphraseEnv holds the passphrase of the key. It is no flag, for flags are seen by all.
const passphraseEnv = "PIPEMGR_KEY_PASSPHRASE"

// loadKey reads the SSH key at path, or where path is "" the first that exists of
// /key and ~/.ssh/id_ed25519. As with ssh, a certificate for it may stand beside it
// in a file with -cert.pub after its name.
func loadKey(path, home, passphrase string) (ssh.Signer, error) {
	paths := []string{path}
	if path == "" {
		paths = []string{"/key"}
		if home != "" {
			paths = append(paths, filepath.Join(home, ".ssh", "id_ed25519"))
		}
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if info, statErr := os.Stat(p); statErr == nil && info.IsDir() {
			return nil, fmt.Errorf("%s is a directory and no key: Docker makes one when the file to mount there does not exist", p)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the key: %w; look at its owner and mode", err)
		}
		return parseKey(p, text, passphrase)
	}
	if path != "" {
		return nil, fmt.Errorf("there is no key %s; look at its name, or make it with 'ssh-keygen -t ed25519 -f %s'", path, path)
	}
	return nil, fmt.Errorf("there is no key, neither /key nor ~/.ssh/id_ed25519; mount one at /key or name one with --key")
}

func parseKey(path string, text []byte, passphrase string) (ssh.Signer, error) {
	signer, err := ssh.ParsePrivateKey(text)
	if missing := (*ssh.PassphraseMissingError)(nil); errors.As(err, &missing) {
		if passphrase == "" {
			return nil, fmt.Errorf("the key %s has a passphrase; give it in %s", path, passphraseEnv)
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(text, []byte(passphrase)); err != nil {
			return nil, fmt.Errorf("the passphrase in %s does not open the key %s", passphraseEnv, path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no private SSH key: %w", path, err)
	}
	text, err = os.ReadFile(path + "-cert.pub")
	if errors.Is(err, fs.ErrNotExist) {
		return signer, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the key's certificate: %w; look at its owner and mode", err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey(text)
	cert, ok := public.(*ssh.Certificate)
	if err != nil || !ok || !bytes.Equal(cert.Key.Marshal(), signer.PublicKey().Marshal()) {
		return nil, fmt.Errorf("%s-cert.pub is no certificate of the key %s; remove it or make it anew", path, path)
	}
	return ssh.NewCertSigner(cert, signer)
}

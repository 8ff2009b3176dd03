package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func newKey(t *testing.T) ssh.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(key)
	must(t, err)
	return signer
}

// writeKey writes a new private key to a file.
func writeKey(t *testing.T, passphrase string) (path string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	must(t, err)
	path = filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	return path
}

const relayAt = "relay.example.com:2222"

// offer is what hostKeys say to a relay's key.
func offer(t *testing.T, h *hostKeys, key ssh.PublicKey) error {
	t.Helper()
	check, _, err := h.check(relayAt)
	if err != nil {
		return err
	}
	return check(relayAt, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2222}, key)
}

func wantRefused(t *testing.T, err error, words string) {
	t.Helper()
	if !errors.Is(err, errHostKey) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v, and not a refusal with %q", err, words)
	}
}

func TestTheFirstHostKeyIsTheOneBelieved(t *testing.T) {
	file := filepath.Join(t.TempDir(), "deep", "known_hosts")
	first, second := newKey(t).PublicKey(), newKey(t).PublicKey()
	for name, make := range map[string]func() *hostKeys{
		"file":   func() *hostKeys { return &hostKeys{log: discard(), learned: file} },
		"memory": func() *hostKeys { return &hostKeys{log: discard()} },
	} {
		t.Run(name, func(t *testing.T) {
			h := make()
			must(t, offer(t, h, first))
			must(t, offer(t, h, first))
			wantRefused(t, offer(t, h, second), ssh.FingerprintSHA256(second))
			if name == "file" {
				wantRefused(t, offer(t, make(), second), "line 1 of "+file)
				must(t, os.Remove(file)) // as the message says
				must(t, offer(t, h, second))
				wantRefused(t, offer(t, h, first), "line 1 of "+file)
			}
		})
	}
}

// A key that is learned into the end of a line of somebody's would not be found again,
// and any other one be believed the next time.
func TestALearnedHostKeyIsALineOfItsOwn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	must(t, os.WriteFile(file, []byte("# the relay of ours"), 0o600))
	key := newKey(t).PublicKey()
	must(t, offer(t, &hostKeys{learned: file, log: discard()}, key))
	again := &hostKeys{learned: file, log: discard()}
	must(t, offer(t, again, key))
	if err := offer(t, again, newKey(t).PublicKey()); err == nil {
		t.Error("another key is believed")
	}
}

func TestPinnedHostKeysAreBelievedAlone(t *testing.T) {
	one, two := newKey(t).PublicKey(), newKey(t).PublicKey()
	h := &hostKeys{log: discard(), pinned: []string{ssh.FingerprintSHA256(one)}, learned: filepath.Join(t.TempDir(), "k")}
	must(t, offer(t, h, one))
	wantRefused(t, offer(t, h, two), ssh.FingerprintSHA256(two)+", which --host-key does not name")
}

func TestKnownHostsAreBelievedAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	known, other := newKey(t).PublicKey(), newKey(t).PublicKey()
	h := &hostKeys{log: discard(), file: file}
	if err := offer(t, h, known); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("without the file: %v", err)
	}
	must(t, os.WriteFile(file, []byte(knownhosts.Line([]string{"elsewhere"}, known)+"\n"), 0o600))
	wantRefused(t, offer(t, h, known), "has no key of "+relayAt)
	must(t, os.WriteFile(file, []byte(knownhosts.Line([]string{knownhosts.HashHostname(knownhosts.Normalize(relayAt))}, known)+"\n"), 0o600))
	must(t, offer(t, h, known))
	wantRefused(t, offer(t, h, other), "line 1 of "+file)
}

// A relay with keys of several types is asked for the one that is known.
func TestTheKnownTypeOfHostKeyIsAskedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	signer, err := ssh.NewSignerFromKey(private)
	must(t, err)
	must(t, os.WriteFile(file, []byte(knownhosts.Line([]string{knownhosts.Normalize(relayAt)}, signer.PublicKey())+"\n"), 0o600))
	h := &hostKeys{log: discard(), learned: file}
	_, list, err := h.check(relayAt)
	must(t, err)
	if want := []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}; !slices.Equal(list, want) {
		t.Errorf("%q", list)
	}
}

func TestKeysAreFoundAndOpened(t *testing.T) {
	home := t.TempDir()
	if _, err := os.Stat("/key"); err == nil {
		t.Fatal("this machine has a /key, and the test is about there being none")
	}
	if _, err := loadKey("", home, ""); err == nil || !strings.Contains(err.Error(), "neither /key nor ~/.ssh/id_ed25519") {
		t.Error(err)
	}
	must(t, os.Mkdir(filepath.Join(home, ".ssh"), 0o700))
	must(t, os.Rename(writeKey(t, ""), filepath.Join(home, ".ssh", "id_ed25519")))
	signer, err := loadKey("", home, "")
	must(t, err)

	locked := writeKey(t, "secret")
	if _, err := loadKey(locked, home, "secret"); err != nil {
		t.Error(err)
	}
	if _, err := loadKey(locked, home, "a guess"); err == nil || strings.Contains(err.Error(), "a guess") {
		t.Error(err)
	}

	// A certificate beside it is used, and has to be the key's.
	authority := newKey(t)
	beside := filepath.Join(home, ".ssh", "id_ed25519-cert.pub")
	for _, test := range []struct {
		key  ssh.PublicKey
		want string
	}{{signer.PublicKey(), ssh.CertAlgoED25519v01}, {authority.PublicKey(), ""}} {
		cert := &ssh.Certificate{Key: test.key, CertType: ssh.UserCert, ValidPrincipals: []string{"alice"}, ValidBefore: ssh.CertTimeInfinity}
		must(t, cert.SignCert(rand.Reader, authority))
		must(t, os.WriteFile(beside, ssh.MarshalAuthorizedKey(cert), 0o600))
		got, err := loadKey("", home, "")
		switch {
		case test.want == "" && err == nil:
			t.Error("a certificate of another key is taken")
		case test.want != "" && (err != nil || got.PublicKey().Type() != test.want):
			t.Errorf("%v", err)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// hostKeys decides which host key of a relay is believed. Fingerprints that were
// pinned decide alone; else a known_hosts file that was named; else the key that the
// relay had when it was met first, kept in the state's own known_hosts, or without
// a state in memory.
type hostKeys struct {
	log     *slog.Logger
	pinned  []string // SHA256:…
	file    string   // known_hosts to go by, "" is none
	learned string   // known_hosts to learn into, "" is none

	mu  sync.Mutex // guards met
	met ssh.PublicKey
}

// errHostKey is the error of a host key that is not believed.
var errHostKey = errors.New("the relay's host key is not the right one")

// preferred are host key algorithms in the order in which ssh asks for them, so
// that the fingerprint it shows is the one seen here.
var preferred = []string{
	ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
}

var certified = []string{
	ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01,
}

// check returns what a client needs to check the host key of the relay at addr, a
// host with its port.
func (h *hostKeys) check(addr string) (ssh.HostKeyCallback, []string, error) {
	if h.pinned != nil {
		return h.checkPinned, preferred, nil
	}
	file := h.file
	if file == "" {
		file = h.learned
	}
	known := func(string, net.Addr, ssh.PublicKey) error { return &knownhosts.KeyError{} }
	if file != "" {
		found, err := knownhosts.New(file)
		switch {
		case err == nil:
			known = found
		case h.file != "" || !errors.Is(err, fs.ErrNotExist):
			return nil, nil, fmt.Errorf("cannot read the known host keys: %w", err)
		}
	}
	callback := func(host string, remote net.Addr, key ssh.PublicKey) error {
		return h.judge(host, key, known(host, remote, key), file)
	}
	return callback, algorithms(known, addr, h.file != ""), nil
}

func (h *hostKeys) checkPinned(_ string, _ net.Addr, key ssh.PublicKey) error {
	if slices.Contains(h.pinned, ssh.FingerprintSHA256(key)) {
		return nil
	}
	return fmt.Errorf("%w: it is %s, which --host-key does not name", errHostKey, ssh.FingerprintSHA256(key))
}

// judge turns what the file said into a decision.
func (h *hostKeys) judge(host string, key ssh.PublicKey, said error, file string) error {
	var wrong *knownhosts.KeyError
	switch {
	case said == nil:
		return nil
	case !errors.As(said, &wrong):
		return fmt.Errorf("%w: %w", errHostKey, said)
	case len(wrong.Want) > 0:
		w := wrong.Want[0]
		return fmt.Errorf("%w: it is %s, and line %d of %s has another; if the relay's key was changed, remove that line",
			errHostKey, ssh.FingerprintSHA256(key), w.Line, w.Filename)
	case h.file != "":
		return fmt.Errorf("%w: %s has no key of %s; it is %s", errHostKey, file, host, ssh.FingerprintSHA256(key))
	}
	return h.meet(host, key)
}

// meet believes the first key it sees, and from then on only that one.
func (h *hostKeys) meet(host string, key ssh.PublicKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.met != nil {
		if string(h.met.Marshal()) == string(key.Marshal()) {
			return nil
		}
		return fmt.Errorf("%w: it is %s, and was %s when pipemgr started", errHostKey, ssh.FingerprintSHA256(key), ssh.FingerprintSHA256(h.met))
	}
	where := "memory"
	if h.learned != "" {
		if err := appendLine(h.learned, knownhosts.Line([]string{host}, key)); err != nil {
			h.log.Error("cannot keep the relay's host key", "error", oneLine(err))
		} else {
			where = h.learned
		}
	}
	if where == "memory" {
		h.met = key // else the file decides, and can be mended
	}
	h.log.Info("met the relay for the first time; only this host key is believed from now on",
		"relay", host, "host_key", ssh.FingerprintSHA256(key), "kept_in", where)
	return nil
}

func appendLine(file, line string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err = endLine(f); err == nil {
		_, err = fmt.Fprintln(f, line)
	}
	return errors.Join(err, f.Close())
}

// endLine ends the last line of a file that somebody has left open, or what is
// appended would be part of it.
func endLine(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, info.Size()-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err = fmt.Fprintln(f)
	return err
}

// algorithms are those to ask the relay for: of the types of key that are known of
// it, for a relay with several keys may otherwise show one that is not. All when
// none is known. certs says that certificates are believed, if the file has their
// authority.
func algorithms(known ssh.HostKeyCallback, addr string, certs bool) []string {
	var list []string
	if certs {
		list = slices.Clone(certified)
	}
	var unknown *knownhosts.KeyError
	// Asked for a key that nobody has, it tells which ones it wants.
	if !errors.As(known(addr, &net.TCPAddr{}, noKey{}), &unknown) || len(unknown.Want) == 0 {
		return append(list, preferred...)
	}
	for _, algorithm := range preferred {
		for _, w := range unknown.Want {
			t := w.Key.Type()
			if t == algorithm || t == ssh.KeyAlgoRSA && (algorithm == ssh.KeyAlgoRSASHA512 || algorithm == ssh.KeyAlgoRSASHA256) {
				list = append(list, algorithm)
				break
			}
		}
	}
	return list
}

// noKey is a public key that equals none.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errHostKey }

package acl

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A Fingerprint is the SHA-256 of a public key's wire form. It names the key and
// hides itself from logs.
type Fingerprint [sha256.Size]byte

// FingerprintOf returns the fingerprint of a key.
func FingerprintOf(key ssh.PublicKey) Fingerprint { return sha256.Sum256(key.Marshal()) }

// String is the form that ssh-keygen -l prints.
func (f Fingerprint) String() string {
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(f[:])
}

// LogValue keeps keys out of logs.
func (f Fingerprint) LogValue() slog.Value { return slog.StringValue("[key]") }

// Namespace is what the key owns when nobody knows it: "key-" and the first 16
// characters, in lower-case base32, of the fingerprint.
func (f Fingerprint) Namespace() string {
	return "key-" + strings.ToLower(base32.StdEncoding.EncodeToString(f[:]))[:16]
}

// ParseKey reads a public key line or a SHA256 fingerprint, as they stand in
// ssh_keys and after --key.
func ParseKey(s string) (Fingerprint, error) {
	if digest, ok := strings.CutPrefix(s, "SHA256:"); ok {
		raw, err := base64.RawStdEncoding.Strict().DecodeString(digest)
		if err != nil || len(raw) != sha256.Size || strings.ContainsAny(digest, "\r\n") {
			return Fingerprint{}, errors.New("not a fingerprint: SHA256: and 43 characters, as ssh-keygen -l prints it")
		}
		return Fingerprint(raw), nil
	}
	key, _, err := parseKeyLine(s)
	if err != nil {
		return Fingerprint{}, err
	}
	return FingerprintOf(key), nil
}

// parseKeyLine reads one line of the form "TYPE BASE64 [COMMENT]".
func parseKeyLine(s string) (ssh.PublicKey, string, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, "", errors.New("a key is one line")
	}
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(s))
	switch {
	case err != nil:
		return nil, "", errors.New(`not a public key line ("ssh-ed25519 AAAA… name") nor a SHA256 fingerprint`)
	case len(options) > 0:
		// Somebody meant to restrict this key; we would not.
		return nil, "", errors.New("options in front of a key are not understood: take them out")
	}
	if _, isCertificate := key.(*ssh.Certificate); isCertificate {
		return nil, "", errors.New("certificates are not taken: write the key itself")
	}
	return key, comment, nil
}

// parseAuthorizedKeys reads an authorized_keys file. Lines that are not
// understood let nobody in; their numbers are returned.
func parseAuthorizedKeys(data []byte) AccountKeys {
	var k AccountKeys
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		key, _, err := parseKeyLine(line)
		if err != nil {
			k.Skipped = append(k.Skipped, n)
			continue
		}
		k.add(key)
	}
	return k
}

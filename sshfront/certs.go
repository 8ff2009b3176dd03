package sshfront

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

// forceCommand is the critical option that names the only command a certificate is
// good for (OpenSSH's PROTOCOL.certkeys).
const forceCommand = "force-command"

// permitForwarding is the extension without which a certificate forwards nothing.
const permitForwarding = "permit-port-forwarding"

// ReadCAs reads the keys of certificate authorities from a file: one a line, as in
// authorized_keys but without options. Errors are one line and name the place.
func ReadCAs(path string) ([]gossh.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var keys []gossh.PublicKey
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, _, options, _, err := gossh.ParseAuthorizedKey(line)
		_, isCertificate := key.(*gossh.Certificate)
		if err != nil || len(options) > 0 || isCertificate {
			return nil, fmt.Errorf("%s:%d: want the public key of an authority, like: ssh-ed25519 AAAA… comment", path, i+1)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s: there is no key in it", path)
	}
	return keys, nil
}

// checkCert says whether a certificate makes its holder user.
func (s *Server) checkCert(user string, cert *gossh.Certificate) error {
	switch {
	case len(cert.ValidPrincipals) == 0:
		return errors.New("the certificate names no principal") // the library takes that for everybody
	case cert.Signature == nil || !slices.Contains(keyAlgorithms(), cert.Signature.Format):
		return errors.New("the certificate is signed with an algorithm that is not safe")
	case broker.CheckUser(user) != nil || strings.HasPrefix(user, keyPrefix):
		// Names that begin so belong to keys, whatever an authority says.
		return errors.New("the certificate's principal is no user's name")
	}
	checker := gossh.CertChecker{
		SupportedCriticalOptions: []string{forceCommand},
		IsUserAuthority: func(authority gossh.PublicKey) bool {
			return slices.ContainsFunc(s.cfg.TrustedCAs, func(ca gossh.PublicKey) bool {
				return bytes.Equal(ca.Marshal(), authority.Marshal())
			})
		},
	}
	_, err := checker.Authenticate(userMetadata{user: user}, cert)
	return err
}

// A userMetadata is as much of a connection as the check of a certificate looks at.
type userMetadata struct {
	gossh.ConnMetadata
	user string
}

func (u userMetadata) User() string { return u.user }

// expired tells whether a certificate that was good at the handshake is not any
// more.
func (id Identity) expired(now time.Time) bool {
	return id.cert != nil && id.cert.ValidBefore != gossh.CertTimeInfinity && uint64(now.Unix()) >= id.cert.ValidBefore
}

// forced returns the only command that the certificate is good for, if it says so.
func (id Identity) forced() (command string, ok bool) {
	if id.cert == nil {
		return "", false
	}
	command, ok = id.cert.CriticalOptions[forceCommand]
	return command, ok
}

// forwards tells whether the identity may forward anything at all. Keys may; who may
// what is a matter of rules.
func (id Identity) forwards() bool {
	if id.cert == nil {
		return true
	}
	_, permitted := id.cert.Extensions[permitForwarding]
	return permitted
}

package sshfront

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"
)

// certified signs a certificate for key, which change may spoil.
func certified(t *testing.T, key, authority gossh.Signer, change func(*gossh.Certificate)) gossh.Signer {
	t.Helper()
	cert := &gossh.Certificate{
		Key: key.PublicKey(), CertType: gossh.UserCert, ValidPrincipals: []string{"alice", "anybody"},
		ValidBefore: gossh.CertTimeInfinity,
	}
	if change != nil {
		change(cert)
	}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestACertificateMakesItsHolderAUser(t *testing.T) {
	authority, key := newKey(t), newKey(t)
	var seen Identity
	d := open(t, func(c *Config) {
		c.TrustedCAs = []gossh.PublicKey{newKey(t).PublicKey(), authority.PublicKey()}
		c.Identify = func(ctx context.Context, id Identity, user string) (Caller, error) {
			seen = id
			return defaultCaller(ctx, id, user)
		}
	})
	sub := start(t, d.dial(certified(t, key, authority, nil)), "sub builds")
	d.subscribers(parse(t, "anybody/builds"), 1) // the name the tests log in with
	if string(seen.Key.Marshal()) != string(key.PublicKey().Marshal()) || len(seen.Principals) != 2 {
		t.Errorf("%+v", seen)
	}
	sub.ses.Close()
	// The same key without its certificate is just a key.
	start(t, d.dial(key), "sub builds")
	d.subscribers(name(t, key, "builds"), 1)
}

func TestCertificatesThatProveNothingAreRefused(t *testing.T) {
	authority, key := newKey(t), newKey(t)
	d := open(t, func(c *Config) { c.TrustedCAs = []gossh.PublicKey{authority.PublicKey()} })
	now := uint64(time.Now().Unix())
	for what, change := range map[string]func(*gossh.Certificate){
		"no principal":       func(c *gossh.Certificate) { c.ValidPrincipals = nil },
		"another principal":  func(c *gossh.Certificate) { c.ValidPrincipals = []string{"alice"} },
		"expired":            func(c *gossh.Certificate) { c.ValidBefore = now - 1 },
		"not yet valid":      func(c *gossh.Certificate) { c.ValidAfter = now + 1000 },
		"of a host":          func(c *gossh.Certificate) { c.CertType = gossh.HostCert },
		"unknown option":     func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"sing-along": ""} },
		"from another place": func(c *gossh.Certificate) { c.CriticalOptions = map[string]string{"source-address": "192.0.2.0/24"} },
	} {
		if _, err := d.tryDial(certified(t, key, authority, change)); err == nil {
			t.Errorf("%s: let in", what)
		}
	}
	if _, err := d.tryDial(certified(t, key, newKey(t), nil)); err == nil {
		t.Error("of an unknown authority: let in")
	}
	// A trusted authority cannot hand out what belongs to a key.
	stolen := certified(t, key, authority, func(c *gossh.Certificate) { c.ValidPrincipals = []string{KeyNamespace(key.PublicKey())} })
	_, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
		User: KeyNamespace(key.PublicKey()), Auth: []gossh.AuthMethod{gossh.PublicKeys(stolen)}, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
	})
	if err == nil {
		t.Error("a key's namespace: let in")
	}
	d.dial(certified(t, key, authority, func(c *gossh.Certificate) {
		c.CriticalOptions = map[string]string{"source-address": "127.0.0.0/8"}
	}))
}

func TestAForcedCommandIsTheOnlyOne(t *testing.T) {
	authority, key := newKey(t), newKey(t)
	d := open(t, func(c *Config) { c.TrustedCAs = []gossh.PublicKey{authority.PublicKey()} })
	c := d.dial(certified(t, key, authority, func(c *gossh.Certificate) {
		c.CriticalOptions = map[string]string{"force-command": "help pub"}
	}))
	for _, cmd := range []string{"sub secret", "help", ""} {
		if code, out, _ := do(t, c, cmd, ""); code != 0 || !strings.HasPrefix(out, "pub [TOPIC]") {
			t.Errorf("%s: %d %.40q", cmd, code, out)
		}
	}
}

func TestACertificateThatExpiresEndsTheRightsOfItsConnection(t *testing.T) {
	authority, key := newKey(t), newKey(t)
	d := open(t, func(c *Config) { c.TrustedCAs = []gossh.PublicKey{authority.PublicKey()} })
	c := d.dial(certified(t, key, authority, func(c *gossh.Certificate) {
		c.ValidBefore = uint64(time.Now().Unix()) + 2
	}))
	eventually(t, "it is over", func() bool {
		code, _, stderr := do(t, c, "ls", "")
		return code == 1 && strings.Contains(stderr, "expired")
	})
}

func TestAuthoritiesAreReadFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pub")
	one, two := newKey(t).PublicKey(), newKey(t).PublicKey()
	text := "# ours\n\n" + string(gossh.MarshalAuthorizedKey(one)) + "  " + strings.TrimSpace(string(gossh.MarshalAuthorizedKey(two))) + " second\n"
	for content, want := range map[string]string{
		text: "", text + "rubbish\n": ":5: ", "": "no key",
		"cert-authority " + text[8:]: ":1: ",
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		keys, err := ReadCAs(path)
		if want == "" {
			if err != nil || len(keys) != 2 {
				t.Errorf("%v %v", keys, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", content, err)
		}
	}
	if _, err := ReadCAs(path + ".not"); err == nil {
		t.Error("a file that is not there")
	}
}

package sshfront

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
)

func TestAnUnknownKeyOwnsTheNamespaceOfItsHash(t *testing.T) {
	key := newKey(t).PublicKey()
	sum := sha256.Sum256(key.Marshal())
	want := "key-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:])[:16])
	if got := KeyNamespace(key); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if err := broker.CheckUser(want); err != nil {
		t.Error(err)
	}
}

// A thief offers a public key and signs with a private key of its own.
type thief struct {
	gossh.Signer
	stolen gossh.PublicKey
}

func (t thief) PublicKey() gossh.PublicKey { return t.stolen }

func TestASignatureOfAnotherKeyOpensNothing(t *testing.T) {
	d := open(t, nil)
	if _, err := d.tryDial(thief{newKey(t), newKey(t).PublicKey()}); err == nil {
		t.Error("let in")
	}
}

// The server accepts the victim's key when it is offered; then the client proves
// another one, on the same connection.
func TestAKeyThatIsOnlyOfferedIsNobody(t *testing.T) {
	d := open(t, nil)
	mine, victim := d.openSSH(), newKey(t)
	offered := filepath.Join(t.TempDir(), "victim.pub")
	if err := os.WriteFile(offered, gossh.MarshalAuthorizedKey(victim.PublicKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	mine.args = append([]string{"-i", offered}, mine.args...)
	code, out, stderr := mine.do("", "-v", "--", "help")
	if !strings.Contains(stderr, "Server accepts key: "+offered) {
		t.Fatalf("the client did not offer the other key first:\n%s", stderr)
	}
	if code != 0 || !strings.Contains(out, KeyNamespace(mine.key.PublicKey())) || strings.Contains(out, KeyNamespace(victim.PublicKey())) {
		t.Errorf("%d, help says\n%s", code, out)
	}
}

func TestACertificateIsNotAnIdentity(t *testing.T) {
	d := open(t, nil)
	key, authority := newKey(t), newKey(t)
	cert := &gossh.Certificate{Key: key.PublicKey(), CertType: gossh.UserCert, ValidBefore: gossh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, authority); err != nil {
		t.Fatal(err)
	}
	signer, err := gossh.NewCertSigner(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.tryDial(signer); err == nil {
		t.Error("a certificate of an authority nobody knows was accepted")
	}
}

func TestPasswordsAndNothingAreRefused(t *testing.T) {
	d := open(t, nil)
	for _, auth := range [][]gossh.AuthMethod{nil, {gossh.Password("")}} {
		_, err := gossh.Dial("tcp", d.addr, &gossh.ClientConfig{
			User: "root", Auth: auth, HostKeyCallback: gossh.InsecureIgnoreHostKey(),
		})
		if err == nil {
			t.Errorf("%v was let in", auth)
		}
	}
}

func TestTheHostKeyIsMadeOnceAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	first, err := hostKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := hostKey(dir)
	if err != nil || string(first) != string(again) {
		t.Fatalf("another key, %v", err)
	}
	info, err := os.Stat(hostKeyPath(dir))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left in the folder: %v", left)
	}
}

func TestABrokenHostKeyIsOneLineThatNamesTheFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(hostKeyPath(dir), []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{Broker: broker.New(broker.Options{}), DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), hostKeyPath(dir)) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(hostKeyPath(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(hostKeyPath(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Broker: broker.New(broker.Options{}), DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), hostKeyPath(dir)) {
		t.Errorf("got %v", err)
	}
}

func TestWhatIsPrivateStaysPrivate(t *testing.T) {
	d := open(t, nil)
	alice, bob := newKey(t), newKey(t)
	ac, bc := d.dial(alice), d.dial(bob)
	theirs := KeyNamespace(alice.PublicKey()) + "/secret"
	sub := start(t, ac, "sub secret")
	d.subscribers(name(t, alice, "secret"), 1)

	for _, cmd := range []string{
		"sub " + theirs, "pub -e " + theirs, "pipe " + theirs,
		"sub '" + KeyNamespace(alice.PublicKey()) + "/*'",
		"pub -e key-something/x",
	} {
		code, out, stderr := do(t, bc, cmd, "")
		if code != 1 || !strings.Contains(stderr, "access denied") || strings.Count(stderr, "\n") != 1 || out != "" {
			t.Errorf("%s: %d %q %q", cmd, code, out, stderr)
		}
	}
	// The same topic of bob's own, and a wildcard over all of bob's.
	wild := start(t, bc, "sub -k '*'")
	eventually(t, "the wildcard is there", func() bool { return d.b.Stats().Subscribers == 2 })
	if code, _, stderr := do(t, ac, "pub "+theirs, "for alice"); code != 0 {
		t.Fatal(code, stderr)
	}
	if code := sub.wait(); code != 0 || sub.out.String() != "for alice" {
		t.Errorf("alice got %d %q", code, sub.out.String())
	}
	if code, _, stderr := do(t, bc, "pub secret", "for bob"); code != 0 {
		t.Fatal(code, stderr)
	}
	if wild.out.String() != "for bob" {
		t.Errorf("bob's wildcard got %q", wild.out.String())
	}
}

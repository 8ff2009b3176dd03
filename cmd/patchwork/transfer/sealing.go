package transfer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
	"golang.org/x/term"

	"patchwork/cmd/patchwork/client"
)

// A seal encrypts what one side of a transfer sends. Each message is an age file
// of its own, so that 'age -d' can read what curl has fetched.
type seal struct{ recipients []age.Recipient }

// sealed encrypts what from has. The key of the file comes back as well: it is
// what both sides, and nobody else, have in common.
func (s *seal) sealed(from io.Reader) (io.Reader, []byte, error) {
	var key keyKeeper
	kept := make([]age.Recipient, len(s.recipients))
	for i, r := range s.recipients {
		kept[i] = keepingRecipient{r, &key}
	}
	out, err := age.EncryptReader(from, kept...)
	if err != nil {
		return nil, nil, err
	}
	return out, key.get(), nil
}

// keyKeeper remembers the file key that the library gives to a recipient.
type keyKeeper struct {
	mu  sync.Mutex
	key []byte
}

func (k *keyKeeper) get() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.key
}

func (k *keyKeeper) keep(key []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = bytes.Clone(key)
}

type keepingRecipient struct {
	age.Recipient
	key *keyKeeper
}

func (r keepingRecipient) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	r.key.keep(fileKey)
	return r.Recipient.Wrap(fileKey)
}

// WrapWithLabels passes on what keeps passphrases and keys from being mixed.
func (r keepingRecipient) WrapWithLabels(fileKey []byte) ([]*age.Stanza, []string, error) {
	r.key.keep(fileKey)
	if l, ok := r.Recipient.(age.RecipientWithLabels); ok {
		return l.WrapWithLabels(fileKey)
	}
	s, err := r.Recipient.Wrap(fileKey)
	return s, nil, err
}

type keepingIdentity struct {
	age.Identity
	key *keyKeeper
}

func (i keepingIdentity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	key, err := i.Identity.Unwrap(stanzas)
	if err == nil {
		i.key.keep(key)
	}
	return key, err
}

const passphraseVariable = "PATCHWORK_PASSPHRASE"

// passphrase is that of the environment, or what the user types.
func passphrase(ctx context.Context, prompt string) (string, error) {
	if p := os.Getenv(passphraseVariable); p != "" {
		return p, nil
	}
	return typed(ctx, prompt)
}

// typed asks on the terminal, which shows nothing of what is typed. The terminal
// is as it was when ctx ends.
func typed(ctx context.Context, prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("there is no terminal to ask for a passphrase; set %s", passphraseVariable)
	}
	defer tty.Close()
	before, err := term.GetState(int(tty.Fd()))
	if err != nil {
		return "", err
	}
	type answer struct {
		text []byte
		err  error
	}
	answers := make(chan answer, 1)
	fmt.Fprint(tty, prompt)
	go func() {
		text, err := term.ReadPassword(int(tty.Fd()))
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		fmt.Fprintln(tty)
		if a.err == nil && len(a.text) == 0 {
			return "", errors.New("the passphrase is empty; nothing was done")
		}
		return string(a.text), a.err
	case <-ctx.Done():
		term.Restore(int(tty.Fd()), before) //nolint:errcheck // the process ends, with the terminal or without
		fmt.Fprintln(tty)
		return "", ctx.Err()
	}
}

// newSeal is what --encrypt and --to ask for, nil if they are not there.
func newSeal(ctx context.Context, c *client.Client, encrypt bool, to []string) (*seal, error) {
	if len(to) > 0 {
		all, err := recipients(ctx, c, to)
		return &seal{all}, err
	}
	if !encrypt {
		return nil, nil
	}
	text, err := passphrase(ctx, "Passphrase for the receiver: ")
	if err != nil {
		return nil, err
	}
	if os.Getenv(passphraseVariable) == "" {
		again, err := typed(ctx, "The same again: ")
		if err != nil {
			return nil, err
		}
		if again != text {
			return nil, errors.New("the two passphrases differ; nothing was sent")
		}
	}
	r, err := age.NewScryptRecipient(text)
	if err != nil {
		return nil, err
	}
	return &seal{[]age.Recipient{r}}, nil
}

// An opening decrypts what the other side sends. The user is asked for a
// passphrase once, and only when it is needed.
type opening struct {
	c     *client.Client
	files []string // of SSH keys, from -i
	all   []age.Identity
}

// expects tells whether the user has said that what comes is encrypted, or something
// came that was.
func (o *opening) expects() bool {
	return o.all != nil || len(o.files) > 0 || os.Getenv(passphraseVariable) != ""
}

// maxWork bounds what a passphrase costs to try, as the logarithm of its rounds: 18
// is what is usual, and takes 256 MiB. The sender chooses it.
const maxWork = 18

// opened returns what is inside of an age file, and its key. Every byte that it
// yields is authenticated.
func (o *opening) opened(ctx context.Context, from io.Reader) (io.Reader, []byte, error) {
	in := bufio.NewReaderSize(from, 64<<10)
	if o.all == nil {
		// The first line after the version names the first recipient's sort.
		const version = "age-encryption.org/v1\n-> "
		begin, err := in.Peek(len(version) + len("scrypt "))
		if err != nil {
			return nil, nil, client.Broken(err)
		}
		if o.all, err = o.identities(ctx, bytes.HasPrefix(begin[len(version):], []byte("scrypt "))); err != nil {
			return nil, nil, err
		}
	}
	var key keyKeeper
	kept := make([]age.Identity, len(o.all))
	for i, id := range o.all {
		kept[i] = keepingIdentity{id, &key}
	}
	out, err := age.Decrypt(in, kept...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		switch o.all[0].(type) {
		case *age.ScryptIdentity:
			return nil, nil, errWrongPassphrase
		case *age.X25519Identity:
			return nil, nil, errors.New("the file is encrypted to another key than the one at hand; ask its sender for the right link or key")
		}
		return nil, nil, errors.New("the file is encrypted to another key; name the right SSH key with -i FILE, or use the link it was shared with")
	case err != nil && ctx.Err() != nil:
		return nil, nil, ctx.Err()
	case err != nil:
		return nil, nil, client.Broken(err)
	}
	return out, key.get(), nil
}

var errWrongPassphrase = errors.New("the passphrase is wrong; the sender still offers the file, so try again")

// identities are the secrets that may open a file: passphrase or SSH keys.
func (o *opening) identities(ctx context.Context, byPassphrase bool) ([]age.Identity, error) {
	if byPassphrase {
		text, err := passphrase(ctx, "Passphrase of the file: ")
		if err != nil {
			return nil, err
		}
		i, err := age.NewScryptIdentity(text)
		if err != nil {
			return nil, err
		}
		i.SetMaxWorkFactor(maxWork)
		return []age.Identity{i}, nil
	}
	files := o.files
	if len(files) == 0 {
		if home, err := os.UserHomeDir(); err == nil {
			files = []string{filepath.Join(home, ".ssh", "id_ed25519"), filepath.Join(home, ".ssh", "id_rsa")}
		}
	}
	var all []age.Identity
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			if len(o.files) > 0 {
				return nil, client.FileError(err)
			}
			continue
		}
		if bytes.Contains(text, []byte("AGE-SECRET-KEY-1")) {
			more, err := age.ParseIdentities(bytes.NewReader(text))
			if err != nil {
				return nil, fmt.Errorf("%s cannot be used: what is in it is no age identity", file) // the library's words repeat the line
			}
			all = append(all, more...)
			continue
		}
		i, err := o.sshIdentity(ctx, file, text)
		if err != nil {
			return nil, fmt.Errorf("%s cannot be used: %w", file, err)
		}
		all = append(all, i)
	}
	if len(all) == 0 {
		return nil, errors.New("the file is encrypted to a key; name your SSH key with -i FILE, or use the link it was shared with")
	}
	return all, nil
}

func (o *opening) sshIdentity(ctx context.Context, file string, text []byte) (age.Identity, error) {
	i, err := agessh.ParseIdentity(text)
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return i, err
	}
	public := locked.PublicKey
	if public == nil {
		line, err := os.ReadFile(file + ".pub")
		if err != nil {
			return nil, err
		}
		if public, _, _, _, err = ssh.ParseAuthorizedKey(line); err != nil {
			return nil, err
		}
	}
	return agessh.NewEncryptedSSHIdentity(public, text, func() ([]byte, error) {
		p, err := typed(ctx, "Passphrase of "+file+": ")
		return []byte(p), err
	})
}

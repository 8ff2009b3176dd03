package transfer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// recipients reads what --to says: public keys, files with one a line, and @USER,
// whose keys the relay is asked for.
func recipients(ctx context.Context, c *client.Client, told []string) ([]age.Recipient, error) {
	var all []age.Recipient
	for _, to := range told {
		var more []age.Recipient
		r, err := recipient(to)
		user, named := strings.CutPrefix(to, "@")
		switch {
		case err == nil:
			more = []age.Recipient{r}
		case named:
			more, err = userRecipients(ctx, c, user)
		default:
			more, err = fileRecipients(c, to)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// fileRecipients reads a file with one public key a line.
func fileRecipients(c *client.Client, file string) ([]age.Recipient, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, cmdline.Usagef("--to %.60q is no SSH public key, and no file of them: %v", file, errors.Unwrap(err))
	}
	defer f.Close()
	var all []age.Recipient
	passed := 0
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		if strings.Contains(line, "PRIVATE KEY") {
			return nil, cmdline.Usagef("--to %s is a private key; name the public one, %s.pub", file, file)
		}
		r, err := recipient(line)
		if _, _, _, _, other := ssh.ParseAuthorizedKey([]byte(line)); err != nil && other == nil {
			passed++ // a good key, but of a sort that nothing can be encrypted to
			continue
		}
		if err != nil && len(all)+passed == 0 {
			return nil, cmdline.Usagef("--to %s is no file of SSH public keys: line %d is none", file, n)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w; take that line out", file, n, err)
		}
		all = append(all, r)
	}
	if passed > 0 {
		c.Say("%s: passed over keys that nothing can be encrypted to: %d", file, passed)
	}
	if err := lines.Err(); err != nil || len(all) == 0 {
		return nil, fmt.Errorf("%s has no SSH public key that can be used", file)
	}
	return all, nil
}

// userRecipients asks the relay for the keys of a user's account. What it says is
// shown, for whoever uses them trusts it that far. Keys of sorts that nothing can be
// encrypted to, such as those of security tokens, are passed over.
func userRecipients(ctx context.Context, c *client.Client, user string) ([]age.Recipient, error) {
	if user == "" || strings.Contains(user, "/") {
		return nil, cmdline.Usagef("--to @%s is no name of a user", user)
	}
	resp, err := c.Do(ctx, client.Call{Method: http.MethodGet, Path: "/u/" + client.Escaped(user) + "/_/keys"})
	if err != nil {
		return nil, fmt.Errorf("--to @%s: %w; the user can allow it with GET: [\"/_/keys\"]", user, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, client.Broken(err)
	}
	var all []age.Recipient
	for line := range strings.Lines(string(text)) {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil {
			continue
		}
		r, err := recipient(line)
		if err != nil {
			continue
		}
		all = append(all, r)
		c.Say("encrypting to %s's key %s, as the relay says", user, ssh.FingerprintSHA256(key))
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("the relay knows no SSH key of %s that can be encrypted to (ed25519 or RSA); ask for one and use --to KEY", user)
	}
	return all, nil
}

// recipient reads one public key: of SSH (ed25519 or RSA), or of age.
func recipient(line string) (age.Recipient, error) {
	if strings.HasPrefix(line, "age1") {
		return age.ParseX25519Recipient(line)
	}
	if _, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line)); err != nil {
		return nil, errors.New("this is no SSH public key")
	}
	return agessh.ParseRecipient(line)
}

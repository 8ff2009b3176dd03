package transfer

import (
	"errors"
	"net/url"
	"path"
	"strings"

	"filippo.io/age"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// A dropLink is all that is needed to receive a file, as one address. Browsers
// open it too: it is the relay's page for files, and what follows # they send to
// nobody. Its form is BASE/drop#channel=PATH&key=AGE-SECRET-KEY-1…&name=FILE,
// where PATH is the channel's path on the relay, such as p/doc.pdf; without a key
// the file is not encrypted, and the name is a proposal.
type dropLink struct {
	base    *url.URL
	channel string // decoded, without a leading slash
	key     *age.X25519Identity
	name    string
}

func (l dropLink) String() string {
	said := url.Values{"channel": {l.channel}}
	if l.key != nil {
		said.Set("key", l.key.String())
	}
	if l.name != "" {
		said.Set("name", l.name)
	}
	// Slashes need no escape there, and so it can be read.
	return strings.TrimRight(l.base.String(), "/") + "/drop#" + strings.ReplaceAll(said.Encode(), "%2F", "/")
}

// parseDropLink reads a link. Its errors do not repeat it: it may hold a key.
func parseDropLink(text string) (dropLink, error) {
	var l dropLink
	before, fragment, _ := strings.Cut(text, "#")
	base, ok := strings.CutSuffix(before, "/drop")
	u, err := url.Parse(base)
	said, perr := url.ParseQuery(fragment)
	if !ok || err != nil || perr != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || said.Get("channel") == "" {
		return l, errors.New("this is no link of 'patchwork share --link': they look like https://HOST/drop#channel=…&key=…; perhaps the shell cut it, so quote it")
	}
	u.User, u.RawQuery = nil, ""
	l.base, l.channel, l.name = u, strings.TrimPrefix(said.Get("channel"), "/"), said.Get("name")
	if key := said.Get("key"); key != "" {
		if l.key, err = age.ParseX25519Identity(key); err != nil {
			return l, errors.New("the key in the link is damaged; copy the whole link again")
		}
	}
	return l, nil
}

// fileName is what the file is called when nobody says otherwise. Whoever made the
// link chose it, so it is no path, nothing hidden, and nothing that a terminal takes
// for orders.
func (l dropLink) fileName() (string, error) {
	name := path.Base("/" + strings.ReplaceAll(cmdline.FirstOf(l.name, strings.TrimSuffix(l.channel, "/")), `\`, "/"))
	if strings.HasPrefix(name, ".") || cmdline.Printable(name) != name {
		return "", cmdline.Usagef("download: the link's name for the file, %q, is not taken; say OUTPUT", name)
	}
	return name, nil
}

// newLinkedSeal makes a key for one file, and the link that has it.
func newLinkedSeal(c *client.Client, channel, name string) (*seal, string, error) {
	key, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, "", err
	}
	return &seal{[]age.Recipient{key.Recipient()}}, dropLink{c.Base, c.Space + "/" + channel, key, name}.String(), nil
}

package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"strings"
	"time"

	"patchwork/notify"
)

// A digest is the SHA-256 of a token. It is as good as a password for weak
// tokens, so it stays inside.
type digest [sha256.Size]byte

// publicToken is the token of requests that bring none.
const publicToken = "public"

func digestOf(token string) digest { return sha256.Sum256([]byte(token)) }

// holder is a token or key and its rights.
type holder struct {
	rights *Rights
	digest digest // again, to be compared in constant time
	name   string // how it is written when the document is shown
	note   string // a key's comment
}

// A Document is one user's config.yaml, understood. It is read-only.
type Document struct {
	tokens  map[digest]*holder
	keys    map[Fingerprint]*holder
	webhook []byte // secret of the forge's push webhook, or empty
	ntfy    notify.Config
}

// Decode reads a config.yaml, in the newer form or in the older one that has its
// tokens at the top level. An empty file is a document that allows nothing. It
// returns a [*DecodeError] for the first mistake; a test of the file's own that
// fails is one.
func Decode(data []byte) (*Document, error) {
	root, err := parse(data)
	if err != nil {
		return nil, err
	}
	d := &Document{tokens: map[digest]*holder{}, keys: map[Fingerprint]*holder{}}
	if root == nil {
		return d, nil
	}
	top, err := mapping(root, "the file")
	if err != nil {
		return nil, err
	}
	newer := false
	for _, p := range top {
		newer = newer || p.name == "tokens"
	}
	var tests *pair
	for _, p := range top {
		switch {
		case p.name == "tokens":
			err = d.readTokens(p)
		case p.name == "ssh_keys":
			err = d.readKeys(p)
		case p.name == "webhook_secret":
			err = d.readWebhookSecret(p)
		case p.name == "ntfy":
			d.ntfy, err = readNotifications(p.value)
		case p.name == "tests":
			tests = &p
		case newer:
			err = wrong(p.key, "unknown key: the file may have tokens, ssh_keys, webhook_secret, ntfy and tests; tokens go below tokens:")
		default:
			err = d.readToken(p)
		}
		if err != nil {
			return nil, err
		}
	}
	if tests != nil {
		if err := d.runTests(tests.value); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Document) readTokens(p pair) error {
	if isNull(p.value) {
		return nil
	}
	tokens, err := mapping(p.value, "tokens")
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if err := d.readToken(t); err != nil {
			return err
		}
	}
	return nil
}

const hashed = "sha256:"

// parseToken finds the digest of a token as it is written in the file.
func parseToken(p pair) (digest, error) {
	if len(p.name) < len(hashed) || !strings.EqualFold(p.name[:len(hashed)], hashed) {
		return digestOf(p.name), nil
	}
	raw, err := hex.DecodeString(p.name[len(hashed):])
	if err != nil || len(raw) != sha256.Size {
		return digest{}, wrong(p.key, "a hashed token is sha256: and 64 hexadecimal digits")
	}
	return digest(raw), nil
}

func (d *Document) readToken(p pair) error {
	sum, err := parseToken(p)
	if err != nil {
		return err
	}
	if other := d.tokens[sum]; other != nil {
		return wrong(p.key, "this token is there twice, first on line %d", other.rights.line)
	}
	rights, err := readRights(p, "a token")
	if err != nil {
		return err
	}
	name := hashed + hex.EncodeToString(sum[:])
	if sum == digestOf(publicToken) {
		name = publicToken
		if rights.admin {
			return wrong(p.key, "public is everybody and cannot be is_admin")
		}
	}
	d.tokens[sum] = &holder{rights: rights, digest: sum, name: name}
	return nil
}

func (d *Document) readKeys(p pair) error {
	if isNull(p.value) {
		return nil
	}
	keys, err := mapping(p.value, "ssh_keys")
	if err != nil {
		return err
	}
	for _, k := range keys {
		f, err := ParseKey(k.name)
		if err != nil {
			return wrong(k.key, "%v", err)
		}
		if other := d.keys[f]; other != nil {
			return wrong(k.key, "this key is there twice, first on line %d", other.rights.line)
		}
		rights, err := readRights(k, "a key")
		if err != nil {
			return err
		}
		h := &holder{rights: rights, name: f.String()}
		if _, comment, err := parseKeyLine(k.name); err == nil {
			h.note = comment
		}
		d.keys[f] = h
	}
	return nil
}

func (d *Document) readWebhookSecret(p pair) error {
	if isNull(p.value) {
		return nil
	}
	secret, err := text(p)
	d.webhook = []byte(secret)
	return err
}

// Token finds the rights of a token; "" is no token, which is the one named
// public. The errors are [ErrTokenNotFound] and [ErrTokenExpired].
func (d *Document) Token(token string, now time.Time) (*Rights, error) {
	if token == "" {
		token = publicToken
	}
	return d.token(digestOf(token), now)
}

// token looks a digest up. What a map's timing tells about a digest tells nothing
// about a token; the comparison that lets somebody in is in constant time.
func (d *Document) token(sum digest, now time.Time) (*Rights, error) {
	h := d.tokens[sum]
	switch {
	case h == nil || subtle.ConstantTimeCompare(h.digest[:], sum[:]) != 1:
		return nil, ErrTokenNotFound
	case h.rights.expired(now):
		return nil, ErrTokenExpired
	}
	return h.rights, nil
}

// Key finds the rights that ssh_keys gives to a key; nil when it gives none, or
// gives none any more.
func (d *Document) Key(f Fingerprint, now time.Time) *Rights {
	h := d.keys[f]
	if h == nil || h.rights.expired(now) {
		return nil
	}
	return h.rights
}

// Notifications are the user's services.
func (d *Document) Notifications() notify.Config { return d.ntfy }

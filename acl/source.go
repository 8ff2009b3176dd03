package acl

import (
	"context"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A Source is where users' files are. Its methods are called for valid user names
// only, several at a time, and must end with their context. What they return is
// not changed afterwards.
//
// An error that wraps [ErrNoUser] is an answer: there is nothing. Every other
// error says that the source could not be read, and never holds a secret of it.
type Source interface {
	// File reads a user's config.yaml. version is what an earlier File said of
	// it, "" the first time.
	File(ctx context.Context, user, version string) (File, error)
	// Keys reads the keys of a user's own account.
	Keys(ctx context.Context, user string) (AccountKeys, error)
	// Users lists those whose files there may be.
	Users(ctx context.Context) ([]string, error)
}

// A File is a config.yaml as it was read: at most one byte more than
// [MaxDocument], so that a longer one is seen to be too long.
type File struct {
	Unchanged bool   // it is what version named; Data is empty
	Version   string // "" when the source gives none
	Data      []byte
}

// AccountKeys are the keys with which a user comes as themselves.
type AccountKeys struct {
	Keys    []Fingerprint
	Lines   []string // of each of Keys: "TYPE BASE64", without its comment
	Skipped []int    // lines or entries that were not understood, from 1
}

// add takes a key, if it is not there already.
func (k *AccountKeys) add(key ssh.PublicKey) (added bool) {
	f := FingerprintOf(key)
	if slices.Contains(k.Keys, f) {
		return false
	}
	k.Keys = append(k.Keys, f)
	k.Lines = append(k.Lines, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))))
	return true
}

// nowhere is the source of a relay that has none.
type nowhere struct{}

func (nowhere) File(context.Context, string, string) (File, error) { return File{}, ErrNoUser }

func (nowhere) Keys(context.Context, string) (AccountKeys, error) { return AccountKeys{}, ErrNoUser }

func (nowhere) Users(context.Context) ([]string, error) { return nil, nil }

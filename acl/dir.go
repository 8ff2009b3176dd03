package acl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Dir is a folder of users: USER/config.yaml and USER/authorized_keys. Both are
// optional; a user is a folder with a user's name. Links that lead out of the
// folder are not followed.
type Dir struct{ path string }

// NewDir checks that there is such a folder.
func NewDir(path string) (*Dir, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("the folder of users' rules: %w", err)
	}
	return &Dir{path}, root.Close()
}

// File implements [Source].
func (d *Dir) File(_ context.Context, user, _ string) (File, error) {
	data, err := d.read(user, "config.yaml")
	return File{Data: data}, err
}

// Keys implements [Source].
func (d *Dir) Keys(_ context.Context, user string) (AccountKeys, error) {
	data, err := d.read(user, "authorized_keys")
	if err != nil {
		return AccountKeys{}, err
	}
	if len(data) > MaxDocument {
		return AccountKeys{}, errors.New("authorized_keys is larger than 1 MiB")
	}
	return parseAuthorizedKeys(data), nil
}

// Users implements [Source].
func (d *Dir) Users(context.Context) ([]string, error) {
	// Opened anew each time: the folder may have been replaced by a newer one.
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var users []string
	for _, e := range entries {
		if CheckUser(e.Name()) == nil && !e.Type().IsRegular() {
			users = append(users, e.Name())
		}
	}
	return users, nil
}

// read reads a file of a user's; nothing when the user has none.
func (d *Dir) read(user, name string) ([]byte, error) {
	if err := CheckUser(user); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoUser, err)
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	if info, err := root.Stat(user); errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, ErrNoUser
	} else if err != nil {
		return nil, err
	}
	path := user + "/" + name
	info, err := root.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		// Opening a pipe would wait for its writer.
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := root.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxDocument+1))
}

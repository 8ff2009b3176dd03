package transfer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"patchwork/cmd/patchwork/client"
)

// unpacked is a directory that came, laid beside its place.
type unpacked struct {
	hull   string                 // a directory of our own, which holds it as inner
	inner  string                 // the directory
	sum    []byte                 // of the bytes that it is made of
	finish func(dir string) error // sets the modes in it, at its place
}

// prepare unpacks a directory when all of it has come in this run, so that the sender
// is not told that all is well before it is. Of what was there before it is not known
// yet whether it is of this file.
func (d *downloading) prepare(ctx context.Context) error {
	if n, _ := d.sum.sum(); d.kind != kindTar || d.part == nil || n < d.size || d.found {
		return nil
	}
	return d.lay(ctx)
}

// lay unpacks what came beside its place, unless it lies there.
func (d *downloading) lay(ctx context.Context) error {
	_, sum := d.sum.sum()
	if d.dir != nil && bytes.Equal(d.dir.sum, sum) {
		return nil
	}
	d.discard()
	if _, err := os.Lstat(d.output); err == nil {
		return fmt.Errorf("%s exists, and a directory came; move it away and unpack the tar file %s", d.output, d.part.Name())
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return err
	}
	hull, err := os.MkdirTemp(filepath.Dir(d.output), "."+filepath.Base(d.output)+".part-")
	if err != nil {
		return client.FileError(err)
	}
	d.dir = &unpacked{hull: hull, inner: filepath.Join(hull, "dir"), sum: sum}
	if d.dir.finish, err = unpack(&stoppable{d.part, ctx}, d.dir.inner, d.size); err != nil {
		d.discard()
		return client.FileError(err)
	}
	return nil
}

// discard takes away what was unpacked and has no place yet.
func (d *downloading) discard() {
	if d.dir != nil {
		os.RemoveAll(d.dir.hull) //nolint:errcheck // empty by then, or what is there is no use
		d.dir = nil
	}
}

// unpack makes a directory of what came, which appears whole or not at all.
func (d *downloading) unpack(ctx context.Context) error {
	if err := d.lay(ctx); err != nil {
		return err
	}
	if err := os.Rename(d.dir.inner, d.output); err != nil {
		return err
	}
	if err := d.dir.finish(d.output); err != nil {
		return err
	}
	return os.Remove(d.part.Name())
}

// unpack lays the directory of a tar file, which has size bytes, at the new directory
// dir, without the archive's own name for it. Nothing is written outside of dir, and
// no more than came. The modes of directories are set by finish, when dir has its
// last name: one may not let its owner write, or move it.
func unpack(from io.Reader, dir string, size int64) (finish func(dir string) error, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	in := tar.NewReader(from)
	modes := map[string]fs.FileMode{}
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("what came is no tar stream: %w", err)
		}
		if size -= h.Size; size < 0 || sparse(h) { // a few bytes can stand for many
			return nil, fmt.Errorf("%q in the tar stream is longer than what came", h.Name)
		}
		_, name, _ := strings.Cut(path.Clean(h.Name), "/")
		switch h.Typeflag {
		case tar.TypeDir:
			if name == "" {
				modes["."] = h.FileInfo().Mode().Perm()
				continue
			}
			if err := root.MkdirAll(name, 0o700); err != nil {
				return nil, err
			}
			modes[name] = h.FileInfo().Mode().Perm()
		case tar.TypeReg:
			if err := unpackFile(root, name, h, in); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%q in the tar stream is neither file nor directory", h.Name)
		}
	}
	return func(dir string) error { return setModes(dir, modes) }, nil
}

func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// setModes gives directories their modes, those within others first.
func setModes(dir string, modes map[string]fs.FileMode) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(modes))) {
		if name == "." {
			continue
		}
		if err := root.Chmod(name, modes[name]); err != nil {
			return err
		}
	}
	if mode, ok := modes["."]; ok {
		return root.Chmod(".", mode)
	}
	return nil
}

func unpackFile(root *os.Root, name string, h *tar.Header, from io.Reader) error {
	if name == "" {
		return errors.New("what came is no directory")
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, h.FileInfo().Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = root.Chtimes(name, h.ModTime, h.ModTime)
	}
	return errors.Join(err, f.Close())
}

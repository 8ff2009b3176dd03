package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

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

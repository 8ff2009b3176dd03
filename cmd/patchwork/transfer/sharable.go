package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"patchwork/cmd/patchwork/client"
)

// A sharable is what can be shared: a file, or a directory as a tar stream. It
// can be read from its start as often as it takes, and yields the same bytes
// each time unless somebody changes it.
type sharable struct {
	name string // without directories
	kind string // file or tar
	size int64
	open func() (io.ReadCloser, error)
}

// fileName is what the bytes are called when they are a file elsewhere.
func (s *sharable) fileName() string {
	if s.kind == kindTar {
		return s.name + ".tar"
	}
	return s.name
}

const (
	kindFile = "file"
	kindTar  = "tar"
)

// newSharable looks at what is to be shared. leftOut are the names of what a directory
// has besides files and directories.
func newSharable(file string) (s sharable, leftOut []string, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return s, nil, client.FileError(err)
	}
	whole, err := filepath.Abs(file)
	if err != nil {
		return s, nil, err
	}
	s.name = filepath.Base(whole)
	if info.IsDir() {
		return tarred(file, s.name)
	}
	if !info.Mode().IsRegular() {
		return s, nil, fmt.Errorf("%s is neither a file nor a directory; 'patchwork send -f' streams it", file)
	}
	s.kind, s.size = kindFile, info.Size()
	s.open = func() (io.ReadCloser, error) {
		f, err := os.Open(file)
		if err != nil {
			return nil, client.FileError(err)
		}
		return struct {
			io.Reader
			io.Closer
		}{client.Exactly(f, s.size, file), f}, nil
	}
	first, err := s.open() // that it cannot be read is to be said now
	if err != nil {
		return s, nil, err
	}
	return s, nil, first.Close()
}

// An entry is what a tar stream says of a file: fixed when sharing begins, so
// that the stream is the same each time.
type entry struct {
	file   string
	header tar.Header
}

// tarred shares a directory. Links and special files are left out: what arrives
// can only be files inside of the one directory.
func tarred(dir, name string) (sharable, []string, error) {
	var entries []entry
	var leftOut []string
	size := counted(0)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			leftOut = append(leftOut, inside)
			return nil
		}
		if !info.IsDir() { // that it cannot be read is to be said now
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			f.Close()
		}
		h, err := tar.FileInfoHeader(info, "")
		if err != nil {
			return err
		}
		h.Name = path.Join(name, filepath.ToSlash(inside))
		h.Uname, h.Gname, h.Uid, h.Gid = "", "", 0, 0 // nobody's business, and not the same there
		if info.IsDir() {
			h.Name += "/"
		}
		entries = append(entries, entry{file, *h})
		if err := tar.NewWriter(&size).WriteHeader(h); err != nil {
			return err
		}
		size += counted((h.Size + 511) / 512 * 512)
		return nil
	})
	if err != nil {
		return sharable{}, nil, client.FileError(err)
	}
	size += 1024 // the end of an archive
	return sharable{name: name, kind: kindTar, size: int64(size), open: func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(writeTar(w, entries)) }() // ends when r is closed
		return r, nil
	}}, leftOut, nil
}

// counted counts what is written to it.
type counted int64

func (c *counted) Write(p []byte) (int, error) {
	*c += counted(len(p))
	return len(p), nil
}

func writeTar(w io.Writer, entries []entry) error {
	out := tar.NewWriter(w)
	for _, e := range entries {
		h := e.header
		if err := out.WriteHeader(&h); err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		f, err := os.Open(e.file)
		if err != nil { // receivers hear it, and where it lies is nobody's business
			return client.FileError(&fs.PathError{Op: "open", Path: h.Name, Err: errors.Unwrap(err)})
		}
		_, err = io.Copy(out, client.Exactly(f, h.Size, h.Name))
		f.Close()
		if err != nil {
			return err
		}
	}
	return out.Close()
}

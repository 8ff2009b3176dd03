package client

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
)

// A SourceError is trouble with what is being sent, of which the relay is
// innocent.
type SourceError struct{ Err error }

func (e *SourceError) Error() string { return e.Err.Error() }
func (e *SourceError) Unwrap() error { return e.Err }

// Source reads what is to be sent. Its errors, but io.EOF, are a *SourceError, and so
// told from those of the connection.
func Source(r io.Reader) io.Reader { return source{r} }

type source struct{ io.Reader }

func (s source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = &SourceError{err}
	}
	return n, err
}

// exact is what Exactly returns.
type exact struct {
	r    io.Reader
	left int64
	name string
}

// Exactly reads the size bytes that the file of this name had when it was looked at.
// That it has become shorter is an error; what was added to it is left out.
func Exactly(r io.Reader, size int64, name string) io.Reader {
	return &exact{r: r, left: size, name: name}
}

func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = fmt.Errorf("%s became shorter while it was sent; send it again when nobody writes to it", e.name)
	}
	if e.left == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// FileError says in one line what a user can do about a file.
func FileError(err error) error {
	var path *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &path) && strings.HasSuffix(path.Path, ".part"):
		return fmt.Errorf("there is no folder %s; make it first", filepath.Dir(path.Path))
	case errors.Is(err, fs.ErrNotExist) && errors.As(err, &path):
		return fmt.Errorf("there is no file %s; look at its name", path.Path)
	case errors.Is(err, fs.ErrPermission) && errors.As(err, &path):
		return fmt.Errorf("%s may not be used: permission denied; look at its owner and mode", path.Path)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return fmt.Errorf("no room for it: %w; make room and try again", err)
	}
	return err
}

package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// openPart opens the file that holds what has come so far, for one run of 'download'
// alone. What is there is gone on from, so it has to be a plain file, and no link.
func openPart(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|noFollow, 0o666)
	if err != nil {
		if info, lerr := os.Lstat(name); lerr == nil && !info.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is no plain file; move it away", name)
		}
		return nil, client.FileError(err)
	}
	info, err := f.Stat()
	switch {
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no plain file; move it away", name)
	case err == nil && !lock(f):
		err = fmt.Errorf("another 'patchwork download' is writing %s; wait for it, or say another OUTPUT", name)
	case err == nil && !isAt(f, name): // that other one has just given it its name
		err = fmt.Errorf("another 'patchwork download' has just finished %s; look at what it brought", strings.TrimSuffix(name, ".part"))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// isAt tells whether f is still what has this name.
func isAt(f *os.File, name string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(name)
	return err == nil && os.SameFile(mine, there)
}

// rename gives the unfinished file the name of the output.
func (d *downloading) rename() error {
	if !isAt(d.part, d.part.Name()) {
		return fmt.Errorf("%s was moved or replaced meanwhile; download it again", d.part.Name())
	}
	return os.Rename(d.part.Name(), d.output)
}

// free fails when there is something at the place of the output that may not be
// replaced.
func (d *downloading) free() error {
	info, err := os.Lstat(d.output)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return client.FileError(err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory; move it away or say another OUTPUT", d.output)
	case !d.force:
		return fmt.Errorf("%s exists; say --force to replace it, or another OUTPUT", d.output)
	}
	return nil
}

// leave closes the unfinished file, and takes it away when there is nothing in it.
func (d *downloading) leave() {
	d.discard()
	info, err := d.part.Stat()
	empty := err == nil && info.Size() == 0 && isAt(d.part, d.part.Name())
	d.part.Close()
	if empty {
		os.Remove(d.part.Name())
	}
}

// kept adds to an error where the bytes are that came.
func (d *downloading) kept(err error) error {
	n, _ := d.sum.sum()
	if d.part != nil && n > 0 && n == d.size {
		return fmt.Errorf("%w (all %s of it are in %s; when it is shared again, the same command is soon done)", err, cmdline.Sized(n), d.part.Name())
	}
	if d.part != nil && n > 0 {
		return fmt.Errorf("%w (%s of it are in %s)", err, cmdline.Sized(n), d.part.Name())
	}
	return err
}

// outputError is trouble at this end, of which the sender is innocent.
type outputError struct{ err error }

func (e *outputError) Error() string { return e.err.Error() }
func (e *outputError) Unwrap() error { return e.err }

// Write keeps what has come.
func (d *downloading) Write(p []byte) (int, error) {
	var to io.Writer = d.c.Stdout
	if d.part != nil {
		to = d.part
	}
	n, err := to.Write(p)
	d.sum.Write(p[:n])   //nolint:errcheck // a hash takes everything
	d.meter.Write(p[:n]) //nolint:errcheck // and so does a bar
	if err != nil {
		return n, &outputError{client.FileError(err)}
	}
	return n, nil
}

// resumable reads what an earlier run has left, and returns how much it is.
func (d *downloading) resumable(ctx context.Context) (int64, error) {
	if d.part == nil {
		return 0, nil
	}
	info, err := d.part.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() > d.size {
		return 0, d.empty()
	}
	if _, err := d.part.Seek(0, io.SeekStart); err != nil {
		return 0, &outputError{err}
	}
	n, err := io.Copy(d.sum, &stoppable{d.part, ctx})
	if err != nil {
		return 0, &outputError{err}
	}
	d.found = n > 0
	d.meter.at(n)
	return n, nil
}

// empty throws away what was there.
func (d *downloading) empty() error {
	d.sum.reset()
	d.found = false
	d.meter.at(0)
	if d.part == nil {
		return nil
	}
	if err := d.part.Truncate(0); err != nil {
		return &outputError{client.FileError(err)}
	}
	_, err := d.part.Seek(0, io.SeekStart)
	return err
}

// commit gives what came its name.
func (d *downloading) commit(ctx context.Context, agreed bool) error {
	n, sum := d.sum.sum()
	word := "as the sender says too"
	if !agreed {
		word = "not compared, for the sender gave no checksum"
	}
	if d.part == nil {
		d.c.Say("received %s, SHA-256 %x, %s", cmdline.Sized(n), sum, word)
		return nil
	}
	if err := d.free(); err != nil {
		return d.kept(err)
	}
	if err := d.part.Sync(); err != nil {
		return d.kept(client.FileError(err))
	}
	if d.kind == kindTar {
		if err := d.unpack(ctx); err != nil {
			return d.kept(client.FileError(err))
		}
	} else if err := d.rename(); err != nil {
		return d.kept(client.FileError(err))
	}
	d.c.Say("received %s: %s, SHA-256 %x, %s", d.output, cmdline.Sized(n), sum, word)
	return nil
}

// Package scratch keeps what cannot be read as it passes, or cannot be written
// front to back, in a temporary file. Where the system lets a file go without
// its name, nothing stays even of a process that is killed.
package scratch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/ovf/disk"
)

// File is an empty temporary file until it is written. Closing it removes it.
type File struct {
	*os.File
	what  string
	named bool // it still has a name
}

// Create makes one in folder; empty is the system's folder. what is for whom it
// is made, in the error.
func Create(folder, what string) (*File, error) {
	if folder == "" {
		folder = os.TempDir()
	}
	f, err := os.CreateTemp(folder, "cimimove-disk-*")
	if err != nil {
		return nil, fmt.Errorf("%s: a temporary file: %w", what, err)
	}
	return &File{f, what, os.Remove(f.Name()) != nil}, nil
}

// Fill copies r into the file, zeros left out as holes, and answers how many
// bytes it has then. An error of the file says in which folder it is; one of r
// is r's own.
func (f *File) Fill(ctx context.Context, r io.Reader) (int64, error) {
	n, err := Copy(ctx, f.File, r)
	var write *os.PathError
	if errors.As(err, &write) && write.Path == f.Name() {
		err = fmt.Errorf("%s: keeping the image, which cannot be read as a stream, in %s (TMPDIR names another folder): %w", f.what, filepath.Dir(f.Name()), write.Err)
	}
	return n, err
}

// Close gives the file up.
func (f *File) Close() error {
	err := f.File.Close()
	if f.named {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// Copy copies r into the empty file f, zeros left out as holes.
func Copy(ctx context.Context, f *os.File, r io.Reader) (n int64, err error) {
	buf := make([]byte, 1<<20)
	for err == nil {
		var k int
		k, err = io.ReadFull(UntilDone(ctx, r), buf)
		if werr := disk.WriteData(f, buf[:k], n); werr != nil {
			return n, werr
		}
		n += int64(k)
	}
	if !errors.Is(err, io.EOF) && err != io.ErrUnexpectedEOF {
		return n, err
	}
	return n, f.Truncate(n)
}

// UntilDone is r until ctx ends.
func UntilDone(ctx context.Context, r io.Reader) io.Reader { return untilDone{ctx, r} }

type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

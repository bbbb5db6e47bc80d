// Package raw is the disk format without a format: the bytes of the disk, one
// after the other. Holes of a sparse file are its zero extents, where the
// system can tell; a sink leaves holes where it is given zeros.
package raw

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Image is a raw disk. Its virtual size is the length of its bytes.
type Image struct {
	r    io.ReaderAt
	size int64
	file file // where holes can be asked for, else nil
}

// file is what an *os.File can tell of itself, whatever it is wrapped in.
type file interface {
	io.Seeker
	Stat() (fs.FileInfo, error)
}

var _ disk.Image = (*Image)(nil)

// Open takes an open regular file as a disk. The file's length now is the
// disk's size. Closing the image does not close the file.
func Open(f *os.File) (*Image, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, &disk.UnsupportedError{Name: f.Name(), Format: disk.Raw, Feature: "not a regular file"}
	}
	return &Image{r: f, size: st.Size(), file: f}, nil
}

// New takes the first size bytes of r as a disk, all of it one data extent.
// When r is a regular file of at least that size, its holes are known; its
// position is moved to ask for them.
func New(r io.ReaderAt, size int64) *Image {
	img := &Image{r: r, size: size}
	if f, ok := r.(file); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && st.Size() >= size {
			img.file = f
		}
	}
	return img
}

func (m *Image) Size() int64 { return m.size }

func (m *Image) Info() disk.Info {
	return disk.Info{Format: disk.Raw, Size: m.size, Allocated: -1}
}

func (m *Image) Close() error { return nil }

func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	p, atEnd := disk.Within("raw", p, off, m.size)
	if len(p) == 0 {
		return 0, atEnd
	}
	n, err := m.r.ReadAt(p, off)
	if n == len(p) {
		err = atEnd
	}
	return n, err
}

func (m *Image) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.size-n {
			yield(disk.Extent{}, fmt.Errorf("raw: extents of %d bytes at %d: the disk has %d", n, off, m.size))
			return
		}
		end := off + n
		for off < end {
			if err := ctx.Err(); err != nil {
				yield(disk.Extent{}, err)
				return
			}
			e := disk.Extent{Offset: off, Length: end - off}
			if m.file != nil {
				var err error
				if e, err = nextExtent(m.file, off, end); err != nil {
					yield(disk.Extent{}, err)
					return
				}
			}
			if !yield(e, nil) {
				return
			}
			off += e.Length
		}
	}
}

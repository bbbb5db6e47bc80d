package vsphere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"syscall"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// spooled is a file that is gone when it is closed, and on Unix when the
// process dies, since its name is removed at once.
type spooled struct {
	*os.File
	unnamed bool
}

func (h *Host) newSpool() (*spooled, error) {
	f, err := os.CreateTemp(h.opts.Spool, "cimimove-*.vmdk")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	return &spooled{f, os.Remove(f.Name()) == nil}, nil
}

func (s *spooled) Close() error {
	err := s.File.Close()
	if !s.unnamed {
		err = errors.Join(err, os.Remove(s.Name()))
	}
	return err
}

// room refuses to spool what the folder has no room for. need is what the
// machine's disks take on their datastore, at most which they take compressed.
func (h *Host) room(what string, need int64) error {
	folder := h.opts.Spool
	if folder == "" {
		folder = os.TempDir()
	}
	if free := freeSpace(folder); free >= 0 && need > free {
		return &host.NoSpaceError{Object: fmt.Sprintf("%s, spooled in %s (?spool=FOLDER takes another one)", what, folder), Need: need, Free: free}
	}
	return nil
}

// fill writes an image to the spool and opens it.
func (s *spooled) fill(r io.Reader, name string) (disk.Image, error) {
	n, err := io.CopyBuffer(struct{ io.Writer }{s.File}, r, make([]byte, 1<<20))
	if errors.Is(err, syscall.ENOSPC) {
		err = &host.NoSpaceError{Object: name + ", spooled in " + s.Name(), Need: n + 1, Free: -1, Err: err}
	}
	if err != nil {
		return nil, err
	}
	img, err := vmdk.Open(s.File, n, name)
	if err != nil {
		return nil, err
	}
	return disk.Owning(img, s), nil
}

// sized is an image of size bytes of one that may be larger, as vSphere makes
// disks, or of zeros behind one that is smaller.
type sized struct {
	disk.Image
	size int64
}

// withSize is img as a disk of size bytes; more than zeros beyond is an error.
func withSize(ctx context.Context, img disk.Image, size int64) (disk.Image, error) {
	if img.Size() == size {
		return img, nil
	}
	if img.Size() > size {
		rest := make([]byte, 64<<10)
		for e, err := range img.Extents(ctx, size, img.Size()-size) {
			if err != nil {
				return nil, err
			}
			for off := e.Offset; !e.Zero && off < e.Offset+e.Length; off += int64(len(rest)) {
				p := rest[:min(int64(len(rest)), e.Offset+e.Length-off)]
				if err := disk.ReadFull(img, p, off); err != nil {
					return nil, err
				}
				if !disk.IsZero(p) {
					// It was grown and used: what is there counts.
					return img, nil
				}
			}
		}
	}
	return &sized{img, size}, nil
}

func (s *sized) Size() int64 { return s.size }

func (s *sized) Info() disk.Info {
	i := s.Image.Info()
	i.Size = s.size
	return i
}

func (s *sized) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	if off >= s.size {
		return 0, io.EOF
	}
	want := p
	if off+int64(len(want)) > s.size {
		want = want[:s.size-off]
	}
	have := want
	if off+int64(len(have)) > s.Image.Size() {
		have = have[:max(0, s.Image.Size()-off)]
		clear(want[len(have):])
	}
	if len(have) > 0 {
		if err := disk.ReadFull(s.Image, have, off); err != nil {
			return 0, err
		}
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

func (s *sized) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > s.size-n {
			yield(disk.Extent{}, fmt.Errorf("extents of %d bytes at %d: the disk has %d", n, off, s.size))
			return
		}
		if end := min(off+n, s.Image.Size()); off < end {
			for e, err := range s.Image.Extents(ctx, off, end-off) {
				if !yield(e, err) || err != nil {
					return
				}
			}
			n -= end - off
			off = end
		}
		if n > 0 {
			yield(disk.Extent{Offset: off, Length: n, Zero: true}, nil)
		}
	})
}

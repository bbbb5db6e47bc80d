package blocks

import (
	"bytes"
	"context"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
)

// Format is how a format lays out its file: a front with the table in it, the
// blocks that are there one after the other, each behind a prefix of its own,
// and a tail.
type Format struct {
	Block  int64  // bytes of content in a block
	First  int64  // byte offset of the first block's prefix
	Prefix []byte // of each block
	// Align, where not 0, is a power of two that blocks' content is aligned to:
	// padding comes before the prefix.
	Align int64
	Fixed bool // every block is there
	// Front puts what is before First, for the table in which entry i is k+1
	// where block i is the k-th that is there, 0 where it is not.
	Front func(table []uint32, put Put) error
	Tail  []byte
}

// Put takes bytes of a front, ascending, and keeps none of them. What is between
// them is zeros.
type Put = func(p []byte, off int64) error

// PutTable puts n entries of width bytes each from off on, as entry fills them,
// which gets zeros. It holds few of them at a time: a disk may have millions.
func PutTable(put Put, off int64, n, width int, entry func(i int, b []byte)) error {
	const piece = 8 << 10 // entries
	room := make([]byte, min(n, piece)*width)
	for i := 0; i < n; {
		b := room[:min(n-i, piece)*width]
		clear(b)
		for at := 0; at < len(b); at += width {
			entry(i, b[at:at+width])
			i++
		}
		if err := put(b, off); err != nil {
			return err
		}
		off += int64(len(b))
	}
	return nil
}

// stride is what a block takes, padding and prefix included.
func (f *Format) stride() int64 { return f.pad() + int64(len(f.Prefix)) + f.Block }

func (f *Format) pad() int64 {
	if f.Align == 0 {
		return 0
	}
	return -int64(len(f.Prefix)) & (f.Align - 1)
}

// Content is the byte offset of the content of the k-th block that is there.
// First and the stride are aligned where Align asks for it.
func (f *Format) Content(k uint32) int64 {
	return f.First + int64(k)*f.stride() + f.pad() + int64(len(f.Prefix))
}

func (f *Format) blocks(size int64) int64 { return (size + f.Block - 1) / f.Block }

// table is that of a disk of size bytes before anything is there.
func (f *Format) table(size int64) (table []uint32, used uint32) {
	table = make([]uint32, f.blocks(size))
	if f.Fixed {
		for i := range table {
			table[i] = uint32(i) + 1
		}
		used = uint32(len(table))
	}
	return table, used
}

// Write writes img to file, blocks of zeros left out.
func (f *Format) Write(ctx context.Context, img disk.Image, file disk.File, opts disk.EncodeOptions) (disk.Result, error) {
	table, used := f.table(img.Size())
	res, err := disk.Scatter(ctx, img, file, int(min(f.Block, disk.BlockSize)), func(off int64) (int64, error) {
		i := off / f.Block
		if table[i] == 0 {
			used++
			table[i] = used
		}
		return f.Content(table[i]-1) + off%f.Block, nil
	}, opts)
	if err != nil {
		return res, err
	}
	res.StreamBytes = f.First + int64(used)*f.stride() + int64(len(f.Tail))
	if err := file.Truncate(res.StreamBytes); err != nil {
		return res, err
	}
	err = f.Front(table, func(p []byte, off int64) error { return disk.WriteData(file, p, off) })
	if err != nil {
		return res, err
	}
	if !disk.IsZero(f.Prefix) {
		for k := range used {
			if _, err := file.WriteAt(f.Prefix, f.Content(k)-int64(len(f.Prefix))); err != nil {
				return res, err
			}
		}
	}
	if len(f.Tail) > 0 {
		_, err = file.WriteAt(f.Tail, res.StreamBytes-int64(len(f.Tail)))
	}
	return res, err
}

// Encode writes img to w, which cannot seek: each block that img's extents
// touch is there, even if it proves zero.
func (f *Format) Encode(ctx context.Context, img disk.Image, w io.Writer, opts disk.EncodeOptions) (disk.Result, error) {
	size := img.Size()
	res := disk.Result{Info: img.Info()}
	table, used := f.table(size)
	if !f.Fixed {
		for e, err := range img.Extents(ctx, 0, size) {
			if err != nil {
				return res, err
			}
			if e.Zero || e.Length == 0 {
				continue
			}
			for i := e.Offset / f.Block; i <= (e.Offset+e.Length-1)/f.Block; i++ {
				if table[i] == 0 {
					used++
					table[i] = used
				}
			}
		}
	}
	out := &forward{w: w, zeros: make([]byte, 256<<10)}
	err := f.Front(table, out.write)
	if err == nil {
		err = out.write(nil, f.First)
	}
	if err != nil {
		return res, err
	}
	// Prefixes are written as the stream comes by them.
	prefixes := uint32(0)
	prefixesTo := func(k uint32) error {
		for ; prefixes < k; prefixes++ {
			if err := out.write(f.Prefix, f.Content(prefixes)-int64(len(f.Prefix))); err != nil {
				return err
			}
		}
		return nil
	}
	res, err = disk.Stream(ctx, img, func(p []byte, off int64) error {
		for len(p) > 0 {
			i := off / f.Block
			n := min(int64(len(p)), (i+1)*f.Block-off)
			if k := table[i]; k != 0 {
				if err := prefixesTo(k); err != nil {
					return err
				}
				if err := out.write(p[:n], f.Content(k-1)+off%f.Block); err != nil {
					return err
				}
			}
			p, off = p[n:], off+n
		}
		return nil
	}, opts)
	if err == nil {
		err = prefixesTo(used)
	}
	if err == nil {
		err = out.write(f.Tail, f.First+int64(used)*f.stride())
	}
	res.StreamBytes = out.off
	return res, err
}

// forward writes at ascending offsets, zeros between.
type forward struct {
	w     io.Writer
	off   int64
	zeros []byte
}

func (f *forward) write(p []byte, off int64) error {
	for f.off < off {
		n, err := f.w.Write(f.zeros[:min(int64(len(f.zeros)), off-f.off)])
		f.off += int64(n)
		if err != nil {
			return err
		}
	}
	n, err := f.w.Write(p)
	f.off += int64(n)
	return err
}

// Padded is b with zeros up to n bytes.
func Padded(b []byte, n int64) []byte {
	if int64(len(b)) >= n {
		return b
	}
	return append(bytes.Clone(b), make([]byte, n-int64(len(b)))...)
}

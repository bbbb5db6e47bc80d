package formats

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/scratch"
)

// whole is an image whose format cannot be read as it passes: of such formats
// the maps lie anywhere.
type whole struct {
	disk.Image
	kept  int64 // bytes in a temporary file
	grown int64 // size in bytes that it is to have, where that is larger
	// rest reads what is left of the stream, so that who digests it has his say.
	rest func() error
	done func()
}

// atHand gives the image that r streams as a whole where its format demands
// that: by random access to the same bytes where src.At gives it, else from a
// temporary file, which has no name and is gone with the process. nil: it can be
// decoded as it passes, in the format given.
func atHand(ctx context.Context, r *bufio.Reader, src Source, size int64) (*whole, disk.Format, error) {
	header, err := r.Peek(disk.HeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, "", err
	}
	kind := disk.DetectHeader(header)
	f, err := disk.Resolve(kind, src.Declared, src.Name)
	// A fixed VHD shows at its end only.
	fixed := kind.Format == "" && kind.Other == "" && (src.Declared == disk.VHD || err != nil && (src.At != nil || strings.EqualFold(path.Ext(src.Name), ".vhd")))
	switch {
	case fixed:
	case err != nil:
		return nil, "", err
	case f == disk.Raw && size < 0 && src.RawToEnd && src.Declared == disk.Raw:
	case f == disk.Raw, f == disk.VMDK, f == disk.VMDKSparse:
		return nil, f, nil
	}
	w, err := keep(ctx, r, src)
	return w, f, err
}

// OpenStream is Open for an image that comes as a stream: it is kept in a
// temporary file, which closing the image removes. size is its length in bytes.
func OpenStream(ctx context.Context, r io.Reader, src Source) (img disk.Image, size int64, err error) {
	src.At = nil
	w, err := keep(ctx, r, src)
	if err != nil {
		return nil, 0, err
	}
	return disk.Owning(w.Image, closing(w.done)), w.kept, nil
}

type closing func()

func (c closing) Close() error { c(); return nil }

func keep(ctx context.Context, r io.Reader, src Source) (*whole, error) {
	if src.At != nil {
		at, size, done, err := src.At(ctx)
		if err != nil {
			return nil, err
		}
		img, err := Open(at, size, src)
		if err != nil {
			done()
			return nil, err
		}
		return &whole{Image: img, done: done, rest: func() error {
			_, err := io.Copy(io.Discard, scratch.UntilDone(ctx, r))
			return err
		}}, nil
	}
	f, err := scratch.Create(src.TempDir, src.Name)
	if err != nil {
		return nil, err
	}
	n, err := f.Fill(ctx, r)
	var img disk.Image
	if err == nil {
		img, err = Open(f, n, src)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &whole{Image: img, kept: n, done: func() { f.Close() }, rest: func() error { return nil }}, nil
}

// release closes the image and what is behind it.
func (w *whole) release() {
	w.Image.Close()
	w.done()
}

// decode writes the disk to sink.
func (w *whole) decode(ctx context.Context, sink disk.Sink, opts disk.DecodeOptions) (disk.Result, error) {
	defer w.release()
	how := disk.EncodeOptions{Workers: opts.Workers, NoDigest: opts.NoDigest, Progress: opts.Progress, OnBlock: opts.OnBlock}
	var res disk.Result
	var err error
	if opts.OnContent == nil {
		res, err = disk.Copy(ctx, w.Image, sink, how)
	} else if err = sink.Begin(w.Image.Info()); err == nil {
		res, err = disk.Stream(ctx, w.Image, func(p []byte, off int64) error {
			if _, err := sink.WriteAt(p, off); err != nil {
				return err
			}
			return opts.OnContent(p, off)
		}, how)
	}
	res.Kept = w.kept
	if err == nil {
		err = w.rest()
	}
	return res, err
}

// begin asks who wants it what size the image shall have.
func (w *whole) begin(src Source) error {
	if src.Begin == nil {
		return nil
	}
	info := w.Image.Info()
	err := src.Begin(&info)
	w.grown = info.Size
	return err
}

// image is the image, with zeros behind it where it is to be larger.
func (w *whole) image() disk.Image {
	if w.grown > w.Image.Size() {
		return &grown{w.Image, w.grown}
	}
	return w.Image
}

// grown is an image with zeros behind its end.
type grown struct {
	disk.Image
	size int64
}

func (g *grown) Size() int64 { return g.size }

func (g *grown) Info() disk.Info {
	i := g.Image.Info()
	i.Size = g.size
	return i
}

func (g *grown) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= g.size {
		return 0, io.EOF
	}
	want := p[:min(int64(len(p)), g.size-off)]
	have := want[:max(0, min(int64(len(want)), g.Image.Size()-off))]
	clear(want[len(have):])
	if len(have) > 0 {
		if err := disk.ReadFull(g.Image, have, off); err != nil {
			return 0, err
		}
	}
	if len(want) < len(p) {
		return len(want), io.EOF
	}
	return len(want), nil
}

func (g *grown) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if end := min(off+n, g.Image.Size()); off < end {
			for e, err := range g.Image.Extents(ctx, off, end-off) {
				if !yield(e, err) || err != nil {
					return
				}
			}
			off, n = end, off+n-end
		}
		if n > 0 {
			yield(disk.Extent{Offset: off, Length: n, Zero: true}, nil)
		}
	})
}

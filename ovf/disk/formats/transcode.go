package formats

import (
	"context"
	"errors"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/pipe"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// Transcode re-encodes the disk that r streams into w, in one pass that stores
// nothing: the blocks of the disk go from decoder to encoder in memory. (A
// format that cannot be read as it passes is at hand as a whole; see Source.At.) The
// content must come in ascending order, as every known writer puts it; else
// the error wraps pipe's. To a stream only raw and streamOptimized can be
// written, whose maps come last or not at all; to a regular file, which is
// empty, every format. The Result is the encoder's, with the digest that the
// decoder took.
func Transcode(ctx context.Context, r io.Reader, src Source, size int64, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	out, file := regular(w)
	br := disk.NewBuffered(r, 256<<10)
	img, _, err := atHand(ctx, br, src, size)
	if err != nil {
		return disk.Result{}, err
	}
	if img != nil {
		if err := img.begin(src); err != nil {
			img.release()
			return disk.Result{}, err
		}
		return img.encode(ctx, out, w, to, opts)
	}
	if !file && to != disk.Raw && to != disk.VMDK {
		return disk.Result{}, &disk.UnsupportedError{Name: src.Name, Format: to, Feature: "writing the format from a stream to a stream: its map comes first"}
	}
	if !file && to == disk.Raw {
		return decodeInto(ctx, br, src, size, w, opts)
	}
	g, ctx := errgroup.WithContext(ctx)
	p := pipe.New(ctx)
	var decoded, encoded disk.Result
	g.Go(func() (err error) {
		decoded, err = Decode(ctx, br, src, size, told{p, src.Begin}, disk.DecodeOptions{Name: src.Name, Workers: opts.Workers, OnBlock: p.OnBlock})
		if err == nil && !decoded.HasDigest {
			err = pipe.ErrOrder
		}
		p.CloseWrite(err)
		return err
	})
	g.Go(func() error {
		img, err := p.Image()
		if err != nil {
			return err
		}
		opts.NoDigest = true
		if file {
			encoded, err = Convert(ctx, img, out, to, opts)
		} else {
			encoded, err = Encode(ctx, img, w, to, opts)
		}
		return err
	})
	if err := g.Wait(); err != nil {
		return encoded, err
	}
	encoded.Digest, encoded.HasDigest = decoded.Digest, decoded.HasDigest
	return encoded, nil
}

// decodeInto writes the disk that r streams to w as a raw one: what the decoder
// has is what is written.
func decodeInto(ctx context.Context, r io.Reader, src Source, size int64, w io.Writer, opts disk.EncodeOptions) (disk.Result, error) {
	out := raw.NewStream(w)
	res, err := Decode(ctx, r, src, size, told{out, src.Begin}, disk.DecodeOptions{Name: src.Name, Workers: opts.Workers,
		Progress: opts.Progress, OnBlock: opts.OnBlock, OnContent: out.Content})
	switch {
	case errors.Is(err, disk.ErrNotAscending):
		err = pipe.ErrOrder
	case err == nil:
		res.StreamBytes, err = out.Finish()
	}
	return res, err
}

// encode writes the image to w, which is out where it is a regular file.
func (w *whole) encode(ctx context.Context, out *os.File, to io.Writer, format disk.Format, opts disk.EncodeOptions) (res disk.Result, err error) {
	defer w.release()
	size := w.Image.Size()
	digester := disk.NewDigester(size, opts.OnBlock)
	if w.grown > size && !opts.NoDigest {
		// The digest is that of the image, not of the zeros behind it.
		opts.OnBlock = func(i int64, sum disk.BlockSum) {
			if i*disk.BlockSize < size {
				_ = digester.WriteBlock(i, sum) // ascending, as promised
			}
		}
	}
	img := w.image()
	if out != nil {
		res, err = Convert(ctx, img, out, format, opts)
	} else {
		res, err = Encode(ctx, img, to, format, opts)
	}
	if w.grown > size && res.HasDigest {
		res.Digest = digester.Sum()
	}
	res.Kept = w.kept
	if err == nil {
		err = w.rest()
	}
	return res, err
}

// regular is w where it is a regular file.
func regular(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	if !ok {
		return nil, false
	}
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, false
	}
	return f, true
}

// told tells of an image before its content passes.
type told struct {
	disk.Sink
	begin func(*disk.Info) error
}

func (t told) Begin(info disk.Info) error {
	if t.begin != nil {
		if err := t.begin(&info); err != nil {
			return err
		}
	}
	return t.Sink.Begin(info)
}

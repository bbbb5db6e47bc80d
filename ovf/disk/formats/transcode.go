package formats

import (
	"context"
	"io"
	"os"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/internal/pipe"
)

// Transcode re-encodes the disk that r streams into w, in one pass that stores
// nothing: the blocks of the disk go from decoder to encoder in memory. The
// content must come in ascending order, as every known writer puts it; else
// the error wraps pipe's. To a stream only raw and streamOptimized can be
// written, whose maps come last or not at all; to a regular file, which is
// empty, every format. The Result is the encoder's, with the digest that the
// decoder took.
func Transcode(ctx context.Context, r io.Reader, src Source, size int64, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	out, file := regular(w)
	if !file && to != disk.Raw && to != disk.VMDK {
		return disk.Result{}, &disk.UnsupportedError{Name: src.Name, Format: to, Feature: "writing the format from a stream to a stream: its map comes first"}
	}
	g, ctx := errgroup.WithContext(ctx)
	p := pipe.New(ctx)
	var decoded, encoded disk.Result
	g.Go(func() (err error) {
		decoded, err = Decode(ctx, r, src, size, p, disk.DecodeOptions{Name: src.Name, Workers: opts.Workers, OnBlock: p.OnBlock})
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

// regular is w where it is a regular file.
func regular(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	if !ok {
		return nil, false
	}
	st, err := f.Stat()
	return f, err == nil && st.Mode().IsRegular()
}

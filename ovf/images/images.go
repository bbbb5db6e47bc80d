// Package images reads the disks of packages in whatever format they are:
// those that can be read front to back in the one pass in which digests are
// checked, the others by random access, straight in the package where that
// can be, else by way of a temporary file.
package images

import (
	"bufio"
	"context"
	"errors"
	"io"
	"path"

	"golang.org/x/sync/errgroup"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/scratch"
	"github.com/cimimove/cimimove/ovf/files"
)

// Reader reads the disks of one package.
type Reader struct {
	Package ovf.Package
	// Spool is the folder for temporary files; empty: the system's.
	Spool string
}

// peeked is content whose first bytes were looked at.
type peeked struct {
	*files.Content
	r *bufio.Reader
	// whole: it cannot be read as it passes, or names files beside it, or is
	// raw and at hand, where its holes show.
	whole bool
}

func peek(c *files.Content, src formats.Source) (*peeked, error) {
	p := &peeked{Content: c, r: bufio.NewReaderSize(c.Reader, 256<<10)}
	start, err := p.r.Peek(disk.HeaderSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	kind := disk.DetectHeader(start)
	f, err := disk.Resolve(kind, src.Declared, src.Name)
	switch {
	case err != nil: // package formats says so, or knows better at its end
	case f == disk.VMDK:
		p.whole = kind.Format == disk.VMDK && kind.Variant != "streamOptimized"
	default:
		p.whole = f != disk.VMDKSparse && (f != disk.Raw || c.At != nil)
	}
	return p, nil
}

// Decode writes a disk to sink, in one pass where its format allows that; see
// formats.Decode. The digests of what is stored have been checked when it
// returns without error.
func (r Reader) Decode(ctx context.Context, c *files.Content, src formats.Source, size int64, sink disk.Sink, opts disk.DecodeOptions) (disk.Result, error) {
	p, err := peek(c, src)
	if err != nil {
		return disk.Result{}, err
	}
	if !p.whole {
		src.At = c.At
		return formats.Decode(ctx, p.r, src, size, sink, opts)
	}
	return r.read(ctx, p, src, func(ctx context.Context, img disk.Image) (disk.Result, error) {
		return disk.Copy(ctx, img, sink, disk.EncodeOptions{Workers: opts.Workers, NoDigest: opts.NoDigest, Progress: opts.Progress, OnBlock: opts.OnBlock})
	})
}

// Encode writes a disk to w in another format, in one pass where both formats
// allow that; see formats.Transcode.
func (r Reader) Encode(ctx context.Context, c *files.Content, src formats.Source, size int64, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	p, err := peek(c, src)
	if err != nil {
		return disk.Result{}, err
	}
	if p.whole {
		return r.read(ctx, p, src, func(ctx context.Context, img disk.Image) (disk.Result, error) {
			return r.encode(ctx, img, w, to, opts)
		})
	}
	src.At = c.At
	if to == disk.Raw || to == disk.VMDK {
		return formats.Transcode(ctx, p.r, src, size, w, to, opts)
	}
	// The map of the new format comes first, and is known last.
	f, err := scratch.Create(r.Spool, r.Package.Name())
	if err != nil {
		return disk.Result{}, err
	}
	defer f.Close()
	decoded, err := formats.Decode(ctx, p.r, src, size, raw.NewSink(f.File), disk.DecodeOptions{Name: src.Name, Workers: opts.Workers, NoDigest: opts.NoDigest})
	if err != nil {
		return decoded, err
	}
	img := raw.New(f, decoded.Info.Size)
	defer img.Close()
	return r.encode(ctx, img, w, to, opts)
}

// read calls do with a disk that is read by random access. Where the content is
// at hand its digests are compared meanwhile, else before; what they say is said
// rather than what do says, because a wrong digest is the better explanation.
func (r Reader) read(ctx context.Context, p *peeked, src formats.Source, do func(context.Context, disk.Image) (disk.Result, error)) (res disk.Result, err error) {
	if p.At == nil {
		img, err := r.open(ctx, p, src)
		if err != nil {
			return res, err
		}
		defer img.Close()
		return do(ctx, img)
	}
	var proof errgroup.Group
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	proof.Go(func() error {
		err := p.Prove()
		if err != nil {
			cancel(err)
		}
		return err
	})
	at, size, done, err := p.At(ctx)
	if err == nil {
		defer done()
		var img disk.Image
		if img, err = formats.Open(at, size, r.beside(ctx, p, src)); err == nil {
			defer img.Close()
			res, err = do(ctx, img)
		}
	}
	if wrong := proof.Wait(); wrong != nil {
		err = wrong
	}
	return res, err
}

// encode writes an image; what cannot be written front to back, by way of a
// temporary file.
func (r Reader) encode(ctx context.Context, img disk.Image, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if to != disk.VMDKSparse {
		return formats.Encode(ctx, img, w, to, opts)
	}
	f, err := scratch.Create(r.Spool, r.Package.Name())
	if err != nil {
		return disk.Result{}, err
	}
	defer f.Close()
	res, err := formats.Convert(ctx, img, f.File, to, opts)
	if err != nil {
		return res, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return res, err
	}
	_, err = io.Copy(w, f)
	return res, err
}

// Open gives a disk for random access. What is stored of it has been read to
// its end then, and its digests agree.
func (r Reader) Open(ctx context.Context, c *files.Content, src formats.Source) (disk.Image, error) {
	p, err := peek(c, src)
	if err != nil {
		return nil, err
	}
	return r.open(ctx, p, src)
}

func (r Reader) open(ctx context.Context, p *peeked, src formats.Source) (disk.Image, error) {
	f, err := r.keep(ctx, p.Content, p.r)
	if err != nil {
		return nil, err
	}
	img, err := formats.Open(f, f.Size(), r.beside(ctx, p, src))
	if err != nil {
		f.Close()
		return nil, err
	}
	return disk.Owning(img, f), nil
}

// Keep gives the content of a file for random access. What is stored of it has
// been read to its end then, and its digests agree.
func (r Reader) Keep(ctx context.Context, c *files.Content) (ovf.MemberFile, error) {
	return r.keep(ctx, c, c.Reader)
}

func (r Reader) keep(ctx context.Context, c *files.Content, from io.Reader) (ovf.MemberFile, error) {
	o, anywhere := r.Package.(ovf.Opener)
	if anywhere && c.Compression == compression.Identity && (c.File.ChunkSize == 0 || c.StoredSize >= 0 && c.StoredSize <= c.File.ChunkSize) {
		if _, err := io.Copy(io.Discard, from); err != nil {
			return nil, err
		}
		return o.Open(ctx, c.Name)
	}
	f, err := scratch.Create(r.Spool, r.Package.Name())
	if err != nil {
		return nil, err
	}
	n, err := f.Fill(ctx, from)
	if err != nil {
		f.Close()
		return nil, err
	}
	return &temporaryFile{f, n}, nil
}

// temporaryFile is a file that closing removes.
type temporaryFile struct {
	*scratch.File
	size int64
}

func (t *temporaryFile) Size() int64 { return t.size }

// beside lets an image open the files that lie beside it in the package.
func (r Reader) beside(ctx context.Context, p *peeked, src formats.Source) formats.Source {
	if o, ok := r.Package.(ovf.Opener); ok && src.Files == nil {
		src.Files = beside(ctx, o, path.Dir(p.Name))
	}
	return src
}

// beside opens the files of a folder of the package, by bare name.
func beside(ctx context.Context, o ovf.Opener, folder string) disk.Files {
	return func(name string) (disk.OpenedFile, error) {
		if name != path.Base(name) || name == "." || name == ".." {
			return disk.OpenedFile{}, &disk.UnsupportedError{Name: name, Feature: "a file that is not beside the image"}
		}
		f, err := o.Open(ctx, path.Join(folder, name))
		if err != nil {
			return disk.OpenedFile{}, err
		}
		return disk.OpenedFile{ReaderAt: f, Closer: f, Size: f.Size()}, nil
	}
}

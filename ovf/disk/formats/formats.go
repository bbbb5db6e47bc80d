// Package formats is the one switch over disk formats: it opens, decodes and
// encodes an image of any of them by calling the format's own package.
//
// Content decides what an image is, cross-checked with what was declared (see
// disk.Resolve); formats that are recognised and have no package here are
// disk.ErrUnsupported, by name.
package formats

import (
	"context"
	"crypto/sha256"
	"io"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vdi"
	"github.com/cimimove/cimimove/ovf/disk/vhd"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// Source says what is known of an image before it is looked at.
type Source struct {
	// Name is the image's file name: its extension counts where nothing is
	// declared, and errors carry it.
	Name string
	// Declared is the format asked for or promised by a descriptor; empty
	// where there is none.
	Declared disk.Format
	// Files opens the files that a descriptor names; nil refuses disks that are
	// spread over several. See Beside.
	Files disk.Files
	// Backing are the base names of files that may be opened, with Files, where
	// an image says that it builds on them: qcow2 backing files, parents of
	// differencing disks. Others are disk.ErrUnsupported.
	Backing []string
	// Over is the image that holds what is not in this one, as a package says
	// (DSP0243 9.1, parentRef), whether or not the image says so too. The image
	// that is opened closes it.
	Over disk.Image
	// At gives, to Decode, random access to the bytes that it is given as a
	// stream, for formats that cannot be read as they pass; nil: they are kept
	// in a temporary file. done releases what At took.
	At func(context.Context) (r io.ReaderAt, size int64, done func(), err error)
	// Begin, for Transcode, is told what a streamed image says of itself before
	// its content passes; it may make the Size larger, and an error refuses the
	// image.
	Begin func(*disk.Info) error
	// TempDir is where such a file goes; empty is os.TempDir.
	TempDir string
	// RawToEnd lets a declared raw disk, of which Decode does not know the size,
	// end where the stream ends. It is kept in a temporary file meanwhile.
	RawToEnd bool

	depth int // how many images build on this one
}

// Detect decides what the image of size bytes in r is; see disk.Resolve.
func Detect(r io.ReaderAt, size int64, src Source) (disk.Format, error) {
	k, err := disk.Detect(r, size)
	if err != nil {
		return "", err
	}
	return disk.Resolve(k, src.Declared, src.Name)
}

// Open opens the image of size bytes in r, whatever its format. Closing the
// image does not close r.
func Open(r io.ReaderAt, size int64, src Source) (disk.Image, error) {
	k, err := disk.Detect(r, size)
	if err != nil {
		return nil, err
	}
	f, err := disk.Resolve(k, src.Declared, src.Name)
	if err != nil {
		return nil, err
	}
	switch f {
	case disk.Raw:
		return raw.New(r, size), nil
	case disk.VMDK, disk.VMDKSparse:
		if k.Variant != "streamOptimized" && f == disk.VMDK {
			return vmdk.OpenSpread(r, size, src.Name, src.Files)
		}
		m, err := vmdk.OpenOver(r, size, src.Name, src.parents())
		if err == nil && src.Over != nil {
			m.SetParent(src.Over)
		}
		return m, err
	case disk.QCOW2:
		m, err := qcow2.OpenOver(r, size, src.Name, src.parents())
		if err == nil && src.Over != nil {
			m.SetParent(src.Over)
		}
		return m, err
	case disk.VHD:
		return vhd.OpenOver(r, size, src.Name, src.parents())
	case disk.VHDX:
		return vhdx.OpenOver(r, size, src.Name, src.parents())
	case disk.VDI:
		return vdi.Open(r, size, src.Name)
	}
	return nil, &disk.UnsupportedError{Name: src.Name, Format: f, Feature: "reading the format"}
}

// Decode writes the disk that r streams to sink in one pass and reads r to its
// end. size is the virtual size in bytes where it is known, which a raw stream
// needs; negative where it is not. Where both are known and an image says
// something smaller, the sink sees the image's own. Formats whose map must be
// known first are read when the whole image is at hand; see Source.At.
func Decode(ctx context.Context, r io.Reader, src Source, size int64, sink disk.Sink, opts disk.DecodeOptions) (disk.Result, error) {
	if opts.Name == "" {
		opts.Name = src.Name
	}
	br := disk.NewBuffered(r, 256<<10)
	w, f, err := atHand(ctx, br, src, size)
	switch {
	case err != nil:
		return disk.Result{}, err
	case w != nil:
		return w.decode(ctx, sink, opts)
	case f == disk.Raw:
		return raw.Decode(ctx, br, size, sink, opts)
	}
	return vmdk.Decode(ctx, br, sink, opts)
}

// Encode writes img to w in format to, as a stream.
func Encode(ctx context.Context, img disk.Image, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if err := checkVariant(to, opts); err != nil {
		return disk.Result{}, err
	}
	if !opts.FileDigest {
		return encode(ctx, img, w, to, opts)
	}
	h := sha256.New()
	res, err := encode(ctx, img, io.MultiWriter(w, h), to, opts)
	h.Sum(res.FileDigest[:0])
	return res, err
}

func encode(ctx context.Context, img disk.Image, w io.Writer, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	switch to {
	case disk.Raw:
		return raw.Encode(ctx, img, w, opts)
	case disk.VMDK:
		return vmdk.Encode(ctx, img, w, vmdk.EncodeOptions{EncodeOptions: opts})
	case disk.QCOW2:
		return qcow2.Encode(ctx, img, w, opts)
	case disk.VHD:
		return vhd.Encode(ctx, img, w, opts)
	case disk.VHDX:
		return vhdx.Encode(ctx, img, w, opts)
	case disk.VDI:
		return vdi.Encode(ctx, img, w, opts)
	}
	return disk.Result{}, &disk.UnsupportedError{Format: to, Feature: "writing the format as a stream"}
}

// checkVariant refuses a variant for formats that have but one.
func checkVariant(to disk.Format, opts disk.EncodeOptions) error {
	if opts.Variant != "" && (to == disk.Raw || to == disk.VMDK) {
		return &disk.UnsupportedError{Format: to, Feature: "variant " + opts.Variant}
	}
	return nil
}

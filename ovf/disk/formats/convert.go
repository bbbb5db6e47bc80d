package formats

import (
	"context"
	"io"
	"os"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/scratch"
	"github.com/cimimove/cimimove/ovf/disk/vdi"
	"github.com/cimimove/cimimove/ovf/disk/vhd"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// Convert writes img to the empty regular file out in format to, holes kept
// where the format is raw. The file is not synced; on error it holds part of
// an image and is the caller's to remove.
//
// Of formats that are written front to back a FileDigest is taken in the same
// pass. The others end with their front, so that the file is read again.
func Convert(ctx context.Context, img disk.Image, out *os.File, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if err := checkVariant(to, opts); err != nil {
		return disk.Result{}, err
	}
	if to == disk.VMDK {
		return Encode(ctx, img, out, to, opts)
	}
	res, err := convert(ctx, img, out, to, opts)
	if err != nil || !opts.FileDigest {
		return res, err
	}
	err = fileDigest(ctx, out, &res)
	return res, err
}

func convert(ctx context.Context, img disk.Image, out *os.File, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	switch to {
	case disk.Raw:
		return disk.Copy(ctx, img, raw.NewSink(out), opts)
	case disk.QCOW2:
		return qcow2.Write(ctx, img, out, opts)
	case disk.VMDKSparse:
		return vmdk.WriteSparse(ctx, img, out, vmdk.EncodeOptions{EncodeOptions: opts})
	case disk.VHD:
		return vhd.Write(ctx, img, out, opts)
	case disk.VHDX:
		return vhdx.Write(ctx, img, out, opts)
	case disk.VDI:
		return vdi.Write(ctx, img, out, opts)
	}
	return disk.Result{}, &disk.UnsupportedError{Format: to, Feature: "writing the format"}
}

// ConvertStream is Convert for an image that can be read only once, front to
// back. To raw its content may come in any order; see Transcode for the others.
func ConvertStream(ctx context.Context, r io.Reader, src Source, size int64, out *os.File, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if to != disk.Raw {
		return Transcode(ctx, r, src, size, out, to, opts)
	}
	if err := checkVariant(to, opts); err != nil {
		return disk.Result{}, err
	}
	if size < 0 && src.RawToEnd && src.Declared == disk.Raw {
		return rawToEnd(ctx, r, out, opts)
	}
	res, err := Decode(ctx, r, src, size, raw.NewSink(out), disk.DecodeOptions{Workers: opts.Workers, NoDigest: opts.NoDigest, Progress: opts.Progress, OnBlock: opts.OnBlock})
	if err != nil || !opts.FileDigest {
		return res, err
	}
	err = fileDigest(ctx, out, &res)
	return res, err
}

func fileDigest(ctx context.Context, out *os.File, res *disk.Result) error {
	written, err := raw.Open(out)
	if err != nil {
		return err
	}
	res.FileDigest, err = disk.PlainDigest(ctx, written, written.Size(), 1, nil)
	return err
}

// rawToEnd copies a raw disk of unknown size: what is written is the disk.
func rawToEnd(ctx context.Context, r io.Reader, out *os.File, opts disk.EncodeOptions) (disk.Result, error) {
	n, err := scratch.Copy(ctx, out, r)
	if err != nil {
		return disk.Result{}, err
	}
	img, err := raw.Open(out)
	if err != nil {
		return disk.Result{}, err
	}
	res := disk.Result{Info: img.Info(), StreamBytes: n}
	if res.DataBytes, err = disk.Allocated(ctx, img); err != nil {
		return res, err
	}
	if !opts.NoDigest {
		if res.Digest, err = disk.ContentDigest(ctx, img, n, opts.Progress); err != nil {
			return res, err
		}
		res.HasDigest = true
	}
	if opts.FileDigest {
		err = fileDigest(ctx, out, &res)
	}
	return res, err
}

package formats

import (
	"context"
	"io"
	"os"

	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/disk/vdi"
	"github.com/cimimove/cimimove/ovf/disk/vhd"
	"github.com/cimimove/cimimove/ovf/disk/vhdx"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
)

// Convert writes img to the empty regular file out in format to, holes kept
// where the format is raw. The file is not synced; on error it holds part of
// an image and is the caller's to remove.
func Convert(ctx context.Context, img disk.Image, out *os.File, to disk.Format, opts disk.EncodeOptions) (disk.Result, error) {
	if err := checkVariant(to, opts); err != nil {
		return disk.Result{}, err
	}
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
	return Encode(ctx, img, out, to, opts)
}

// ConvertStream is Convert for an image that can be read only once, front to
// back. To raw its content may come in any order; see Transcode for the others.
func ConvertStream(ctx context.Context, r io.Reader, src Source, size int64, out *os.File, to disk.Format, opts disk.DecodeOptions) (disk.Result, error) {
	if to != disk.Raw {
		return Transcode(ctx, r, src, size, out, to, disk.EncodeOptions{Workers: opts.Workers, Progress: opts.Progress})
	}
	return Decode(ctx, r, src, size, raw.NewSink(out), opts)
}

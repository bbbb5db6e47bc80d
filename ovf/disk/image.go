// Package disk holds virtual disks: what they contain (Image), what they are
// written to (Sink), how their content is proved equal (Digest), and which
// format a file is in (Detect).
//
// Formats live in packages below this one (raw, vmdk, …); package formats is
// the one switch that opens an image of any of them. Nothing here shells out,
// and nothing here treats the unrecognised as raw.
package disk

import (
	"context"
	"io"
	"iter"
)

// Format names a disk format as the command line spells it.
type Format string

// The formats of the command line's --to and --from. VMDK is the
// streamOptimized variant, the one OVF packages carry; VMDKSparse is
// monolithicSparse.
const (
	Raw        Format = "raw"
	QCOW2      Format = "qcow2"
	VMDK       Format = "vmdk"
	VMDKSparse Format = "vmdk-sparse"
	VHD        Format = "vhd"
	VHDX       Format = "vhdx"
	VDI        Format = "vdi"
)

// Extent is a run of a disk's logical content, offsets and lengths in bytes.
// Zero extents read as zeros and occupy no space; a data extent may still
// hold zeros.
type Extent struct {
	Offset, Length int64
	Zero           bool
}

// Info describes an image without its content.
type Info struct {
	Format  Format
	Variant string // as the format names it: streamOptimized, monolithicSparse, dynamic, …; empty where a format has one
	Size    int64  // virtual size in bytes
	// Allocated is how many bytes of logical content the image stores; -1 when
	// only reading everything would tell (a stream).
	Allocated int64
	// Snapshots is how many earlier states the image keeps apart. Only the
	// current one is read.
	Snapshots int
}

// Image is a virtual disk that can be read anywhere. ReadAt reads logical
// content; reading past Size gives io.EOF as io.ReaderAt says. Methods may be
// called from several goroutines. Close releases what opening took and nothing
// the caller passed in.
type Image interface {
	io.ReaderAt
	io.Closer
	// Size is the virtual size in bytes.
	Size() int64
	// Extents lists the runs of [off, off+n) in ascending order, adjacent,
	// covering the range exactly; it stops at the first error, which it yields
	// with an Extent of length 0.
	Extents(ctx context.Context, off, n int64) iter.Seq2[Extent, error]
	Info() Info
}

// Sink takes a disk's logical content. It starts as all zeros; Begin is called
// once, before the first WriteAt, with the source's Info (Size is exact).
// WriteAt may be called from several goroutines with ranges that do not
// overlap, in any order; what is never written stays zero.
type Sink interface {
	Begin(Info) error
	io.WriterAt
}

// Progress is told how many bytes of logical content are done, zeros
// included. It is called often, from one goroutine at a time, must not block,
// and may be nil.
type Progress func(done, total int64)

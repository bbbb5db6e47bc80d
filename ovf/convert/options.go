package convert

import (
	"context"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// Options of Package, Stream and Preview. The zero value copies every file and
// the descriptor as they are.
type Options struct {
	// Version of the descriptor; empty leaves it. See ovf.Envelope.ConvertTo.
	Version ovf.Version
	// Edit is done to the descriptor of that version; Edit.Add is for Add to fill.
	Edit edit.Options
	// Add are files that come to the package, at the end of References.
	Add []File
	// DiskFormat is what disks become; empty leaves them as they are.
	DiskFormat disk.Format
	// Recompress encodes disks anew even when they are in DiskFormat already;
	// Level is that of disk.EncodeOptions, and of the compression of files.
	Recompress bool
	Level      int
	// Compression of the files of disks (DSP0243 7.1): Gzip, or Identity to undo
	// what there is; empty leaves it.
	Compression compression.Format
	// ChunkSize splits files into chunks of so many bytes (7.1): those of disks,
	// and others that are longer. JoinChunks makes one file of those that are
	// split; 0 leaves them.
	ChunkSize int64
	// Flatten makes delta disks (9.1, parentRef) whole. Encoding disks anew
	// does so too.
	Flatten bool
	// Algorithm of the manifest; zero is sha256, or whatever a manifest has that is kept.
	Algorithm  manifest.Algorithm
	NoManifest bool
	// Signer makes a certificate file; nil makes none, and keeps the one there is
	// where the manifest stays as it is. KeepSignature refuses where it does not.
	Signer        *cert.Signer
	KeepSignature bool
	// Spool is the folder for temporary files, which some formats need; empty: the system's.
	Spool string
	// Progress is told of each disk's content in bytes; may be nil.
	Progress func(disk string, done, total int64)
	// Create makes the Writer of a target that is no file or folder here; nil
	// where every target is one.
	Create func(ctx context.Context, target string, o ova.WriterOptions) (ovf.Suspender, error)
}

// JoinChunks as ChunkSize joins what is split.
const JoinChunks = -1

// File is a file to be added to a package.
type File struct {
	ID, Href string // of its entry in References
	Size     int64  // in bytes
	Open     func(ctx context.Context) (io.ReadCloser, error)
}

// Result says what became of a package.
type Result struct {
	Disks    []Disk
	Findings []ovf.Finding
}

// Disk is a disk that was encoded anew; Digest is its content digest.
type Disk struct {
	ID, Href string
	Size     int64 // virtual, in bytes
	Digest   disk.Digest
}

// Rules of findings.
const (
	// RuleUnreferenced: a file that no entry of References names, and that cannot
	// be carried.
	RuleUnreferenced = "OVF-PKG-014"
	// RuleSignature: the certificate of the original does not fit what was written.
	RuleSignature = "MAP-SIG-001"
	// RuleOrder: files of a stream were written in the order in which they came.
	RuleOrder = "OVF-PKG-011"
	// RuleChunks: a file would be so many chunks that it is written in one piece.
	RuleChunks = "OVF-PKG-013"
)

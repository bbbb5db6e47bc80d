// Package convert writes a package anew: folder to OVA and back, its disks in
// another format or compressed otherwise, its manifest with another algorithm.
//
// The package is read once, front to back, and its digests are checked as it
// passes, so that what cannot seek (a cloud's export, standard input) converts
// like a file. Nothing appears at the target before all digests agree. The
// descriptor is edited only where its files changed (DSP0243 7.1, 9.1).
package convert

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/compression"
	"github.com/cimimove/cimimove/ovf/dir"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// Options of Package. The zero value copies every file as it is.
type Options struct {
	// DiskFormat is what disks become; empty leaves them as they are.
	DiskFormat disk.Format
	// Recompress encodes disks anew even when they are in DiskFormat already;
	// Level is that of disk.EncodeOptions.
	Recompress bool
	Level      int
	// Algorithm of the manifest; zero is sha256.
	Algorithm  manifest.Algorithm
	NoManifest bool
	// Progress is told of each disk's content in bytes; may be nil.
	Progress func(disk string, done, total int64)
	// Create makes the Writer of a target that is no file or folder here; nil
	// where every target is one.
	Create func(ctx context.Context, target string, o ova.WriterOptions) (ovf.Suspender, error)
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

// RuleUnreferenced: a file that no entry of References names, and that cannot
// be carried.
const RuleUnreferenced = "OVF-REF-010"

// RuleSignature: the certificate of the original does not fit what was written.
const RuleSignature = "MAP-SIG-001"

// Package writes pkg to target: an OVA when its name ends in .ova, a descriptor
// with its files beside it when it ends in .ovf, else a folder, or what
// opts.Create makes. A target that exists is replaced when all is written, but
// no file that is not of the package it replaces (dir.ErrNotReplaced). pkg
// stays the caller's to close.
func Package(ctx context.Context, pkg ovf.Package, target string, opts Options) (*Result, error) {
	c := &conversion{pkg: pkg, env: pkg.Envelope().Clone(), opts: opts, hrefs: map[string]string{}, sizes: map[string]int64{}, result: &Result{}}
	names := c.layOut()
	w, err := create(ctx, target, pkg, names, len(pkg.Envelope().Bytes())+room*c.edited(), opts)
	if err != nil {
		return c.result, err
	}
	if err := c.write(ctx, w); err != nil {
		return c.result, errors.Join(err, end(ctx, w, err))
	}
	return c.result, nil
}

// write writes all of a package.
func (c *conversion) write(ctx context.Context, w ovf.Writer) error {
	if err := c.run(ctx, w); err != nil {
		return err
	}
	if c.pkg.Certificate() != nil {
		c.find(RuleSignature, ovf.Warning, c.pkg.Descriptor(), "the package was signed; what is written is not", "cimimove sign signs it")
	}
	return w.Finish(ctx, c.env.Bytes())
}

// end gives up what was written, but for what is of use when the same is tried
// again: after an interruption, or a line that broke.
func end(ctx context.Context, w ovf.Writer, cause error) error {
	var (
		transfer *fetch.TransferError
		stall    *fetch.StallError
		status   *fetch.StatusError
		op       *net.OpError
	)
	again := ctx.Err() != nil || errors.As(cause, &transfer) || errors.As(cause, &stall) || errors.As(cause, &op) ||
		errors.As(cause, &status) && status.Temporary()
	if s, ok := w.(ovf.Suspender); ok && again {
		return s.Suspend()
	}
	return w.Abort()
}

// room is how much a descriptor may grow for each file: sizes and names.
const room = 256

// edited counts the entries of References that may change. A descriptor none
// of whose files changes is written byte for byte.
func (c *conversion) edited() int {
	stored := map[string]int64{}
	if o, ok := c.pkg.(ovf.Opener); ok {
		for _, m := range o.Members() {
			stored[m.Name] = m.Size
		}
	}
	n := 0
	for _, f := range c.env.Files() {
		size, known := stored[f.Href]
		if c.reencodes(f) || f.ChunkSize > 0 || f.Size >= 0 && (!known || size != f.Size) {
			n++
		}
	}
	return n
}

func create(ctx context.Context, target string, pkg ovf.Package, names []string, descriptorSize int, opts Options) (ovf.Writer, error) {
	descriptor := pkg.Descriptor()
	archive := ova.WriterOptions{Descriptor: descriptor, DescriptorSize: int64(descriptorSize), Files: names, Algorithm: opts.Algorithm, NoManifest: opts.NoManifest}
	switch {
	case opts.Create != nil:
		return opts.Create(ctx, target, archive)
	case strings.EqualFold(path.Ext(target), ".ova"):
		if info, err := os.Stat(target); err == nil && info.IsDir() {
			return nil, fmt.Errorf("%s: is a folder: %w", target, dir.ErrNotReplaced)
		}
		return ova.Create(target, archive)
	case strings.EqualFold(path.Ext(target), ".ovf"):
		return dir.Create(path.Dir(target), dir.WriterOptions{Descriptor: path.Base(target), Into: true, Algorithm: opts.Algorithm, NoManifest: opts.NoManifest})
	}
	return dir.Create(target, dir.WriterOptions{Descriptor: descriptor, Algorithm: opts.Algorithm, NoManifest: opts.NoManifest})
}

type conversion struct {
	pkg    ovf.Package
	env    *ovf.Envelope
	opts   Options
	hrefs  map[string]string // new href by File id
	sizes  map[string]int64  // capacity in bytes by File id, of disks
	result *Result
}

func (c *conversion) find(id string, severity ovf.Severity, object, message, hint string) {
	c.result.Findings = append(c.result.Findings, ovf.Finding{ID: id, Severity: severity, Object: object, Message: message, Hint: hint})
}

// reencodes tells whether a File is a disk that is encoded anew. A disk that
// is compressed as a whole is inflated on the way, so it is too.
func (c *conversion) reencodes(f ovf.File) bool {
	if _, isDisk := c.sizes[f.ID]; !isDisk || c.opts.DiskFormat == "" {
		return false
	}
	if c.opts.Recompress {
		return true
	}
	for _, d := range c.pkg.Envelope().Disks() {
		if d.FileRef == f.ID {
			if is, ok := formats.OfURI(d.ContentFormat()); ok && is == c.opts.DiskFormat {
				return false
			}
		}
	}
	return true
}

// layOut says which files will be written, in the order in which they come.
func (c *conversion) layOut() []string {
	for _, d := range c.env.Disks() {
		if d.FileRef != "" {
			// A capacity that cannot be read is no bound; the image has its own.
			size, err := d.CapacityBytes()
			if err != nil {
				size = -1
			}
			c.sizes[d.FileRef] = size
		}
	}
	byHref := map[string]ovf.File{}
	for _, f := range c.env.Files() {
		byHref[f.Href] = f
		c.hrefs[f.ID] = stored(f.Href)
		if c.reencodes(f) {
			c.hrefs[f.ID] = rename(stored(f.Href), c.opts.DiskFormat)
		}
	}
	o, ok := c.pkg.(ovf.Opener)
	if !ok {
		var names []string
		for _, f := range c.env.Files() {
			names = append(names, c.hrefs[f.ID])
		}
		return names
	}
	var names []string
	written := map[string]bool{}
	for _, m := range o.Members() {
		name := m.Name
		if name == c.pkg.Descriptor() || isBeside(name, c.pkg.Descriptor()) {
			continue
		}
		if base, _, ok := manifest.CutChunk(name); ok && byHref[base].ChunkSize > 0 {
			name = base
		}
		if f, ok := c.fileOf(name); ok {
			name = c.hrefs[f.ID]
		}
		if !written[name] {
			written[name] = true
			names = append(names, name)
		}
	}
	return names
}

// fileOf finds the entry of References that a stored name is of.
func (c *conversion) fileOf(name string) (ovf.File, bool) {
	for _, f := range c.env.Files() {
		if _, ok := ovf.MatchMember(f.Href, func(n string) bool { return n == name }); ok {
			return f, true
		}
	}
	return ovf.File{}, false
}

// isBeside tells whether a file is the manifest or certificate of a descriptor.
func isBeside(name, descriptor string) bool {
	base := strings.TrimSuffix(descriptor, path.Ext(descriptor))
	return name == base+".mf" || name == base+".cert"
}

// stored is the name under which the file of an href is written: an href may
// say "./disk.vmdk". One that is not safe is refused where it is written.
func stored(href string) string {
	if clean, err := ovf.CleanName(href); err == nil {
		return clean
	}
	return href
}

// rename gives a disk's file the extension of its new format.
func rename(href string, to disk.Format) string {
	switch e := path.Ext(href); strings.ToLower(e) {
	case ".gz", ".bz2", ".xz", ".zst":
		href = strings.TrimSuffix(href, e)
	}
	extension := map[disk.Format]string{disk.Raw: ".raw", disk.QCOW2: ".qcow2", disk.VMDK: ".vmdk", disk.VMDKSparse: ".vmdk", disk.VHD: ".vhd", disk.VHDX: ".vhdx", disk.VDI: ".vdi"}[to]
	switch old := path.Ext(href); strings.ToLower(old) {
	case ".vmdk", ".qcow2", ".img", ".raw", ".vhd", ".vhdx", ".vdi":
		return strings.TrimSuffix(href, old) + extension
	}
	return href + extension
}

func (c *conversion) run(ctx context.Context, w ovf.Writer) error {
	opts := files.Options{
		MaxSize: func(f ovf.File) int64 { return bound(c.sizes[f.ID]) },
		RawFile: func(f ovf.File) bool { return !c.reencodes(f) },
	}
	_, anywhere := c.pkg.(ovf.Opener)
	for content, err := range files.Contents(ctx, c.pkg, opts) {
		if err != nil {
			return err
		}
		if content.Unreferenced && !anywhere {
			c.find(RuleUnreferenced, ovf.Warning, content.Name, "is in the package but not in References, and is left out", "convert from a file instead of a stream keeps it")
			continue
		}
		if err := c.file(ctx, w, content); err != nil {
			return err
		}
	}
	return nil
}

// bound is how much a disk of that capacity may expand to: formats add tables.
func bound(capacity int64) int64 {
	if capacity <= 0 {
		return -1
	}
	return capacity + capacity/8 + 64<<20
}

func (c *conversion) file(ctx context.Context, w ovf.Writer, content *files.Content) error {
	if content.Unreferenced {
		return copyTo(ctx, w, content.Name, content.Reader, nil)
	}
	f, name := c.entry(content.File.ID), c.hrefs[content.File.ID]
	if !c.reencodes(content.File) {
		var n int64
		if err := copyTo(ctx, w, name, content.Reader, &n); err != nil {
			return err
		}
		if f.ChunkSize > 0 {
			f.SetChunkSize(0)
		}
		if f.Size >= 0 && f.Size != n {
			f.SetSize(n)
		}
		return nil
	}
	out, err := w.Create(ctx, name)
	if err != nil {
		return err
	}
	count := &counter{w: out}
	ids := c.disksOf(f.ID)
	opts := disk.EncodeOptions{Level: c.opts.Level}
	if c.opts.Progress != nil {
		opts.Progress = func(done, total int64) { c.opts.Progress(ids[0], done, total) }
	}
	source := formats.Source{Name: content.Name, Declared: c.declared(f.ID), At: content.At}
	res, err := formats.Transcode(ctx, content.Reader, source, content.ImageSize(c.sizes[f.ID]), count, c.opts.DiskFormat, opts)
	if err != nil {
		out.Close()
		return fmt.Errorf("%s: %s: %w", c.pkg.Name(), content.Name, err)
	}
	if err := out.Close(); err != nil {
		return err
	}
	if stored(f.Href) != name {
		f.SetHref(name)
	}
	f.SetSize(count.n)
	if f.Compressed() || content.Compression != compression.Identity {
		f.SetCompression("")
	}
	if f.ChunkSize > 0 {
		f.SetChunkSize(0)
	}
	c.describe(f.ID, res)
	for _, id := range ids {
		c.result.Disks = append(c.result.Disks, Disk{ID: id, Href: name, Size: res.Info.Size, Digest: res.Digest})
	}
	return nil
}

// describe says in the descriptor what the file of a disk is now.
func (c *conversion) describe(fileID string, res disk.Result) {
	for _, d := range c.env.Disks() {
		if d.FileRef != fileID {
			continue
		}
		if uri, ok := formats.URI(c.opts.DiskFormat); ok && d.ContentFormat() != uri {
			d.SetFormat(uri)
		}
		if d.PopulatedSize >= 0 && d.PopulatedSize != res.DataBytes {
			d.SetPopulatedSize(res.DataBytes)
		}
	}
}

func (c *conversion) entry(id string) ovf.File {
	f, _ := c.env.File(id)
	return f
}

func (c *conversion) disksOf(fileID string) []string {
	var ids []string
	for _, d := range c.env.Disks() {
		if d.FileRef == fileID {
			ids = append(ids, d.ID)
		}
	}
	return ids
}

// declared is the format that the descriptor promises for a file; an unknown
// URI promises nothing.
func (c *conversion) declared(fileID string) disk.Format {
	for _, d := range c.pkg.Envelope().Disks() {
		if d.FileRef == fileID {
			if f, ok := formats.OfURI(d.ContentFormat()); ok {
				return f
			}
		}
	}
	return ""
}

func copyTo(ctx context.Context, w ovf.Writer, name string, r io.Reader, n *int64) error {
	out, err := w.Create(ctx, name)
	if err != nil {
		return err
	}
	copied, err := io.CopyBuffer(struct{ io.Writer }{out}, reading{ctx, r}, make([]byte, 1<<20))
	if err != nil {
		out.Close()
		return err
	}
	if n != nil {
		*n = copied
	}
	return out.Close()
}

// reading ends when ctx does.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.r.Read(p)
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

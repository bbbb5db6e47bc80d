package relay

import (
	"context"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// DigestOptions are those of Digests.
type DigestOptions struct {
	// Sizes are the bytes of content to digest, by diskId; a disk that is not
	// in it is digested over its own virtual size. What lies behind is checked
	// to be zero.
	Sizes map[string]int64
	// Manifest says what its digests are worth; zero: verify. They cost more
	// than content digests, which prove more.
	Manifest manifest.Policy
	// Want limits the work to these disks; nil: all.
	Want func(diskID string) bool
	// Progress is told of logical bytes.
	Progress func(diskID string, done, total int64)
}

// DiskDigest is what was read of one disk.
type DiskDigest struct {
	ID     string
	Digest disk.Digest
	// Size is the virtual size of the image.
	Size int64
	// Rest tells whether everything behind Digest.Size is zero.
	Rest bool
}

// Digests reads the package in src anew, in one pass, and gives the content
// digest of every disk of its descriptor, by diskId; blank disks are those of
// as many zeros.
func Digests(ctx context.Context, src Content, name string, opts DigestOptions) (map[string]DiskDigest, *ovf.Envelope, error) {
	pkg, err := Open(ctx, src, name, opts.Manifest)
	if err != nil {
		return nil, nil, err
	}
	defer pkg.Close()
	env := pkg.Envelope()
	want := func(d ovf.Disk) bool { return opts.Want == nil || opts.Want(d.ID) }
	out := map[string]DiskDigest{}
	byFile := map[string][]ovf.Disk{}
	for _, d := range env.Disks() {
		switch {
		case !want(d):
		case d.Blank():
			capacity, err := d.CapacityBytes()
			if err != nil {
				return nil, nil, err
			}
			out[d.ID] = Blank(d.ID, capacity, opts.size(d.ID, capacity))
		default:
			byFile[d.FileRef] = append(byFile[d.FileRef], d)
		}
	}
	limit := func(f ovf.File) int64 { return contentLimit(byFile[f.ID]) }
	for c, err := range files.Contents(ctx, pkg, files.Options{MaxSize: limit}) {
		if err != nil {
			return nil, nil, err
		}
		disks := byFile[c.File.ID]
		if c.Unreferenced || len(disks) == 0 {
			continue
		}
		got, err := digestOf(ctx, c, disks[0], opts)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, d := range disks {
			got.ID = d.ID
			out[d.ID] = got
		}
	}
	return out, env, nil
}

// Open opens the package in src for one pass, front to back, read ahead. Closing it does not close src.
func Open(ctx context.Context, src Content, name string, policy manifest.Policy) (ovf.Package, error) {
	r := io.NopCloser(Ascending(ctx, src))
	if src.Size() >= 0 {
		r = newReader(ctx, src)
	}
	pkg, err := ova.Read(ctx, r, name, ova.Options{Manifest: policy})
	if err != nil {
		r.Close()
	}
	return pkg, err
}

// Ascending reads a content in sequence, as long as ctx lasts.
func Ascending(ctx context.Context, src io.ReaderAt) io.Reader {
	return &ascending{ctx: ctx, src: src}
}

type ascending struct {
	ctx context.Context
	src io.ReaderAt
	pos int64
}

func (a *ascending) Read(p []byte) (int, error) {
	if err := a.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := a.src.ReadAt(p, a.pos)
	a.pos += int64(n)
	return n, err
}

func (o DigestOptions) size(id string, own int64) int64 {
	if n, ok := o.Sizes[id]; ok {
		return n
	}
	return own
}

// Blank is the digest of a disk of capacity zeros over size bytes.
func Blank(id string, capacity, size int64) DiskDigest {
	return DiskDigest{ID: id, Digest: disk.NewDigester(size, nil).Sum(), Size: capacity, Rest: true}
}

// contentLimit bounds what a disk's file may expand to: its capacity, with
// room for the tables of a format.
func contentLimit(disks []ovf.Disk) int64 {
	limit := int64(-1)
	for _, d := range disks {
		if c, err := d.CapacityBytes(); err == nil {
			limit = max(limit, c+c/8+64<<20)
		}
	}
	return limit
}

// digestOf decodes one disk.
func digestOf(ctx context.Context, c *files.Content, d ovf.Disk, opts DigestOptions) (DiskDigest, error) {
	capacity, err := d.CapacityBytes()
	if err != nil {
		capacity = -1
	}
	return digestDecoded(ctx, c.Reader, formats.Source{Name: c.Name, Declared: declaredOf(d)}, d.ID, capacity, opts)
}

// DigestImage reads the image of one disk, which is all of src, in one pass and
// gives its content digest. Its format is what its content says, unless one is
// declared.
func DigestImage(ctx context.Context, src Content, ranged bool, d Disk, opts DigestOptions) (DiskDigest, error) {
	from := formats.Source{Name: d.Name, Declared: d.Declared}
	if ranged {
		from.At = func(context.Context) (io.ReaderAt, int64, func(), error) { return src, src.Size(), func() {}, nil }
	}
	r := io.NopCloser(Ascending(ctx, src))
	if src.Size() >= 0 {
		r = newReader(ctx, src)
	}
	defer r.Close()
	return digestDecoded(ctx, r, from, d.ID, d.Capacity, opts)
}

func digestDecoded(ctx context.Context, r io.Reader, src formats.Source, id string, capacity int64, opts DigestOptions) (DiskDigest, error) {
	decode := disk.DecodeOptions{Name: src.Name}
	if opts.Progress != nil {
		decode.Progress = func(done, total int64) { opts.Progress(id, done, total) }
	}
	first := &prefix{}
	if size, ok := opts.Sizes[id]; ok {
		first = newPrefix(size)
		decode.OnBlock = first.block
	}
	res, err := formats.Decode(ctx, r, src, capacity, nowhere{}, decode)
	if err != nil {
		return DiskDigest{}, err
	}
	if !res.HasDigest {
		return DiskDigest{}, fmt.Errorf("%s: its content is not in ascending order, so it has no digest in one pass: %w", src.Name, disk.ErrNotAscending)
	}
	out := DiskDigest{ID: id, Digest: res.Digest, Size: res.Info.Size, Rest: true}
	if first.digester != nil && first.size != res.Info.Size {
		if first.err != nil {
			return DiskDigest{}, first.err
		}
		out.Digest, out.Rest = first.digester.Sum(), first.rest && first.size <= res.Info.Size
	}
	return out, nil
}

// prefix digests the first size bytes of a disk from the digests of its
// blocks, and sees whether the rest is zero.
type prefix struct {
	size     int64
	digester *disk.Digester
	rest     bool
	err      error
}

var zeroBlock = disk.SumBlock(nil)

func newPrefix(size int64) *prefix {
	return &prefix{size: size, digester: disk.NewDigester(size, nil), rest: true}
}

func (p *prefix) block(i int64, sum disk.BlockSum) {
	switch {
	case p.err != nil:
	case i*disk.BlockSize < p.size:
		// The last block counts as zero-padded, so it agrees only when what
		// lies behind size in it is zero.
		p.err = p.digester.WriteBlock(i, sum)
	case sum != zeroBlock:
		p.rest = false
	}
}

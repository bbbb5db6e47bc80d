package relay

import (
	"context"
	"crypto/sha256"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
)

// Index is what a package holds, and where.
type Index struct {
	Envelope *ovf.Envelope
	// DescriptorSum is the SHA-256 of the descriptor.
	DescriptorSum [sha256.Size]byte
	// Disks are the images that can be digested as they pass: one for each
	// stored file that is a whole disk without further compression. ID is the
	// first diskId that refers to it.
	Disks []Disk
}

// ReadIndex reads headers and descriptor of the OVA in src, not its disks.
func ReadIndex(ctx context.Context, src Content, name string) (*Index, error) {
	at := &finder{Content: src}
	pkg, err := ova.Open(ctx, at, src.Size(), name, ova.Options{Manifest: manifest.Ignore})
	if err != nil {
		return nil, err
	}
	env := pkg.Envelope()
	x := &Index{Envelope: env, DescriptorSum: sha256.Sum256(env.Bytes())}
	stored := map[string]int64{}
	for _, m := range pkg.Members() {
		stored[m.Name] = m.Size
	}
	taken := map[string]bool{}
	for _, d := range env.Disks() {
		f, ok := d.File()
		if !ok || f.Compressed() || f.ChunkSize > 0 {
			continue
		}
		member, ok := ovf.MatchMember(f.Href, func(n string) bool { _, ok := stored[n]; return ok })
		if !ok || taken[member] || stored[member] <= 0 {
			continue
		}
		taken[member] = true
		file, err := pkg.Open(ctx, member)
		if err != nil {
			return nil, err
		}
		at.finding = true
		_, err = file.ReadAt(make([]byte, 1), 0)
		at.finding = false
		file.Close()
		if err != nil && err != io.EOF {
			return nil, err
		}
		capacity, err := d.CapacityBytes()
		if err != nil {
			capacity = -1
		}
		x.Disks = append(x.Disks, Disk{ID: d.ID, Name: member, Declared: declaredOf(d), Offset: at.at, Size: stored[member], Capacity: capacity})
	}
	return x, nil
}

// finder tells where in the package a stored file lies: while it is finding,
// a read moves no bytes and only its offset is kept.
type finder struct {
	Content
	finding bool
	at      int64
}

func (f *finder) ReadAt(p []byte, off int64) (int, error) {
	if f.finding {
		f.at = off
		return len(p), nil
	}
	return f.Content.ReadAt(p, off)
}

// Open opens the package in src for a reader in this process: stored files are
// read ahead, in sequence, within their bounds.
func Open(ctx context.Context, src Content, name string, policy manifest.Policy) (ovf.Opener, error) {
	return ova.Open(ctx, sequential{src}, src.Size(), name, ova.Options{Manifest: policy})
}

// sequential is an ova.ContextReaderAt over a Content.
type sequential struct{ Content }

func (s sequential) At(ctx context.Context) io.ReaderAt { return within{ctx, s.Content} }

func (s sequential) Stream(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	r := newReader(ctx, s.Content)
	r.end = min(off+n, r.end)
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		return nil, err
	}
	return r, nil
}

type within struct {
	ctx context.Context
	io.ReaderAt
}

func (w within) ReadAt(p []byte, off int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.ReaderAt.ReadAt(p, off)
}

// declaredOf is the format an ovf:format promises, empty when it promises none we know.
func declaredOf(d ovf.Disk) disk.Format {
	f, _ := formats.OfURI(d.Format)
	return f
}

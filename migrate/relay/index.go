package relay

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
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

// span is where a stored file lies in the package, in bytes.
type span struct{ offset, size int64 }

// ReadIndex reads headers and descriptor of the OVA in src and nothing else.
// In particular it leaves the manifest alone: of a package that is made as it
// is read, manifest last, asking for it first would have every disk read for
// its digests before the pass in which they are taken anyway.
func ReadIndex(ctx context.Context, src Content, name string) (*Index, error) {
	descriptor, stored, err := scan(ctx, src, name)
	if err != nil {
		return nil, err
	}
	env, err := ovf.Parse(descriptor)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	x := &Index{Envelope: env, DescriptorSum: sha256.Sum256(descriptor)}
	taken := map[string]bool{}
	for _, d := range env.Disks() {
		f, ok := d.File()
		if !ok || f.Compressed() || f.ChunkSize > 0 {
			continue
		}
		member, ok := ovf.MatchMember(f.Href, func(n string) bool { _, ok := stored[n]; return ok })
		if !ok || taken[member] || stored[member].size <= 0 {
			continue
		}
		taken[member] = true
		capacity, err := d.CapacityBytes()
		if err != nil {
			capacity = -1
		}
		x.Disks = append(x.Disks, Disk{ID: d.ID, Name: member, Declared: declaredOf(d),
			Offset: stored[member].offset, Size: stored[member].size, Capacity: capacity})
	}
	return x, nil
}

// scan goes from header to header. The tar reader reads no further than a
// header's end, so the position then is that of the file.
func scan(ctx context.Context, src Content, name string) (descriptor []byte, stored map[string]span, err error) {
	section := io.NewSectionReader(src, 0, src.Size())
	stored = map[string]span{}
	for r := tar.NewReader(section); ; {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, notAnArchive(name, err)
		}
		if len(stored) >= ova.MaxMembers {
			return nil, nil, notAnArchive(name, fmt.Errorf("more than %d files", ova.MaxMembers))
		}
		member, err := ovf.CleanName(h.Name)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		offset, err := section.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, nil, err
		}
		stored[member] = span{offset, h.Size}
		if descriptor != nil || !strings.EqualFold(path.Ext(member), ".ovf") {
			continue
		}
		if h.Size > ova.MaxDescriptor {
			return nil, nil, notAnArchive(name, fmt.Errorf("descriptor of %d bytes", h.Size))
		}
		if descriptor, err = io.ReadAll(r); err != nil {
			return nil, nil, notAnArchive(name, err)
		}
	}
	if descriptor == nil {
		return nil, nil, fmt.Errorf("%s: %w", name, ovf.ErrNoDescriptor)
	}
	return descriptor, stored, nil
}

// notAnArchive keeps errors of reading apart from those of what was read.
func notAnArchive(name string, err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &ovf.DescriptorError{Package: name, Object: "archive", Offset: -1, Clause: "5.3", Message: "not a sound tar archive", Err: err}
	}
	return fmt.Errorf("%s: %w", name, err)
}

// declaredOf is the format an ovf:format promises, empty when it promises none we know.
func declaredOf(d ovf.Disk) disk.Format {
	f, _ := formats.OfURI(d.ContentFormat())
	return f
}

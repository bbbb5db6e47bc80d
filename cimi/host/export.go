package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/ova"
)

// Holdings are what a host holds of a System beside its record. What is opened
// stays the same bytes until it is closed; reading what changed meanwhile is
// an error.
type Holdings interface {
	Disk(ctx context.Context, d *Disk) (disk.Image, error)
	// File opens a kept file of the package by its name in FileNames.
	File(ctx context.Context, name string) (ovf.MemberFile, error)
}

// frozen is the State of an Export: all that its bytes depend on but the
// content of disks and kept files, which Digest and Size stand for.
type frozen struct {
	Layout     int           `json:"layout"` // version of this structure
	System     string        `json:"system"`
	Descriptor string        `json:"descriptor"`
	Envelope   []byte        `json:"envelope"`
	Files      []frozenFile  `json:"files,omitempty"`
	Findings   []ovf.Finding `json:"findings,omitempty"`
	Using      []string      `json:"using,omitempty"`
	Snapshot   string        `json:"snapshot,omitempty"`
	// Points and PointsHeld are those of ExportOptions.
	Points     map[string]string `json:"points,omitempty"`
	PointsHeld bool              `json:"pointsHeld,omitempty"`
}

// frozenFile is a file of the archive: a disk in the stored form, or Size bytes
// from Offset of a kept file.
type frozenFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Disk   string `json:"disk,omitempty"` // id
	Stored []byte `json:"stored,omitempty"`
	Digest string `json:"digest,omitempty"` // content digest of the disk at import, or see contentOf
	Kept   string `json:"kept,omitempty"`
	Offset int64  `json:"offset,omitempty"`
}

const frozenVersion = 1

// byImage stands before the version of a disk's image where no content digest
// is known: of a disk that a machine has written to.
const byImage = "image:"

// contentOf tells the content of a disk from others, as far as anything does.
func contentOf(d *Disk, img disk.Image) string {
	if v := versionOf(img); d.ContentDigest == "" && v != "" {
		return byImage + v
	}
	return d.ContentDigest
}

// versionOf is that of an image, "" where it tells none.
func versionOf(img disk.Image) string {
	if v, ok := img.(ovf.Identified); ok {
		return v.Version()
	}
	return ""
}

// BuildExport lays a System out as an OVA: the kept descriptor with edits only
// where the System differs from it, disks as streamOptimized VMDKs in the
// stored form over their images, other files as they came, and a manifest of
// SHA-256. No byte of a disk is read for it. With opts.Frozen the layout of an
// earlier export is opened again; where a disk is another one now, the error
// wraps ErrChanged.
func BuildExport(ctx context.Context, s *System, from Holdings, caps Capabilities, opts ExportOptions) (Export, error) {
	x := &export{from: from, images: map[string]disk.Image{}}
	var err error
	if opts.Frozen != nil {
		err = x.thaw(ctx, s, opts.Frozen)
	} else {
		x.state.Using, x.state.Findings, x.state.Snapshot = opts.Using, opts.Findings, opts.Snapshot
		x.state.Points, x.state.PointsHeld = opts.Points, opts.PointsHeld
		err = x.freeze(ctx, s, caps)
	}
	if err == nil {
		err = x.open(ctx, s)
	}
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

type export struct {
	*ova.Layout
	state   frozen
	version string
	from    Holdings
	images  map[string]disk.Image
	files   []io.Closer
}

func (x *export) Version() string         { return x.version }
func (x *export) Findings() []ovf.Finding { return x.state.Findings }
func (x *export) State() ([]byte, error)  { return json.Marshal(x.state) }

func (x *export) Close() error {
	var errs []error
	for _, img := range x.images {
		errs = append(errs, img.Close())
	}
	for _, f := range x.files {
		errs = append(errs, f.Close())
	}
	x.images, x.files = nil, nil
	return errors.Join(errs...)
}

// thaw takes an earlier layout back.
func (x *export) thaw(ctx context.Context, s *System, state []byte) error {
	if err := json.Unmarshal(state, &x.state); err != nil {
		return fmt.Errorf("system %s: the state of an earlier export: %w", s.Name, err)
	}
	if x.state.Layout != frozenVersion || x.state.System != s.ID {
		return fmt.Errorf("system %s: the state is of layout %d of system %s, expected %d", s.ID, x.state.Layout, x.state.System, frozenVersion)
	}
	for _, f := range x.state.Files {
		if f.Disk == "" {
			continue
		}
		d := s.Disk(f.Disk)
		if d == nil {
			return fmt.Errorf("system %s: disk %s of the earlier export is gone: %w", s.Name, f.Disk, ErrChanged)
		}
		if kept, ok := strings.CutPrefix(f.Digest, byImage); ok {
			img, err := x.image(ctx, d)
			if err != nil {
				return err
			}
			if now := versionOf(img); now != kept {
				return fmt.Errorf("system %s: disk %s is %s, at the earlier export it was %s: %w", s.Name, d.Name, now, kept, ErrChanged)
			}
			continue
		}
		if d.ContentDigest != f.Digest {
			return fmt.Errorf("system %s: disk %s has content digest %s, at the earlier export it had %s: %w", s.Name, d.Name, d.ContentDigest, f.Digest, ErrChanged)
		}
	}
	return nil
}

// open makes the archive of the frozen state.
func (x *export) open(ctx context.Context, s *System) error {
	spec := ova.LayoutSpec{Name: s.Name, Descriptor: x.state.Descriptor, Envelope: x.state.Envelope}
	kept := map[string]ovf.MemberFile{}
	for _, f := range x.state.Files {
		lf := ova.LayoutFile{Name: f.Name, Size: f.Size}
		switch {
		case f.Disk != "":
			d := s.Disk(f.Disk)
			img, err := x.image(ctx, d)
			if err != nil {
				return err
			}
			var l vmdk.Layout
			if err := l.UnmarshalBinary(f.Stored); err != nil {
				return fmt.Errorf("disk %s: %w", d.Name, err)
			}
			if lf.Content, err = l.Open(img); err != nil {
				return fmt.Errorf("disk %s: %w", d.Name, err)
			}
		default:
			r, ok := kept[f.Kept]
			if !ok {
				var err error
				if r, err = x.from.File(ctx, f.Kept); err != nil {
					return err
				}
				kept[f.Kept] = r
				x.files = append(x.files, r)
			}
			if f.Offset+f.Size > r.Size() {
				return fmt.Errorf("file %s has %d bytes, expected %d: %w", f.Kept, r.Size(), f.Offset+f.Size, ErrChanged)
			}
			lf.Content = io.NewSectionReader(r, f.Offset, f.Size)
		}
		spec.Files = append(spec.Files, lf)
	}
	var err error
	if x.Layout, err = ova.NewLayout(spec); err != nil {
		return err
	}
	b, err := x.State()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	x.version = hex.EncodeToString(sum[:16])
	return nil
}

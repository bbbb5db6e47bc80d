package vsphere

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/vmdk"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// flatFile is the descriptor of a disk that can be read where it lies: a flat
// one, whole, that no key encrypts; false for any other. The file access of a
// datastore gives ranges, which a lease does not.
func flatFile(d *types.VirtualDisk) (p object.DatastorePath, ok bool) {
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if !ok || b.Parent != nil || b.KeyId != nil || b.DeltaDiskFormat != "" {
		return p, false
	}
	return p, p.FromString(b.FileName) && path.Ext(p.Path) == ".vmdk"
}

// thin disks have holes, which the file access of a datastore does not tell.
func thin(d *types.VirtualDisk) bool {
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	return ok && b.ThinProvisioned != nil && *b.ThinProvisioned
}

// inPlace opens a disk where it lies, which nobody writes to; nil where it is to
// be fetched by a lease, which gives of a thin one what there is. areas are those
// that have data, nil where they are not known.
func (h *Host) inPlace(ctx context.Context, at *types.VirtualDisk, areas []disk.Extent, d *host.Disk) (disk.Image, error) {
	if thin(at) && areas == nil {
		return nil, nil
	}
	return h.whereItLies(ctx, at, areas, d)
}

// whereItLies is inPlace, of thin disks too whose holes are not known.
func (h *Host) whereItLies(ctx context.Context, at *types.VirtualDisk, areas []disk.Extent, d *host.Disk) (disk.Image, error) {
	file, flat := flatFile(at)
	if !flat {
		return nil, nil
	}
	img, err := h.openFlat(ctx, file, capacity(at))
	if err != nil && unreadable(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", d.Name, err)
	}
	if areas != nil {
		img = mapped{img, areas}
	}
	sized, err := withSize(ctx, img, d.CapacityBytes)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("disk %s: %w", d.Name, err), img.Close())
	}
	return sized, nil
}

// openFlat opens the disk of size bytes whose descriptor is at p, which nobody
// writes to.
func (h *Host) openFlat(ctx context.Context, p object.DatastorePath, size int64) (_ disk.Image, err error) {
	text, err := h.datastoreFile(ctx, p)
	if err == nil && text == nil {
		err = fmt.Errorf("%s: %w", p.String(), host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	files := func(name string) (disk.OpenedFile, error) {
		if name == "" || path.Base(name) != name || name == "." || name == ".." {
			return disk.OpenedFile{}, fmt.Errorf("%.80q does not lie beside its descriptor: %w", name, host.ErrUnsupported)
		}
		f, err := h.openFile(ctx, object.DatastorePath{Datastore: p.Datastore, Path: path.Join(path.Dir(p.Path), name)})
		if err != nil {
			return disk.OpenedFile{}, err
		}
		if !f.Ranges() {
			return disk.OpenedFile{}, errors.Join(fmt.Errorf("%s: the vCenter gives no ranges of it: %w", f.URL(), host.ErrUnsupported), f.Close())
		}
		// The file outlives the call that opens it. One view for all: reads that
		// go on in sequence are read ahead of.
		return disk.OpenedFile{ReaderAt: f.At(context.WithoutCancel(ctx)), Closer: f, Size: f.Size()}, nil
	}
	img, err := vmdk.OpenSpread(bytes.NewReader(text), int64(len(text)), p.String(), files)
	if err != nil {
		return nil, err
	}
	if img.Size() != size {
		return nil, errors.Join(fmt.Errorf("%s: the descriptor is of %d bytes, the disk has %d: %w", p.String(), img.Size(), size, host.ErrUnsupported), img.Close())
	}
	return img, nil
}

// openFile opens a file of a datastore to be read.
func (h *Host) openFile(ctx context.Context, p object.DatastorePath) (*fetch.File, error) {
	ds := h.place.object(mo.Datastore{ManagedEntity: mo.ManagedEntity{Name: p.Datastore}})
	s := shelf{h}
	if err := s.renew(ctx); err != nil {
		return nil, err
	}
	opts := h.opts.Retry
	opts.Client, opts.Renew = s.client(), s.renew
	opts.Shown = func(string) string { return p.String() }
	f, err := fetch.Open(context.WithoutCancel(ctx), ds.NewURL(p.Path).String(), opts)
	if err != nil {
		return nil, explainFile(p.Datastore, p.String(), err)
	}
	return f, nil
}

// unreadable tells whether a disk is not given by the file access of its
// datastore, though perhaps by a lease.
func unreadable(err error) bool {
	var denied *PermissionError
	var status *fetch.StatusError
	return errors.As(err, &denied) || errors.Is(err, host.ErrNotFound) || errors.Is(err, host.ErrUnsupported) || errors.Is(err, disk.ErrUnsupported) ||
		errors.As(err, &status) && status.StatusCode != http.StatusUnauthorized
}

// versioned is an image that tells its content from that of other times.
type versioned struct {
	disk.Image
	version string
}

func (v versioned) Version() string { return v.version }

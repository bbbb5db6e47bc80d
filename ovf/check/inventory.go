package check

import (
	"context"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/validate"
)

// inventory is what a package that can be read anywhere holds.
type inventory struct {
	ctx   context.Context
	pkg   ovf.Opener
	sizes map[string]int64
}

// inventoryOf is nil for a package that is read in sequence: what it holds is
// known when it has passed.
func inventoryOf(ctx context.Context, pkg ovf.Package) validate.Inventory {
	o, ok := pkg.(ovf.Opener)
	if !ok {
		return nil
	}
	i := &inventory{ctx: ctx, pkg: o, sizes: map[string]int64{}}
	for _, m := range o.Members() {
		i.sizes[m.Name] = m.Size
	}
	return i
}

func (i *inventory) Size(name string) (int64, bool) {
	size, ok := i.sizes[name]
	return size, ok
}

// DiskCapacity reads the disk's header, a few KiB.
func (i *inventory) DiskCapacity(name string) (int64, bool) {
	f, err := i.pkg.Open(i.ctx, name)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	kind, err := disk.Detect(f, f.Size())
	if err != nil || kind.Format == "" || kind.Format == disk.Raw {
		return 0, false
	}
	img, err := formats.Open(f, f.Size(), formats.Source{Name: name, Declared: kind.Format})
	if err != nil {
		return 0, false
	}
	defer img.Close()
	return img.Size(), true
}

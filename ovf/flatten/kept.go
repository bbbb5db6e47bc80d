package flatten

import (
	"context"
	"fmt"
	"io"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/files"
)

// kept is the content of a file of a chain, for random access.
type kept struct {
	ovf.MemberFile
	file ovf.File
	name string
}

// keep keeps a file of a chain, gives it too where it is a disk of its own, and
// then what has become complete.
func (w *Whole) keep(ctx context.Context, c *files.Content) error {
	f, err := w.reader().Keep(ctx, c)
	if err != nil {
		return err
	}
	k := &kept{f, c.File, c.Name}
	w.kept[c.File.ID] = k
	if w.stays[c.File.ID] {
		name, err := ovf.MemberName(c.File.Href, func(n string) bool { return n == c.Name })
		if err != nil {
			return err
		}
		w.waiting = append(w.waiting, func(context.Context) (*ovf.Member, error) {
			return &ovf.Member{Name: name, Size: k.Size(), Reader: io.NewSectionReader(k, 0, k.Size())}, nil
		})
	}
	w.ready()
	return nil
}

// open is the image of a chain of disks, each over the next.
func (w *Whole) open(links []ovf.Disk) (disk.Image, error) {
	d := links[0]
	var over disk.Image
	if len(links) > 1 {
		var err error
		if over, err = w.open(links[1:]); err != nil {
			return nil, err
		}
	}
	fail := func(err error) (disk.Image, error) {
		if over != nil {
			over.Close()
		}
		return nil, fmt.Errorf("%s: disk %s: %w", w.Name(), d.ID, err)
	}
	if d.FileRef == "" {
		if over != nil {
			return over, nil
		}
		capacity, err := d.CapacityBytes()
		if err != nil {
			return nil, err
		}
		return raw.New(zeros{}, capacity), nil
	}
	k := w.kept[d.FileRef]
	src := formats.Source{Name: k.name, Over: over}
	if declared, ok := formats.OfURI(d.Format); ok {
		src.Declared = declared
	}
	img, err := formats.Open(k, k.Size(), src)
	if err != nil {
		return fail(err)
	}
	if over != nil && !formats.Layered(img) {
		// It holds everything itself, and has not taken the other over.
		over.Close()
	}
	return img, nil
}

// zeros is the content of a blank disk.
type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

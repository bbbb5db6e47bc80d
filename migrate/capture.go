package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/migrate/relay"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// imaging says how a cloud makes an image of a disk: a VolumeImage of a Volume
// (5.15.8.1), of a machine's own disk a MachineImage of the machine (5.14.7.1).
func (r *run) imaging(ctx context.Context, side Side, key, name string, d DiskShape) (making, error) {
	x := making{key: key, made: made{Side: side, Name: r.temporaryName(name), Temporary: true}}
	p := r.endpoint(side).Provider
	cep, err := p.EntryPoint(ctx)
	if err != nil {
		return x, err
	}
	if d.Of == "" {
		x.Collection, x.of = cimi.HrefOf(cep.VolumeImages), d.ID
		x.body = &cimi.VolumeImage{ImageLocation: d.ID, Bootable: cimi.Bool(d.Bootable)}
		return x, nil
	}
	x.Collection, x.of = cimi.HrefOf(cep.MachineImages), d.Of
	x.body, x.operation = &cimi.MachineImage{Type: "IMAGE", ImageLocation: d.Of}, cimi.ActionCapture
	return x, nil
}

// imageKey is what the journal calls the image of a disk at the source: one of
// a machine has all its own disks.
func (r *run) imageKey(d DiskShape) (key, name string) {
	if d.Of == "" {
		name = r.Assembly.Keys[d.ID]
		return "source image " + name, name
	}
	name = r.Assembly.label(d.Of, d.Of)
	return "source machine image " + name, name
}

// alone: the machine has no other disk of its own.
func (s *Shape) alone(d DiskShape) bool {
	return !slices.ContainsFunc(s.Disks, func(o DiskShape) bool { return o.Of == d.Of && o.ID != d.ID })
}

// errWhichDisk: an image of a machine in which its disk is not found.
var errWhichDisk = errors.New("nothing tells which disk in the machine's image it is")

// ownDisk finds a machine's own disk in the content of an image of the machine:
// that is the image of one disk, or a package, in which disks have names and
// sizes. What is given back closes the content; after an error it is open.
func ownDisk(ctx context.Context, c cimi.Content, d DiskShape, alone bool) (cimi.Content, error) {
	is, err := isPackage(c)
	if err != nil {
		return nil, err
	}
	if !is && !alone {
		return nil, refuse("", "", "disk "+d.Name, fmt.Errorf("the image of its machine has the content of one disk, the machine several of its own: %w", errWhichDisk), "move its content to a Volume")
	}
	if !is {
		return c, nil
	}
	x, err := relay.ReadIndex(ctx, c, "the image of its machine")
	if err != nil {
		return nil, err
	}
	within, err := inPackage(x.Envelope, d)
	if err != nil {
		return nil, err
	}
	if within.Blank() {
		return portion{relay.Section(zeros{}, 0, within.CapacityBytes), c}, nil
	}
	for _, s := range x.Disks {
		if o, ok := x.Envelope.Disk(s.ID); ok && o.FileRef == within.FileID {
			return portion{relay.Section(c, s.Offset, s.Size), c}, nil
		}
	}
	return nil, fmt.Errorf("disk %s: in the image of its machine it is compressed, or in several parts, and cannot be read by itself", d.Name)
}

// isPackage tells a package from an image of one disk.
func isPackage(c cimi.Content) (bool, error) {
	head := make([]byte, ova.HeaderSize)
	if !c.Ranged() || c.Size() < int64(len(head)) {
		return false, nil
	}
	if _, err := c.ReadAt(head, 0); err != nil && err != io.EOF {
		return false, err
	}
	return ova.Begins(head), nil
}

// inPackage finds a disk by its name, else as the only one of its size, else as
// the only one that there is.
func inPackage(env *ovf.Envelope, d DiskShape) (*systemtemplate.Disk, error) {
	v, _, err := systemtemplate.Read(env, systemtemplate.Options{})
	if err != nil {
		return nil, err
	}
	var all, named, sized []*systemtemplate.Disk
	for _, m := range v.System.AllMachines() {
		for _, a := range m.Attachments {
			x := a.Volume
			if x == nil || x.Disk == nil {
				continue
			}
			all = append(all, x.Disk)
			if x.Name == cmp.Or(d.there, d.Name) {
				named = append(named, x.Disk)
			}
			if x.Disk.CapacityBytes > 0 && (x.Disk.CapacityBytes+999)/1000 == d.Capacity {
				sized = append(sized, x.Disk)
			}
		}
	}
	for _, found := range [][]*systemtemplate.Disk{named, sized, all} {
		if len(found) == 1 {
			return found[0], nil
		}
	}
	return nil, fmt.Errorf("disk %s: %w, of %d", d.Name, errWhichDisk, len(all))
}

// portion is a part of a content, by itself.
type portion struct {
	relay.Content
	whole cimi.Content
}

func (p portion) Ranged() bool    { return true }
func (p portion) Version() string { return p.whole.Version() }
func (p portion) Close() error    { return p.whole.Close() }

// Stream is relay.Streamer.
func (p portion) Stream(ctx context.Context, off, n int64) io.ReadCloser {
	return relay.Sequence(ctx, p.Content, off, n)
}

// zeros is a disk without content.
type zeros struct{}

func (zeros) Size() int64 { return 1<<63 - 1 }

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

// readOwn adds the disks that machines of the destination were made with, in
// the names of the source.
func (s *Shape) readOwn(ctx context.Context, p cimi.Provider, src *Shape) error {
	for _, d := range src.Disks {
		if !d.Kept {
			continue
		}
		i := slices.IndexFunc(src.Machines, func(m MachineShape) bool { return m.ID == d.Of })
		k := slices.IndexFunc(s.Machines, func(m MachineShape) bool {
			return i >= 0 && m.Name == src.Machines[i].Name && m.OVFID == src.Machines[i].OVFID
		})
		if k < 0 {
			continue // it is missed as a machine
		}
		_, disks, err := ownDisks(ctx, p, s.Machines[k].ID)
		if err != nil {
			return err
		}
		if len(disks) == 0 {
			continue
		}
		x := disks[0]
		x.there, x.Name, x.OVFID = x.Name, d.Name, d.OVFID
		s.Disks = append(s.Disks, x)
		s.Machines[k].attach(x)
	}
	return nil
}

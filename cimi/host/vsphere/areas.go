package vsphere

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

// tracked tells whether the host of a machine tracks the changes of a disk
// (changed-block tracking), which nobody else has, and which is whole. It gives
// the change id.
func tracked(vm *mo.VirtualMachine, d *types.VirtualDisk) (changeID string, ok bool) {
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if !ok || b.ChangeId == "" || vm.Config == nil || vm.Config.ChangeTrackingEnabled == nil || !*vm.Config.ChangeTrackingEnabled {
		return "", false
	}
	if b.Sharing != "" && b.Sharing != string(types.VirtualDiskSharingSharingNone) || strings.HasPrefix(b.DiskMode, "independent") {
		return "", false
	}
	_, _, ok = cutChangeID(b.ChangeId)
	return b.ChangeId, ok
}

// cutChangeID takes a change id apart: which tracking it is of, and how often that
// has counted.
func cutChangeID(id string) (tracking string, count uint64, ok bool) {
	tracking, n, ok := strings.Cut(id, "/")
	count, err := strconv.ParseUint(n, 10, 64)
	return tracking, count, ok && tracking != "" && err == nil
}

// everything stands for a change id: what a disk has ever been given.
const everything = "*"

// mostAreas bounds what is kept of a disk's map.
const mostAreas = 1 << 20

// allocated are the areas of a disk that were ever written to, as a snapshot
// shows it, ascending; nil where nothing tells: its host must track changes
// already (changed-block tracking), which is not switched on for it.
func (h *Host) allocated(ctx context.Context, vm types.ManagedObjectReference, snap *snapshot, d *types.VirtualDisk) ([]disk.Extent, error) {
	b, ok := d.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
	if !ok || b.ChangeId == "" {
		return nil, nil
	}
	return h.areas(ctx, vm, &snap.ref, d, everything)
}

// areas are those of a disk that changed since a change id, as a snapshot shows
// it, or as it is where its machine is at rest: ascending, apart.
func (h *Host) areas(ctx context.Context, vm types.ManagedObjectReference, snap *types.ManagedObjectReference, d *types.VirtualDisk, since string) ([]disk.Extent, error) {
	out := []disk.Extent{}
	size := capacity(d)
	for at := int64(0); at < size; {
		res, err := methods.QueryChangedDiskAreas(ctx, h.conn, &types.QueryChangedDiskAreas{This: vm, Snapshot: snap, DeviceKey: d.Key, StartOffset: at, ChangeId: since})
		if err != nil {
			return nil, explain(err)
		}
		told := res.Returnval
		if told.StartOffset > at || told.Length <= 0 || told.StartOffset+told.Length <= at {
			return nil, fmt.Errorf("asked for the areas from %d on, the vCenter tells of %d bytes from %d", at, told.Length, told.StartOffset)
		}
		for _, a := range told.ChangedArea {
			var last disk.Extent
			if n := len(out); n > 0 {
				last = out[n-1]
			}
			if a.Start < last.Offset || a.Length <= 0 || a.Start > size-a.Length || len(out) == mostAreas {
				return nil, fmt.Errorf("the vCenter tells of an area of %d bytes at %d after one at %d, of a disk of %d, and of %d before", a.Length, a.Start, last.Offset, size, len(out))
			}
			if end := last.Offset + last.Length; len(out) > 0 && a.Start <= end {
				out[len(out)-1].Length = max(end, a.Start+a.Length) - last.Offset
				continue
			}
			out = append(out, disk.Extent{Offset: a.Start, Length: a.Length})
		}
		at = told.StartOffset + told.Length
	}
	return out, nil
}

// areasUnknown tells that a disk is read without its map.
func areasUnknown(d *host.Disk, err error) ovf.Finding {
	return ovf.Finding{ID: "VSPHERE-CBT-001", Severity: ovf.Info, Object: "disk " + d.Name,
		Message: fmt.Sprintf("its host tracks changes and does not tell what was ever written (%v): it is read without that", err)}
}

// mapped is a disk of which the areas are known that have data.
type mapped struct {
	disk.Image
	areas []disk.Extent
}

func (m mapped) Extents(ctx context.Context, off, n int64) iter.Seq2[disk.Extent, error] {
	return disk.Merged(func(yield func(disk.Extent, error) bool) {
		if off < 0 || n < 0 || off > m.Size()-n {
			yield(disk.Extent{}, fmt.Errorf("extents of %d bytes at %d: the disk has %d", n, off, m.Size()))
			return
		}
		end := off + n
		zero := func(to int64) bool {
			from := off
			off = max(off, to)
			return from >= to || yield(disk.Extent{Offset: from, Length: to - from, Zero: true}, nil)
		}
		for _, a := range after(m.areas, off) {
			from, to := max(a.Offset, off), min(a.Offset+a.Length, end)
			if a.Offset >= end {
				break
			}
			if !zero(from) || from < to && !yield(disk.Extent{Offset: from, Length: to - from}, nil) {
				return
			}
			off = max(off, to)
		}
		zero(end)
	})
}

// after are the areas that end after off.
func after(areas []disk.Extent, off int64) []disk.Extent {
	lo, hi := 0, len(areas)
	for lo < hi {
		if mid := (lo + hi) / 2; areas[mid].Offset+areas[mid].Length > off {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return areas[lo:]
}

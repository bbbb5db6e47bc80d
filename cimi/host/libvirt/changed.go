package libvirt

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

var _ host.ChangeTracker = (*Host)(nil)

// point is a moment of a disk: the checkpoint that was made then, and what tells
// the disk from any other. A file that has the checkpoint's bitmap, which bears a
// name that no other has, is that disk or a copy of it, with a content that the
// bitmap goes with.
type point struct {
	Checkpoint string `json:"checkpoint"`
	Machine    string `json:"machine"`
	Device     string `json:"device"`
	Place      string `json:"place"`
	Size       int64  `json:"size"`
}

// points are those of the disks that machines keep track of for a snapshot, by id.
func points(all []copying, snapshot string) (map[string]string, error) {
	out := map[string]string{}
	for _, c := range all {
		if !c.mark {
			continue
		}
		b, err := json.Marshal(point{checkpointName(snapshot), c.by.machine, c.by.dev, c.from.String(), c.size})
		if err != nil {
			return nil, err
		}
		out[c.d.ID] = string(b)
	}
	return out, nil
}

const (
	// nearby is how far apart changes are that are told as one, in bytes.
	nearby = 1 << 20
	// mostAreas bounds what is kept of a disk's changes.
	mostAreas = 1 << 20
)

// ChangedSince reads what a QEMU that has ended in order has noted in the volume
// since the checkpoint of an export; see host.ChangeTracker.
func (h *Host) ChangedSince(ctx context.Context, diskID, since string) ([]disk.Extent, error) {
	var then point
	if err := json.Unmarshal([]byte(since), &then); err != nil {
		return nil, fmt.Errorf("disk %s: the point is none of this host (%v): %w", diskID, err, host.ErrChanged)
	}
	d, at, err := h.findDisk(ctx, diskID)
	if err != nil {
		return nil, err
	}
	if err := h.unused(ctx, at); err != nil {
		return nil, fmt.Errorf("disk %s: %w", d.Name, err)
	}
	areas, err := h.noted(ctx, at, then)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("disk %s: what has changed since %s: %w: %w", d.Name, then.Checkpoint, err, host.ErrChanged)
	}
	if err := h.unused(ctx, at); err != nil { // nor was it meanwhile
		return nil, fmt.Errorf("disk %s: %w", d.Name, err)
	}
	return areas, nil
}

// unused wraps host.ErrBusy where a domain runs with a disk.
func (h *Host) unused(ctx context.Context, at place) error {
	now, err := h.running(ctx)
	if err != nil {
		return err
	}
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		if u := now.users[pathOf(l, at)]; len(u) > 0 {
			return fmt.Errorf("machine %s is not at rest: %w", u[0].machine, host.ErrBusy)
		}
		return nil
	})
}

// noted are the areas that the bitmap of a point has, where nothing speaks against it.
func (h *Host) noted(ctx context.Context, at place, then point) ([]disk.Extent, error) {
	if at.String() != then.Place {
		return nil, fmt.Errorf("it lies at %s, it lay at %s", at, then.Place)
	}
	err := h.onDomain(ctx, then.Machine, func(l *lv.Libvirt, d lv.Domain) error { return then.follows(l, d, at) })
	if err != nil {
		return nil, err
	}
	img, err := h.openMarked(ctx, at)
	if err != nil {
		return nil, err
	}
	defer img.Close()
	if img.Size() != then.Size {
		return nil, fmt.Errorf("it has %d bytes, it had %d", img.Size(), then.Size)
	}
	out := []disk.Extent{}
	for e, err := range img.Dirty(ctx, then.Checkpoint) {
		if err != nil {
			return nil, err
		}
		if n := len(out); n > 0 && e.Offset-out[n-1].Offset-out[n-1].Length < nearby {
			out[n-1].Length = e.Offset + e.Length - out[n-1].Offset
			continue
		}
		if len(out) == mostAreas {
			return nil, fmt.Errorf("it has more than %d areas that have changed", mostAreas)
		}
		out = append(out, e)
	}
	return out, nil
}

// follows tells whether a domain still has the disk, and the checkpoint that was
// made for it, and no other, as far as libvirt knows.
func (then point) follows(l *lv.Libvirt, d lv.Domain, at place) error {
	if _, err := l.DomainCheckpointLookupByName(d, then.Checkpoint, 0); err != nil {
		return err
	}
	ok, err := untouched(l, d, then.Checkpoint)
	if err == nil && !ok {
		err = errors.New("its machine has other checkpoints, or snapshots")
	}
	if err != nil {
		return err
	}
	text, err := l.DomainGetXMLDesc(d, lv.DomainXMLInactive)
	if err != nil {
		return err
	}
	var x domainXML
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return err
	}
	for _, k := range x.Devices.Disks {
		if k.Target.Dev == then.Device && k.alone() && pathOf(l, placeOf(k.Source)) == pathOf(l, at) {
			return nil
		}
	}
	return fmt.Errorf("its machine has it no more as %s", then.Device)
}

// OpenFew is OpenDisk, which reads of a volume what is asked for.
func (h *Host) OpenFew(ctx context.Context, diskID string) (disk.Image, error) {
	return h.OpenDisk(ctx, diskID)
}

// tracks notes which disks of a System an export of its machines, which run, would
// keep track of from then on, as far as can be told now; see host.Disk.Tracked.
func (h *Host) tracks(ctx context.Context, s *host.System, places map[string]place) {
	if !h.caps.backup {
		return
	}
	for m := range s.AllMachines() {
		// Raw volumes of ours need no question, of which there are many.
		may := slices.ContainsFunc(m.Attachments, func(a host.Attachment) bool {
			at, here := places[a.DiskID]
			return here && !strings.HasSuffix(at.volume, "."+string(disk.Raw))
		})
		if !may || m.State != host.Started && m.State != host.Paused {
			continue
		}
		// It is for a plan to tell: what cannot be read now is not kept track of.
		_ = h.onDomain(ctx, m.ID, func(l *lv.Libvirt, d lv.Domain) error {
			alone, err := trackable(l, d)
			for _, a := range m.Attachments {
				if k := s.Disk(a.DiskID); k != nil && len(alone) > 0 {
					k.Tracked = alone[pathOf(l, places[k.ID])]
				}
			}
			return err
		})
	}
}

// trackable are the disks of a domain that runs, by path, which can be kept track of.
func trackable(l *lv.Libvirt, d lv.Domain) (map[string]bool, error) {
	text, err := l.DomainGetXMLDesc(d, 0)
	if err != nil {
		return nil, err
	}
	var x domainXML
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return nil, fmt.Errorf("domain %s: its description: %w", d.Name, err)
	}
	out := map[string]bool{}
	for _, k := range x.Devices.Disks {
		if k.alone() {
			out[pathOf(l, placeOf(k.Source))] = true
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	if ok, err := untouched(l, d, ""); err != nil || !ok {
		return nil, err
	}
	return out, nil
}

package libvirt

import (
	"context"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
	"github.com/cimimove/cimimove/ovf/disk"
)

var _ host.Patcher = (*Host)(nil)

// Patches tells whether parts of a disk can be written: a volume of ours that
// is raw.
func (h *Host) Patches(d *host.Disk) bool {
	_, format, _ := strings.Cut(d.Storage, ":")
	return disk.Format(first(format, string(h.opts.Format))) == disk.Raw
}

// Patch uploads blocks into a raw volume; see host.Patcher.
func (h *Host) Patch(ctx context.Context, diskID string, blocks []host.Block) error {
	h.patch.Lock()
	defer h.patch.Unlock()
	at, err := h.unprove(ctx, diskID, blocks)
	if err != nil {
		return err
	}
	vol, err := h.volume(ctx, at)
	if err != nil {
		return err
	}
	for len(blocks) > 0 {
		// Adjacent ones go in one stream, zeros as they are: a hole would cut off
		// what comes after it.
		first := blocks[0].Offset
		end, n := first, 0
		var pieces []stream.Piece
		for ; n < len(blocks) && blocks[n].Offset == end; n++ {
			b := blocks[n]
			p := stream.Piece{Offset: b.Offset, Data: b.Data}
			if p.Data == nil {
				p.Data = make([]byte, b.Length)
			}
			pieces, end = append(pieces, p), end+b.Length
		}
		err := h.conn.streaming(ctx, func(s *stream.Conn) error { return s.Upload(ctx, named(vol), first, end, pieces) })
		if err != nil {
			return full(fmt.Errorf("volume %s: writing at %d: %w", at.volume, first, err))
		}
		blocks = blocks[n:]
	}
	return nil
}

// unprove notes that a disk is about to be changed, where it may be.
func (h *Host) unprove(ctx context.Context, diskID string, blocks []host.Block) (at place, err error) {
	h.write.Lock()
	defer h.write.Unlock()
	e, d, at, err := h.resting(ctx, diskID)
	if err != nil {
		return at, err
	}
	for _, b := range blocks {
		if b.Offset < 0 || b.Length <= 0 || b.Offset > d.CapacityBytes-b.Length || b.Data != nil && int64(len(b.Data)) != b.Length {
			return at, fmt.Errorf("disk %s: %d bytes at %d exceed its %d: %w", d.Name, b.Length, b.Offset, d.CapacityBytes, host.ErrUnsupported)
		}
	}
	if d.Unproved {
		return at, nil
	}
	d.Unproved, d.ContentDigest = true, ""
	return at, h.ledger.Replace(ctx, e)
}

// resting finds a disk that can be patched, and that no machine of its System uses now.
func (h *Host) resting(ctx context.Context, diskID string) (e *ledger.Entry, d *host.Disk, at place, err error) {
	all, err := h.ledger.All(ctx)
	if err != nil {
		return nil, nil, at, err
	}
	for _, k := range all {
		if k.System.Disk(diskID) == nil {
			continue
		}
		if e, err = h.stopped(ctx, k.System.ID); err != nil {
			return nil, nil, at, err
		}
		if d = e.System.Disk(diskID); d == nil {
			break
		}
		at = placesOf(e, h.opts.Pool)[diskID]
		if !strings.HasPrefix(at.volume, prefix+"disk-") || formatOf(at.volume) != disk.Raw {
			return nil, nil, at, fmt.Errorf("disk %s: volume %s is not raw, so no part of it can be written: %w", d.Name, at.volume, host.ErrUnsupported)
		}
		return e, d, at, nil
	}
	return nil, nil, at, fmt.Errorf("disk %s: %w", diskID, host.ErrNotFound)
}

// Prove reads a disk anew; see host.Patcher. How durable it is by then is the
// hypervisor's to say, as it is of what was imported.
func (h *Host) Prove(ctx context.Context, diskID string, want disk.Digest, progress disk.Progress) error {
	h.patch.Lock()
	defer h.patch.Unlock()
	_, d, at, err := h.resting(ctx, diskID)
	if err != nil {
		return err
	}
	written, err := h.writtenAt(ctx, at)
	if err != nil {
		return err
	}
	if want.Size > d.CapacityBytes {
		return fmt.Errorf("disk %s: a digest of %d bytes, it has %d: %w", d.Name, want.Size, d.CapacityBytes, host.ErrUnsupported)
	}
	img, err := h.openPlace(ctx, at, disk.Raw, d.CapacityBytes)
	if err != nil {
		return err
	}
	defer img.Close()
	now, err := disk.ContentDigest(ctx, img, want.Size, progress)
	if err != nil {
		return err
	}
	if err := host.CheckContent(ctx, d.Name, at.volume, img, now, want); err != nil {
		return err
	}
	h.write.Lock()
	defer h.write.Unlock()
	e, d, still, err := h.resting(ctx, diskID)
	if err == nil && still != at {
		err = fmt.Errorf("disk %s: its content was replaced: %w", d.Name, host.ErrChanged)
	}
	if err != nil {
		return err
	}
	d.Unproved = false
	if now.Sum != disk.NewDigester(want.Size, nil).Sum().Sum || d.ContentBytes > 0 {
		d.ContentBytes, d.ContentDigest = want.Size, want.String()
	}
	if e.Versions == nil {
		e.Versions = map[string]string{}
	}
	e.Versions[diskID] = written
	return h.ledger.Replace(ctx, e)
}

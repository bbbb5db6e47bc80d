package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt/stream"
	"github.com/cimimove/cimimove/ovf/disk"
)

// prefix marks volumes that are ours.
const prefix = "cimimove-"

func diskVolume(id string, f disk.Format) string { return prefix + "disk-" + id + "." + string(f) }

// contentID tells the contents of a disk apart: one that was replaced as a
// whole lies in another volume.
func contentID(d *host.Disk) string {
	if d.Generation > 0 {
		return fmt.Sprintf("%s.%d", d.ID, d.Generation)
	}
	return d.ID
}

// formatOf a volume of ours is its extension.
func formatOf(volume string) disk.Format {
	if strings.HasSuffix(volume, "."+string(disk.QCOW2)) {
		return disk.QCOW2
	}
	return disk.Raw
}

// volumeXML is what StorageVolCreateXML takes, and what is read of a volume.
type volumeXML struct {
	XMLName    xml.Name `xml:"volume"`
	Name       string   `xml:"name"`
	Capacity   sizeXML  `xml:"capacity"`
	Allocation sizeXML  `xml:"allocation"`
	Target     struct {
		Format struct {
			Type string `xml:"type,attr"`
		} `xml:"format"`
		Compat string `xml:"compat,omitempty"` // of a qcow2
	} `xml:"target"`
	Backing *struct {
		Path string `xml:"path"`
	} `xml:"backingStore"`
}

type sizeXML struct {
	Unit  string `xml:"unit,attr"`
	Bytes int64  `xml:",chardata"`
}

func named(v lv.StorageVol) stream.Volume {
	return stream.Volume{Pool: v.Pool, Name: v.Name, Key: v.Key}
}

// createVolume makes a thin volume with a capacity of size bytes. Its name is taken by nobody
// else, so that one that is there after a lost connection is the one.
func (h *Host) createVolume(ctx context.Context, at place, size int64, f disk.Format) (vol lv.StorageVol, err error) {
	p, err := h.pool(ctx, at.pool)
	if err != nil {
		return vol, err
	}
	v := volumeXML{Name: at.volume, Capacity: sizeXML{"bytes", size}, Allocation: sizeXML{"bytes", 0}}
	if v.Target.Format.Type = string(f); f == disk.QCOW2 {
		v.Target.Compat = "1.1"
	}
	b, err := xml.Marshal(v)
	if err != nil {
		return vol, err
	}
	tries := 0
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		tries++
		var err error
		vol, err = l.StorageVolCreateXML(p, string(b), 0)
		if is(err, lv.ErrStorageVolExist) && tries > 1 {
			vol, err = l.StorageVolLookupByName(p, at.volume)
		}
		return err
	})
	if is(err, lv.ErrStorageVolExist) {
		err = fmt.Errorf("volume %s of pool %s: %w", at.volume, at.pool, host.ErrExists)
	}
	if err != nil {
		return vol, full(fmt.Errorf("volume %s of pool %s: %w", at.volume, at.pool, err))
	}
	return vol, nil
}

func (h *Host) volume(ctx context.Context, at place) (vol lv.StorageVol, err error) {
	p, err := h.pool(ctx, at.pool)
	if err != nil {
		return vol, err
	}
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		vol, err = l.StorageVolLookupByName(p, at.volume)
		return err
	})
	if is(err, lv.ErrNoStorageVol) {
		err = fmt.Errorf("volume %s of pool %s: %w", at.volume, at.pool, host.ErrNotFound)
	}
	return vol, err
}

// capacity is a volume's, in bytes.
func (h *Host) capacity(ctx context.Context, vol lv.StorageVol) (n int64, err error) {
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		_, capacity, _, err := l.StorageVolGetInfo(vol)
		n = int64(capacity)
		return err
	})
	if is(err, lv.ErrNoStorageVol) {
		err = fmt.Errorf("volume %s of pool %s: %w", vol.Name, vol.Pool, host.ErrNotFound)
	}
	return n, err
}

// removeVolume removes a volume; that it is not there is no error.
func (h *Host) removeVolume(ctx context.Context, at place) error {
	vol, err := h.volume(ctx, at)
	if err == nil {
		err = settled(ctx, func() error {
			return h.conn.call(ctx, func(l *lv.Libvirt) error { return l.StorageVolDelete(vol, lv.StorageVolDeleteNormal) })
		})
	}
	if errors.Is(err, host.ErrNotFound) || is(err, lv.ErrNoStorageVol) {
		return nil
	}
	return err
}

// busy is how libvirt says that a volume cannot be had at the moment.
var busy = regexp.MustCompile(`\buse\b|being allocated`)

// settled calls f until libvirt has let go of the volume: it counts a volume as
// in use for a moment after an upload has been confirmed, and longer where the
// connection was lost in the middle of one; one that is just being made cannot
// be read yet.
func settled(ctx context.Context, f func() error) error {
	for wait := time.Millisecond; ; wait *= 2 {
		err := f()
		if !is(err, lv.ErrOperationInvalid) || !busy.MatchString(err.Error()) || wait > 8*time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// put makes a volume of content that is at hand, in place of an older one.
func (h *Host) put(ctx context.Context, at place, content []byte) error {
	if err := h.removeVolume(ctx, at); err != nil {
		return err
	}
	vol, err := h.createVolume(ctx, at, int64(len(content)), disk.Raw)
	if err != nil || len(content) == 0 {
		return err
	}
	return full(h.conn.streaming(ctx, func(s *stream.Conn) error {
		return s.Upload(ctx, named(vol), 0, int64(len(content)), []stream.Piece{{Offset: 0, Data: content}})
	}))
}

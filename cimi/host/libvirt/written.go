package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

var _ host.Versioner = (*Host)(nil)

// writtenAt is when a volume was last written to, in seconds as its pool's file
// system says; empty where there is none. That libvirt gives the file to another
// user, as it does when a domain starts, does not count.
func (h *Host) writtenAt(ctx context.Context, at place) (written string, err error) {
	vol, err := h.volume(ctx, at)
	if err == nil {
		written, err = h.written(ctx, vol)
	}
	if err != nil {
		return "", fmt.Errorf("volume %s of pool %s: %w", at.volume, at.pool, err)
	}
	return written, nil
}

func (h *Host) written(ctx context.Context, vol lv.StorageVol) (string, error) {
	var v struct {
		Written string `xml:"target>timestamps>mtime"`
	}
	err := h.conn.call(ctx, func(l *lv.Libvirt) error {
		text, err := l.StorageVolGetXMLDesc(vol, 0)
		if err != nil {
			return err
		}
		return xml.Unmarshal([]byte(text), &v)
	})
	return v.Written, err
}

// ContentVersion is the date of the disk's volume; a disk of others that lies in
// no pool has none.
func (h *Host) ContentVersion(ctx context.Context, diskID string) (string, error) {
	d, at, err := h.findDisk(ctx, diskID)
	if err != nil {
		return "", err
	}
	var vol lv.StorageVol
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		vol, err = volumeOf(l, diskSourceXML{Pool: at.pool, Volume: at.volume, File: at.volume})
		return err
	})
	if is(err, lv.ErrNoStorageVol) || is(err, lv.ErrNoStoragePool) {
		return "", nil
	}
	var written string
	if err == nil {
		written, err = h.written(ctx, vol)
	}
	if err != nil {
		return "", fmt.Errorf("disk %s: %w", d.Name, err)
	}
	if written == "" {
		return "", nil // a device tells no date
	}
	return vol.Key + " of " + written, nil
}

// dateDigest notes until when the digest of a disk holds, which is taken after that.
func (h *Host) dateDigest(ctx context.Context, e *ledger.Entry, d *host.Disk, at place) error {
	written, err := h.writtenAt(ctx, at)
	if err != nil {
		return err
	}
	if e.Versions == nil {
		e.Versions = map[string]string{}
	}
	e.Versions[d.ID] = written
	return nil
}

// voidDigests forgets what is known of the disks of a System whose volumes were
// written to since, or may have been, that they are blank too, and gives their
// ids: whoever started a domain, or the host that does so when it boots, may not
// have come through here.
func (h *Host) voidDigests(ctx context.Context, e *ledger.Entry, places map[string]place) (void map[string]bool, err error) {
	void = map[string]bool{}
	for d := range e.System.AllDisks() {
		if d.Unproved || d.ContentDigest == "" && d.ContentBytes > 0 {
			continue // it is known not to be known
		}
		written, err := h.writtenAt(ctx, places[d.ID])
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
		if written == "" || written != e.Versions[d.ID] {
			d.ContentDigest, d.ContentBytes = "", d.CapacityBytes
			void[d.ID] = true
		}
	}
	return void, nil
}

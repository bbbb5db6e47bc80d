package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
)

// writtenAt is when a volume was last written to, in seconds as its pool's file
// system says; empty where there is none. That libvirt gives the file to another
// user, as it does when a domain starts, does not count.
func (h *Host) writtenAt(ctx context.Context, at place) (string, error) {
	vol, err := h.volume(ctx, at)
	if err != nil {
		return "", err
	}
	var v struct {
		Written string `xml:"target>timestamps>mtime"`
	}
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		text, err := l.StorageVolGetXMLDesc(vol, 0)
		if err != nil {
			return err
		}
		return xml.Unmarshal([]byte(text), &v)
	})
	if err != nil {
		return "", fmt.Errorf("volume %s of pool %s: %w", at.volume, at.pool, err)
	}
	return v.Written, nil
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

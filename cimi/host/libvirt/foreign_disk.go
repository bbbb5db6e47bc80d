package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
)

// openForeign opens a disk that others made: a volume, or a file or device that
// lies in a pool all the same.
func (h *Host) openForeign(ctx context.Context, at place, d *host.Disk) (disk.Image, error) {
	var vol lv.StorageVol
	var format string
	err := h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		vol, format, err = describeVolume(l, at)
		return err
	})
	if is(err, lv.ErrNoStorageVol) || is(err, lv.ErrNoStoragePool) {
		return nil, fmt.Errorf("disk %s: %s: %w", d.Name, unreachable(at), host.ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("disk %s: %w", d.Name, err)
	}
	return h.openImage(ctx, vol, format, 0)
}

// unreachable says why libvirt does not give a disk, and what helps.
func unreachable(at place) string {
	switch {
	case at.pool != "":
		return fmt.Sprintf("there is no volume %s in a pool %s", at.volume, at.pool)
	case strings.Contains(at.volume, "://"):
		return fmt.Sprintf("it is on the network (%s), where libvirt does not read it; copy it into a pool first", at.volume)
	case strings.HasPrefix(at.volume, "/dev/"):
		return fmt.Sprintf("%s lies in no storage pool, and libvirt gives only what does; a pool of type logical, disk or iscsi can hold the device", at.volume)
	}
	return fmt.Sprintf("%s lies in no storage pool, and libvirt gives only what does; virsh pool-create-as NAME dir --target %s makes one of its folder", at.volume, path.Dir(at.volume))
}

func describeVolume(l *lv.Libvirt, at place) (vol lv.StorageVol, format string, err error) {
	if vol, err = volumeOf(l, diskSourceXML{Pool: at.pool, Volume: at.volume, File: at.volume}); err != nil {
		return vol, "", err
	}
	text, err := l.StorageVolGetXMLDesc(vol, 0)
	if err != nil {
		return vol, "", err
	}
	var x volumeXML
	if err := xml.Unmarshal([]byte(text), &x); err != nil {
		return vol, "", err
	}
	return vol, x.Target.Format.Type, nil
}

// maxDepth bounds a chain of images.
const maxDepth = 64

// libvirt's names of formats.
var volumeFormats = map[string]disk.Format{"": disk.Raw, "raw": disk.Raw, "qcow2": disk.QCOW2, "vmdk": disk.VMDKSparse, "vdi": disk.VDI, "vpc": disk.VHD, "vhdx": disk.VHDX}

// openImage opens a volume as what libvirt says it is, with the images it
// builds on, where they are volumes too: snapshots leave such chains.
func (h *Host) openImage(ctx context.Context, vol lv.StorageVol, format string, depth int) (disk.Image, error) {
	f, ok := volumeFormats[format]
	if !ok {
		switch format { // of a device: iscsi, lvm2, …
		case "lvm2", "linux", "fat16", "fat32", "none", "unknown", "dos", "extended":
			f = disk.Raw
		default:
			return nil, &disk.UnsupportedError{Name: vol.Name, Format: disk.Format(format), Feature: "reading it"}
		}
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("volume %s: a chain of more than %d images: %w", vol.Name, maxDepth, disk.ErrCorrupt)
	}
	file, err := h.openVol(ctx, vol, f)
	if err != nil {
		return nil, err
	}
	if f == disk.Raw {
		return &rawVolume{volumeFile: file}, nil
	}
	var img disk.Image
	if f == disk.QCOW2 {
		img, err = qcow2.OpenOver(file, file.size, file.name(), h.parents(ctx, vol, depth))
	} else {
		img, err = formats.Open(file, file.size, formats.Source{Name: file.name(), Declared: f})
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return disk.Owning(img, file), nil
}

// parents opens images by the path that libvirt knows them by.
func (h *Host) parents(ctx context.Context, child lv.StorageVol, depth int) disk.Parents {
	return func(names []string, _ disk.Format) (disk.Image, error) {
		var refused error
		for _, name := range names {
			if strings.Contains(name, ":") {
				continue // not a path
			}
			if !path.IsAbs(name) {
				name = path.Join(path.Dir(child.Key), name)
			}
			var vol lv.StorageVol
			var format string
			err := h.conn.call(ctx, func(l *lv.Libvirt) error {
				var err error
				vol, format, err = describeVolume(l, place{"", name})
				return err
			})
			if err == nil {
				return h.openImage(ctx, vol, format, depth+1)
			}
			refused = errors.Join(refused, fmt.Errorf("%s builds on %s, which lies in no storage pool: %w: %w", child.Name, name, disk.ErrUnsupported, err))
		}
		if refused == nil {
			refused = fmt.Errorf("%s builds on %q: %w", child.Name, names, disk.ErrUnsupported)
		}
		return nil, refused
	}
}

// macOwners are the domains that have an address each, by that address in lower case.
func (h *Host) macOwners(ctx context.Context) map[string]string {
	owners := map[string]string{}
	// A finding is not worth an error: what cannot be read has no address.
	_ = h.conn.call(ctx, func(l *lv.Libvirt) error {
		all, _, err := l.ConnectListAllDomains(1, 0)
		if err != nil {
			return err
		}
		clear(owners)
		for _, d := range all {
			text, err := l.DomainGetXMLDesc(d, lv.DomainXMLInactive)
			if err != nil {
				continue
			}
			var x domainXML
			if xml.Unmarshal([]byte(text), &x) != nil {
				continue
			}
			for _, c := range x.Devices.Interfaces {
				if c.MAC != nil {
					owners[strings.ToLower(c.MAC.Address)] = d.Name
				}
			}
		}
		return nil
	})
	return owners
}

package libvirt

import (
	"context"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

// place is where a volume is.
type place struct{ pool, volume string }

// pool finds an active storage pool; where there is none of that name the
// error names those there are.
func (h *Host) pool(ctx context.Context, name string) (p lv.StoragePool, err error) {
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		p, err = l.StoragePoolLookupByName(name)
		if err == nil {
			var active int32
			if active, err = l.StoragePoolIsActive(p); err == nil && active == 0 {
				return fmt.Errorf("storage pool %q is not active: %w; virsh pool-start %s", name, host.ErrUnsupported, name)
			}
		}
		if !is(err, lv.ErrNoStoragePool) {
			return err
		}
		pools, _, err := l.ConnectListAllStoragePools(1, lv.ConnectListStoragePoolsActive)
		if err != nil {
			return err
		}
		names := make([]string, len(pools))
		for i, k := range pools {
			names[i] = k.Name
		}
		slices.Sort(names)
		there := "there are: " + strings.Join(names, ", ")
		if len(names) == 0 {
			there = "there is none; virsh pool-create-as makes one, ?pool=NAME chooses one"
		}
		// Another pool than the default is chosen by --storage or ?pool=.
		return fmt.Errorf("storage pool %q: %w; %s", name, errNoPool, there)
	})
	return p, err
}

const (
	defaultPool = "default"
	// imagesDir is where virt-manager and virt-install have it.
	imagesDir = "/var/lib/libvirt/images"
)

// choosePool finds the pool of a libvirtd for which none was named.
func (h *Host) choosePool(ctx context.Context) error {
	h.opts.Pool = defaultPool
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		pools, _, err := l.ConnectListAllStoragePools(1, 0)
		if err != nil {
			return err
		}
		for _, p := range pools {
			if p.Name == defaultPool {
				return nil
			}
		}
		active, _, err := l.ConnectListAllStoragePools(1, lv.ConnectListStoragePoolsActive)
		if err != nil {
			return err
		}
		switch {
		case len(active) == 1:
			h.opts.Pool = active[0].Name
		case len(pools) == 0 && h.conn.uri == "qemu:///system":
			p, err := l.StoragePoolDefineXML("<pool type='dir'><name>"+defaultPool+"</name><target><path>"+imagesDir+"</path></target></pool>", 0)
			if err == nil {
				err = l.StoragePoolBuild(p, lv.StoragePoolBuildNew)
			}
			if err == nil {
				err = l.StoragePoolCreate(p, 0)
			}
			if err == nil {
				err = l.StoragePoolSetAutostart(p, 1)
			}
			return err
		}
		return nil // the error will name those there are
	})
}

// errNoPool is refused as what the host cannot do: nothing is wrong with the System.
var errNoPool = fmt.Errorf("no such pool: %w", host.ErrUnsupported)

// poolXML is what is read of a pool.
type poolXML struct {
	Type   string `xml:"type,attr"`
	Target string `xml:"target>path"`
}

func (h *Host) describePool(ctx context.Context, name string) (poolXML, error) {
	var x poolXML
	p, err := h.pool(ctx, name)
	if err != nil {
		return x, err
	}
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		text, err := l.StoragePoolGetXMLDesc(p, 0)
		if err != nil {
			return err
		}
		return xml.Unmarshal([]byte(text), &x)
	})
	return x, err
}

// files tells whether the volumes of a pool are files, not devices.
func (x poolXML) files() bool {
	switch x.Type {
	case "dir", "fs", "netfs", "gluster", "vstorage":
		return true
	}
	return false
}

// wanted is where a new disk shall go, and in which format: Storage is POOL or
// POOL:FORMAT, each of which may be empty.
func (h *Host) wanted(ctx context.Context, d *host.Disk) (place, disk.Format, error) {
	name, format, _ := strings.Cut(d.Storage, ":")
	name = first(name, h.opts.Pool)
	x, err := h.describePool(ctx, name)
	if err != nil {
		return place{}, "", fmt.Errorf("disk %s: %w", d.Name, err)
	}
	f := disk.Format(format)
	if f == "" {
		if f = h.opts.Format; !x.files() {
			f = disk.Raw
		}
	}
	switch {
	case f != disk.Raw && f != disk.QCOW2:
		return place{}, "", fmt.Errorf("disk %s: storage %q: format %q: %w, expected raw or qcow2", d.Name, d.Storage, f, host.ErrUnsupported)
	case f == disk.QCOW2 && !x.files():
		return place{}, "", fmt.Errorf("disk %s: pool %s has volumes of type %s, which hold raw disks only: %w", d.Name, name, x.Type, host.ErrUnsupported)
	case slices.Contains([]string{"iscsi", "iscsi-direct", "scsi", "mpath", "disk"}, x.Type):
		// Partitions of a pool of type disk are made here, and have names of their own.
		return place{}, "", fmt.Errorf("disk %s: pool %s is of type %s, whose volumes are made or named by the storage itself: %w", d.Name, name, x.Type, host.ErrUnsupported)
	}
	return place{name, diskVolume(contentID(d), f)}, f, nil
}

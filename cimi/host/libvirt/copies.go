package libvirt

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"slices"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf/disk"
)

// runner is a domain that runs with a disk, under the name it has there.
type runner struct {
	machine, dev string
	reads        bool // and does not write
	qcow2        bool // a volume of that format, which builds on no other, alone
}

// running is what the domains that run do.
type running struct {
	machines map[string]bool     // by id
	users    map[string][]runner // of disks, by path
}

// writers are those that may change what is at a path.
func (r running) writers(path string) []runner {
	return slices.DeleteFunc(slices.Clone(r.users[path]), func(u runner) bool { return u.reads })
}

// running looks which domains run, with which disks.
func (h *Host) running(ctx context.Context) (r running, err error) {
	err = h.conn.call(ctx, func(l *lv.Libvirt) error {
		r = running{map[string]bool{}, map[string][]runner{}}
		all, _, err := l.ConnectListAllDomains(1, lv.ConnectListDomainsActive)
		if err != nil {
			return err
		}
		for _, d := range all {
			text, err := l.DomainGetXMLDesc(d, 0)
			if is(err, lv.ErrNoDomain) {
				continue
			}
			var x domainXML
			if err == nil {
				err = xml.Unmarshal([]byte(text), &x)
			}
			if err != nil {
				return fmt.Errorf("domain %s: its description: %w", d.Name, err)
			}
			id := hex.EncodeToString(d.UUID[:])
			r.machines[id] = true
			for _, k := range x.Devices.Disks {
				if k.Device == "" || k.Device == "disk" {
					at := pathOf(l, placeOf(k.Source))
					r.users[at] = append(r.users[at], runner{id, k.Target.Dev, k.ReadOnly != nil, k.alone()})
				}
			}
		}
		return nil
	})
	return r, err
}

// pathOf is where the hypervisor has a disk, whatever names it.
func pathOf(l *lv.Libvirt, at place) string {
	if at.pool == "" {
		return at.volume
	}
	if vol, err := volumeOf(l, diskSourceXML{Pool: at.pool, Volume: at.volume}); err == nil {
		if p, err := l.StorageVolGetPath(vol); err == nil {
			return p
		}
	}
	return at.String()
}

// copying is a disk that is to be copied: by the machine that runs with it, or at
// rest.
type copying struct {
	d     *host.Disk
	from  place
	by    runner // the zero value at rest
	to    place
	block bool  // to is a device
	mark  bool  // who copies it shall keep track of what is written to it from then on
	size  int64 // of the content, in bytes, as who copies it has it
}

func (c copying) atRest() bool { return c.by == (runner{}) }

// copies says how the disks of a System at those places shall be copied, each to
// a volume that bears the name of a snapshot.
func (h *Host) copies(ctx context.Context, s *host.System, places map[string]place, snapshot string) ([]copying, error) {
	now, err := h.running(ctx)
	if err != nil {
		return nil, err
	}
	var out []copying
	paths := map[string]string{}
	need := map[string]int64{}
	for d := range s.AllDisks() {
		c := copying{d: d, from: places[d.ID]}
		var allocated int64
		err := h.conn.call(ctx, func(l *lv.Libvirt) error {
			vol, err := volumeOf(l, diskSourceXML{Pool: c.from.pool, Volume: c.from.volume, File: c.from.volume})
			if is(err, lv.ErrNoStorageVol) || is(err, lv.ErrNoStoragePool) {
				return fmt.Errorf("%s: %w", unreachable(c.from), host.ErrUnsupported)
			}
			if err != nil {
				return err
			}
			c.to.pool = vol.Pool
			_, capacity, taken, err := l.StorageVolGetInfo(vol)
			if err != nil {
				return err
			}
			c.size, allocated = int64(capacity), int64(taken)
			paths[d.ID] = pathOf(l, c.from)
			writers := now.writers(paths[d.ID])
			switch len(writers) {
			case 0:
				return nil
			case 1:
				c.by = writers[0]
				id, err := domainUUID(c.by.machine)
				if err != nil {
					return err
				}
				k, err := l.DomainLookupByUUID(id)
				if err != nil {
					return err
				}
				_, capacity, _, err := l.DomainGetBlockInfo(k, c.by.dev, 0)
				c.size = int64(capacity)
				return err
			}
			// Each would keep what it overwrites itself, and not what the others do.
			return fmt.Errorf("%d machines that run share it: %w", len(writers), host.ErrBusy)
		})
		if err == nil {
			err = h.copyPlace(ctx, &c, fmt.Sprintf("%s%d", copyVolumes(snapshot), len(out)))
		}
		if err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
		if formatOf(c.to.volume) == disk.Raw {
			allocated = c.size
		}
		need[c.to.pool] += min(allocated, c.size)
		out = append(out, c)
	}
	for m := range s.AllMachines() {
		for _, a := range m.Attachments {
			d := s.Disk(a.DiskID)
			if d != nil && now.machines[m.ID] && !slices.ContainsFunc(now.users[paths[d.ID]], func(u runner) bool { return u.machine == m.ID }) {
				return nil, fmt.Errorf("machine %s does not run with %s of disk %s: libvirt has put another image over it, or it was attached since: %w",
					m.Name, places[d.ID], d.Name, host.ErrUnsupported)
			}
		}
	}
	return out, h.roomFor(ctx, s, need)
}

// copyVolumes begins the names of the copies of a snapshot.
func copyVolumes(snapshot string) string { return prefix + "copy-" + snapshot + "." }

// copyPlace finds where a copy can be: in the pool of the disk, else in that of
// the records; as qcow2, which takes no room for zeros, where volumes are files.
func (h *Host) copyPlace(ctx context.Context, c *copying, name string) error {
	for _, pool := range []string{c.to.pool, h.opts.Pool} {
		x, err := h.describePool(ctx, pool)
		if err != nil {
			return err
		}
		switch x.Type {
		case "dir", "fs", "netfs", "vstorage":
			f := disk.QCOW2
			if c.size%1024 != 0 { // which libvirt makes in whole KiB
				f = disk.Raw
			}
			c.to = place{pool, name + "." + string(f)}
			return nil
		case "logical":
			c.to, c.block = place{pool, name + "." + string(disk.Raw)}, true
			return nil
		}
	}
	return fmt.Errorf("no pool takes copies of disks, neither its own, %s, nor %s: a pool of type dir or logical does (?pool=): %w", c.to.pool, h.opts.Pool, host.ErrUnsupported)
}

// roomFor refuses what the pools have no room for: machines that run write to them.
func (h *Host) roomFor(ctx context.Context, s *host.System, need map[string]int64) error {
	for pool, n := range need {
		p, err := h.pool(ctx, pool)
		if err != nil {
			return err
		}
		var free uint64
		if err := h.conn.call(ctx, func(l *lv.Libvirt) error {
			var err error
			_, _, _, free, err = l.StoragePoolGetInfo(p)
			return err
		}); err != nil {
			return err
		}
		if int64(free) < n {
			return &host.NoSpaceError{Object: "copies of the disks of system " + s.Name + " in pool " + pool, Need: n, Free: int64(free)}
		}
	}
	return nil
}

// copyDisks has each machine that runs copy its disks, all of them as they are at
// one moment.
func (h *Host) copyDisks(ctx context.Context, all []copying, snapshot string) error {
	var machines []string
	jobs := map[string][]backupDiskXML{}
	marks := map[string][]string{}
	for _, c := range all {
		if c.atRest() {
			continue
		}
		at, err := h.createCopy(ctx, c)
		if err != nil {
			return fmt.Errorf("disk %s: %w", c.d.Name, err)
		}
		b := backupDiskXML{Name: c.by.dev, Type: "file", Driver: diskDriverXML{Type: string(formatOf(c.to.volume))}, Target: &diskSourceXML{File: at}}
		if c.block {
			b.Type, b.Target = "block", &diskSourceXML{Dev: at}
		}
		if jobs[c.by.machine] == nil {
			machines = append(machines, c.by.machine)
		}
		jobs[c.by.machine] = append(jobs[c.by.machine], b)
		if c.mark {
			marks[c.by.machine] = append(marks[c.by.machine], c.by.dev)
		}
	}
	for _, m := range machines {
		marked, err := h.beginBackup(ctx, m, snapshot, jobs[m], marks[m])
		if err != nil {
			return err
		}
		for i := range all {
			if c := &all[i]; c.by.machine == m {
				c.mark = c.mark && marked
			}
		}
	}
	for _, m := range machines {
		if err := h.backedUp(ctx, m, snapshot, jobs[m][0].Name); err != nil {
			return err
		}
	}
	return nil
}

// createCopy makes the volume that a machine copies a disk to, and gives its path.
// Its size must be the disk's: libvirt 9.0 has been seen to die of a job that QEMU
// refuses.
func (h *Host) createCopy(ctx context.Context, c copying) (path string, err error) {
	vol, err := h.createVolume(ctx, c.to, c.size, formatOf(c.to.volume))
	if err != nil {
		return "", err
	}
	n, err := h.capacity(ctx, vol)
	if err == nil && n != c.size {
		err = fmt.Errorf("pool %s makes its copy a volume of %d bytes, which is to have the disk's %d: %w", c.to.pool, n, c.size, host.ErrUnsupported)
	}
	if err != nil {
		return "", err
	}
	return h.path(ctx, c.to)
}

// copyResting copies, through here, the disks that nobody writes to, which must
// stay so meanwhile.
func (h *Host) copyResting(ctx context.Context, all []copying) error {
	for _, c := range all {
		if c.atRest() {
			if err := h.copyAtRest(ctx, c); err != nil {
				return fmt.Errorf("disk %s: %w", c.d.Name, err)
			}
		}
	}
	return nil
}

func (h *Host) copyAtRest(ctx context.Context, c copying) error {
	img, err := h.openDisk(ctx, c.from, c.d)
	if err != nil {
		return err
	}
	defer img.Close()
	sink := h.newSink(ctx, c.to, formatOf(c.to.volume))
	if _, err := disk.Copy(ctx, img, sink, disk.EncodeOptions{NoDigest: true}); err != nil {
		return err
	}
	if err := sink.finish(); err != nil {
		return err
	}
	now, err := h.running(ctx)
	if err != nil {
		return err
	}
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		if u := now.writers(pathOf(l, c.from)); len(u) > 0 {
			return fmt.Errorf("machine %s was started while it was copied: %w", u[0].machine, host.ErrBusy)
		}
		return nil
	})
}

// removeCopies removes what there is of a snapshot: what machines still write
// first, then what is kept of their changes, the record last.
func (h *Host) removeCopies(ctx context.Context, l *ledger.Ledger, s *ledger.Snapshot) error {
	if s.Entry == nil {
		for _, m := range s.Machines {
			if err := h.abortBackup(ctx, m, s.Name); err != nil {
				return err
			}
		}
	}
	unmarked := h.unmark(ctx, s)
	for _, at := range s.Places {
		if err := h.removeVolume(ctx, decodePlace(at)); err != nil {
			return err
		}
	}
	if unmarked != nil {
		return unmarked // the copies take room, and are gone at least
	}
	return l.ForgetSnapshot(ctx, s.Name)
}

package libvirt

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/ledger"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/qcow2"
)

// What a machine writes to a qcow2 volume after it was copied is kept track of by
// a checkpoint, which libvirt makes in the moment of the copy: a dirty bitmap in
// the volume's file, which QEMU stores there when it ends in order. A checkpoint
// lasts as long as the snapshot for which it was made.

// checkpointXML is what DomainBackupBegin and DomainCheckpointCreateXML take.
// Disks that are not named take no part.
type checkpointXML struct {
	XMLName xml.Name            `xml:"domaincheckpoint"`
	Name    string              `xml:"name"`
	Made    int64               `xml:"creationTime,omitempty"` // seconds since 1970
	Disks   []checkpointDiskXML `xml:"disks>disk"`
}

type checkpointDiskXML struct {
	Name       string `xml:"name,attr"` // as the domain's target has it
	Checkpoint string `xml:"checkpoint,attr"`
	Bitmap     string `xml:"bitmap,attr,omitempty"`
}

// checkpointName is that of the checkpoint of a snapshot, and of its bitmaps.
func checkpointName(snapshot string) string { return prefix + "point-" + snapshot }

// checkpoint describes the one of a snapshot, of disks by their names in a domain.
func checkpoint(snapshot string, devices []string) (string, error) {
	x := checkpointXML{Name: checkpointName(snapshot)}
	for _, dev := range devices {
		x.Disks = append(x.Disks, checkpointDiskXML{Name: dev, Checkpoint: "bitmap", Bitmap: x.Name})
	}
	b, err := xml.Marshal(x)
	return string(b), err
}

// alone tells a disk whose changes QEMU can keep in its file: a qcow2 that builds
// on no other image, and that no other machine writes to.
func (k *diskXML) alone() bool {
	return k.Driver.Type == string(disk.QCOW2) && k.ReadOnly == nil && k.Shareable == nil && (k.Backing == nil || k.Backing.Source == nil)
}

// untouched tells whether a domain has no checkpoint but those of the given name,
// and no snapshots. What others have made is theirs: a checkpoint of ours would
// become a part of it.
func untouched(l *lv.Libvirt, d lv.Domain, but string) (bool, error) {
	points, _, err := l.DomainListAllCheckpoints(d, 1, 0)
	if err != nil {
		return false, err
	}
	for _, p := range points {
		if p.Name != but {
			return false, nil
		}
	}
	n, err := l.DomainSnapshotNum(d, 0)
	return n == 0, err
}

// choose says which disks shall be kept track of. Where that cannot be found out,
// none of a machine's are: it costs time later.
func (h *Host) choose(ctx context.Context, all []copying) error {
	clean := map[string]bool{}
	for i := range all {
		c := &all[i]
		if c.atRest() || !c.by.qcow2 {
			continue
		}
		if _, known := clean[c.by.machine]; !known {
			err := h.onDomain(ctx, c.by.machine, func(l *lv.Libvirt, d lv.Domain) error {
				ok, err := untouched(l, d, "")
				clean[c.by.machine] = ok
				return err
			})
			if err != nil {
				clean[c.by.machine] = false
			}
		}
		if clean[c.by.machine] {
			img, err := h.openMarked(ctx, c.from)
			if err == nil {
				c.mark = img.Size() == c.size
				err = img.Close()
			}
			c.mark = c.mark && err == nil
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// marked is a qcow2 that has or may have bitmaps.
type marked struct {
	*qcow2.Image
	file   *volumeFile
	builds bool // on another image, which is not opened
}

func (m *marked) Close() error { return errors.Join(m.Image.Close(), m.file.Close()) }

// openMarked opens a disk as what it must be to be kept track of: of version 3,
// whole, and without snapshots of its own; or else the error is one of package disk.
func (h *Host) openMarked(ctx context.Context, at place) (*marked, error) {
	m, err := h.openBitmaps(ctx, at)
	if err != nil {
		return nil, err
	}
	info, odd := m.Info(), ""
	switch {
	case info.Variant != "version 3":
		odd = info.Variant
	case info.Snapshots > 0:
		odd = fmt.Sprintf("%d snapshots in its file", info.Snapshots)
	case m.builds:
		odd = "a backing file"
	default:
		return m, nil
	}
	return nil, errors.Join(&disk.UnsupportedError{Name: m.file.name(), Format: disk.QCOW2, Feature: "keeping track of its changes with " + odd}, m.Close())
}

// openBitmaps opens a disk for its bitmaps, and not for its content.
func (h *Host) openBitmaps(ctx context.Context, at place) (*marked, error) {
	var vol lv.StorageVol
	err := h.conn.call(ctx, func(l *lv.Libvirt) error {
		var err error
		vol, err = volumeOf(l, diskSourceXML{Pool: at.pool, Volume: at.volume, File: at.volume})
		return err
	})
	if is(err, lv.ErrNoStorageVol) || is(err, lv.ErrNoStoragePool) {
		err = fmt.Errorf("%s: %w", unreachable(at), host.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	file, err := h.openVol(ctx, vol, disk.QCOW2)
	if err != nil {
		return nil, err
	}
	m := &marked{file: file}
	m.Image, err = qcow2.OpenOver(file, file.size, file.name(), func([]string, disk.Format) (disk.Image, error) {
		m.builds = true
		return nil, nil
	})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return m, nil
}

// unmark removes the checkpoint of a snapshot and its bitmaps, wherever they are
// by now: of a machine that runs by QEMU; in the file of one at rest by a QEMU that
// is started for it (erase). Where there is nothing any more that is no error.
func (h *Host) unmark(ctx context.Context, s *ledger.Snapshot) error {
	if len(s.Marked) == 0 {
		return nil
	}
	h.erasing.Lock()
	defer h.erasing.Unlock()
	now, err := h.running(ctx)
	if err != nil {
		return err
	}
	for _, at := range s.Marked {
		at := decodePlace(at)
		var users []runner
		if err := h.conn.call(ctx, func(l *lv.Libvirt) error {
			users = now.writers(pathOf(l, at))
			return nil
		}); err != nil {
			return err
		}
		if len(users) > 0 {
			err = h.onDomain(ctx, users[0].machine, func(l *lv.Libvirt, d lv.Domain) error {
				return removeBitmap(l, d, checkpointName(s.Name), users[0].dev)
			})
		} else {
			err = h.erase(ctx, at, checkpointName(s.Name))
		}
		if err != nil {
			return fmt.Errorf("%s: the bitmap of checkpoint %s: %w", at, checkpointName(s.Name), err)
		}
	}
	for _, m := range s.Machines {
		err := h.onDomain(ctx, m, func(l *lv.Libvirt, d lv.Domain) error { return forgetCheckpoint(l, d, checkpointName(s.Name)) })
		if err != nil && !errors.Is(err, host.ErrNotFound) {
			return err
		}
	}
	return nil
}

// forgetCheckpoint has libvirt forget a checkpoint, of which bitmaps may be left.
func forgetCheckpoint(l *lv.Libvirt, d lv.Domain, name string) error {
	c, err := l.DomainCheckpointLookupByName(d, name, 0)
	if err == nil {
		err = l.DomainCheckpointDelete(c, lv.DomainCheckpointDeleteMetadataOnly)
	}
	if is(err, lv.ErrNoDomainCheckpoint) {
		return nil
	}
	return err
}

// removeBitmap has the QEMU of a domain that runs remove a bitmap from a disk. One
// disk after the other, each under a checkpoint that is made known for it: libvirt
// removes none where one of them is not there, as after a QEMU that was killed.
func removeBitmap(l *lv.Libvirt, d lv.Domain, name, dev string) error {
	if err := forgetCheckpoint(l, d, name); err != nil {
		return err
	}
	text, err := l.DomainGetXMLDesc(d, 0)
	if err != nil {
		return err
	}
	b, err := xml.Marshal(checkpointXML{Name: name, Made: time.Now().Unix(), Disks: []checkpointDiskXML{{dev, "bitmap", name}}})
	if err != nil {
		return err
	}
	const end = "</domaincheckpoint>"
	known := strings.TrimSuffix(string(b), end) + text + end
	c, err := l.DomainCheckpointCreateXML(d, known, uint32(lv.DomainCheckpointCreateRedefine))
	if err == nil {
		err = l.DomainCheckpointDelete(c, 0)
	}
	if err != nil && strings.Contains(err.Error(), "not found in backing chain") {
		return forgetCheckpoint(l, d, name)
	}
	return err
}

// eraserXML is a domain that does nothing but hold a disk open.
type eraserXML struct {
	XMLName xml.Name   `xml:"domain"`
	Type    string     `xml:"type,attr"`
	Name    string     `xml:"name"`
	Machine machineXML `xml:"metadata>machine"`
	Memory  sizeXML    `xml:"memory"`
	OS      struct {
		Type osTypeXML `xml:"type"`
	} `xml:"os"`
	Disk struct {
		Type   string        `xml:"type,attr"`
		Device string        `xml:"device,attr"`
		Driver diskDriverXML `xml:"driver"`
		Source diskSourceXML `xml:"source"`
		Target targetXML     `xml:"target"`
	} `xml:"devices>disk"`
}

// eraserMemory is what the domain has that erases, in bytes: nothing runs in it.
const eraserMemory = 16 << 20

// erase removes a bitmap from the file of a disk that nobody uses. libvirt has no
// call for that (it deletes no checkpoint of a domain at rest), and the file is
// QEMU's to change, which locks it: so a domain of its own is started with the disk,
// paused, that ends with this process. The machine itself is not started: that would
// take its networks and devices.
func (h *Host) erase(ctx context.Context, at place, name string) error {
	img, err := h.openBitmaps(ctx, at)
	if errors.Is(err, host.ErrNotFound) || notQcow2(err) {
		return nil // gone, or another file
	}
	if err != nil {
		return err
	}
	all, err := img.Bitmaps()
	if err = errors.Join(err, img.Close()); err != nil && !notQcow2(err) && !errors.Is(err, qcow2.ErrBitmap) {
		return err
	}
	for _, b := range all {
		if b.Name == name {
			return h.eraseBy(ctx, at, name)
		}
	}
	return nil
}

// notQcow2 tells an image that has no bitmaps of ours from one that cannot be read now.
func notQcow2(err error) bool {
	return errors.Is(err, disk.ErrWrongFormat) || errors.Is(err, disk.ErrCorrupt) || errors.Is(err, disk.ErrUnsupported)
}

func (h *Host) eraseBy(ctx context.Context, at place, name string) error {
	x := eraserXML{Type: "qemu", Name: prefix + "eraser-" + host.NewID(), Machine: machineXML{XMLNS: Namespace}, Memory: sizeXML{"bytes", eraserMemory}}
	if h.kvm {
		x.Type = "kvm"
	}
	x.OS.Type = osTypeXML{Arch: "x86_64", Value: "hvm"}
	k := &x.Disk
	k.Device, k.Driver, k.Target = "disk", diskDriverXML{Name: "qemu", Type: string(disk.QCOW2)}, targetXML{"vda", "virtio"}
	switch {
	case at.pool != "":
		k.Type, k.Source = "volume", diskSourceXML{Pool: at.pool, Volume: at.volume}
	case strings.HasPrefix(at.volume, "/dev/"):
		k.Type, k.Source = "block", diskSourceXML{Dev: at.volume}
	default:
		k.Type, k.Source = "file", diskSourceXML{File: at.volume}
	}
	b, err := xml.Marshal(x)
	if err != nil {
		return err
	}
	return h.conn.call(ctx, func(l *lv.Libvirt) error {
		d, err := l.DomainCreateXML(string(b), lv.DomainStartPaused|lv.DomainStartAutodestroy)
		if err != nil {
			return err
		}
		err = removeBitmap(l, d, name, k.Target.Dev)
		if end := l.DomainDestroy(d); end != nil && !is(end, lv.ErrNoDomain) {
			err = errors.Join(err, end)
		}
		return err
	})
}

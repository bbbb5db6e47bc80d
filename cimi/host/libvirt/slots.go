package libvirt

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/cimi/host"
)

// slots gives disks their places on controllers. Each bus of QEMU has its own
// notion of an address; OVF's number of the controller and unit are kept where
// it can be.
type slots struct {
	q35  bool
	caps capabilities
	scsi map[int]string // ResourceSubTypes

	ide, sata int
	buses     []int           // SCSI controllers in use
	taken     map[[2]int]bool // on them
	letters   map[string]int
}

// The buses of QEMU, by how attachments name them.
var buses = map[string]string{"ide": "ide", "scsi": "scsi", "sas": "scsi", "fc": "scsi", "iscsi": "scsi", "sata": "sata", "virtio": "virtio", "nvme": "nvme", "usb": "usb", "": "virtio"}

const (
	onIDE  = 4 // two channels with two drives, and no other controller
	onSATA = 6
)

// disks puts each attachment on its bus, and CDs on what is left.
func (k *slots) disks(m *machine) ([]diskXML, error) {
	var out []diskXML
	for _, a := range m.Attachments {
		d := m.system.Disk(a.DiskID)
		if d == nil {
			d = m.others[a.DiskID]
		}
		if d == nil {
			return nil, fmt.Errorf("disk %s: %w", a.DiskID, host.ErrNotFound)
		}
		bus, ok := buses[a.Controller]
		if !ok {
			return nil, fmt.Errorf("controller %q of disk %s: %w", a.Controller, d.Name, host.ErrUnsupported)
		}
		at := m.places[d.ID]
		x := diskXML{Type: "volume", Device: "disk", Driver: diskDriverXML{"qemu", string(formatOf(at.volume)), "unmap"},
			Source: diskSourceXML{Pool: at.pool, Volume: at.volume}, Serial: d.ID[:min(20, len(d.ID))]}
		if d.Shared {
			x.Shareable = &struct{}{}
		}
		if err := k.place(&x, bus, a); err != nil {
			return nil, fmt.Errorf("disk %s: %w", d.Name, err)
		}
		if model, _ := scsiModel(k.scsi[a.Bus]); x.Target.Bus == "scsi" && model == "lsisas1068" {
			x.WWN = host.WWN(d.ID)
		}
		out = append(out, x)
	}
	bootOrder(out, m.Attachments)
	for _, href := range m.CDs {
		if volume, ok := m.files[href]; ok {
			out = append(out, k.cd(m.pool, volume))
		}
	}
	if m.media || m.Environment != nil {
		out = append(out, k.cd(m.pool, mediaVolume(m.ID)))
	}
	return out, nil
}

func (k *slots) cd(pool, volume string) diskXML {
	x := diskXML{Type: "volume", Device: "cdrom", Driver: diskDriverXML{Name: "qemu", Type: "raw"},
		Source: diskSourceXML{Pool: pool, Volume: volume}, ReadOnly: &struct{}{}}
	bus := "ide"
	if k.ide >= onIDE || k.q35 {
		bus = "sata"
	}
	k.place(&x, bus, host.Attachment{}) // SATA has room
	return x
}

func (k *slots) place(x *diskXML, bus string, a host.Attachment) error {
	if bus == "nvme" && !slices.Contains(k.caps.buses, "nvme") {
		bus = "virtio" // an older libvirt
	}
	if bus == "ide" && k.q35 {
		bus = "sata" // the chipset of UEFI has no IDE
	}
	switch bus {
	case "ide":
		if k.ide >= onIDE {
			return fmt.Errorf("more than %d drives on IDE: %w", onIDE, host.ErrUnsupported)
		}
		x.Address = drive(0, k.ide/2, 0, k.ide%2)
		k.ide++
	case "sata":
		x.Address = drive(k.sata/onSATA, 0, 0, k.sata%onSATA)
		k.sata++
	case "scsi":
		unit := a.Unit
		for k.taken[[2]int{a.Bus, unit}] { // two with one address, or with none
			unit++
		}
		if k.taken == nil {
			k.taken = map[[2]int]bool{}
		}
		k.taken[[2]int{a.Bus, unit}] = true
		x.Address = drive(a.Bus, 0, unit, 0)
		if !slices.Contains(k.buses, a.Bus) {
			k.buses = append(k.buses, a.Bus)
		}
	}
	prefix := map[string]string{"ide": "hd", "scsi": "sd", "sata": "sd", "usb": "sd", "virtio": "vd", "nvme": "nvme"}[bus]
	if k.letters == nil {
		k.letters = map[string]int{}
	}
	dev := prefix + letters(k.letters[prefix])
	if bus == "nvme" {
		dev = fmt.Sprintf("nvme%dn1", k.letters[prefix])
	}
	k.letters[prefix]++
	x.Target = targetXML{dev, bus}
	return nil
}

func drive(controller, bus, target, unit int) *driveXML {
	return &driveXML{"drive", strconv.Itoa(controller), strconv.Itoa(bus), strconv.Itoa(target), strconv.Itoa(unit)}
}

// controllers are those whose model libvirt would not choose so.
func (k *slots) controllers() []controllerXML {
	var out []controllerXML
	slices.Sort(k.buses)
	for _, n := range k.buses {
		model, _ := scsiModel(k.scsi[n])
		out = append(out, controllerXML{"scsi", n, model})
	}
	for n := range (k.sata + onSATA - 1) / onSATA {
		out = append(out, controllerXML{Type: "sata", Index: n})
	}
	return out
}

// bootOrder numbers the disks, those that are said to boot first: several may
// be, and libvirt wants each number once.
func bootOrder(disks []diskXML, as []host.Attachment) {
	n := 0
	for _, boots := range []bool{true, false} {
		for i, a := range as {
			if a.Boot == boots {
				n++
				disks[i].Boot = &bootXML{n}
			}
		}
	}
}

// letters numbers devices as Linux does: a to z, aa, ab, …
func letters(n int) string {
	if n < 26 {
		return string(rune('a' + n))
	}
	return letters(n/26-1) + letters(n%26)
}

package libvirt

import (
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"path"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
)

// Namespace of our element in a domain's <metadata>.
const Namespace = "https://cimimove.github.io/libvirt/1"

type domainXML struct {
	XMLName     xml.Name    `xml:"domain"`
	Type        string      `xml:"type,attr"`
	Name        string      `xml:"name"`
	UUID        string      `xml:"uuid"`
	Title       string      `xml:"title,omitempty"`
	Description string      `xml:"description,omitempty"`
	Machine     metadataXML `xml:"metadata>machine"`
	Memory      sizeXML     `xml:"memory"`
	CPUs        int         `xml:"vcpu"`
	OS          osXML       `xml:"os"`
	ACPI        struct{}    `xml:"features>acpi"`
	APIC        struct{}    `xml:"features>apic"`
	OnPoweroff  string      `xml:"on_poweroff"`
	OnReboot    string      `xml:"on_reboot"`
	OnCrash     string      `xml:"on_crash"`
	Devices     devicesXML  `xml:"devices"`
}

// metadataXML says which machine of which System a domain is.
type metadataXML struct {
	XMLNS      string `xml:"xmlns,attr"`
	System     string `xml:"system,attr"`
	ID         string `xml:"id,attr"`
	StartOrder int    `xml:"startOrder,attr"`
	SystemName string `xml:"systemName,attr"`
}

type osXML struct {
	Type struct {
		Arch    string `xml:"arch,attr"`
		Machine string `xml:"machine,attr"`
		Value   string `xml:",chardata"`
	} `xml:"type"`
}

type devicesXML struct {
	Disks       []diskXML       `xml:"disk"`
	Controllers []controllerXML `xml:"controller"`
	Interfaces  []interfaceXML  `xml:"interface"`
	Serial      consoleXML      `xml:"serial"`
}

type diskXML struct {
	Type   string `xml:"type,attr"`
	Device string `xml:"device,attr"`
	Driver struct {
		Name    string `xml:"name,attr"`
		Type    string `xml:"type,attr"`
		Discard string `xml:"discard,attr"`
	} `xml:"driver"`
	Source struct {
		Pool   string `xml:"pool,attr"`
		Volume string `xml:"volume,attr"`
	} `xml:"source"`
	Target struct {
		Dev string `xml:"dev,attr"`
		Bus string `xml:"bus,attr"`
	} `xml:"target"`
	Boot   *bootXML `xml:"boot"`
	Serial string   `xml:"serial"`
}

type bootXML struct {
	Order int `xml:"order,attr"`
}

type controllerXML struct {
	Type  string `xml:"type,attr"`
	Index int    `xml:"index,attr"`
	Model string `xml:"model,attr,omitempty"`
}

type interfaceXML struct {
	Type   string      `xml:"type,attr"`
	MAC    *addressXML `xml:"mac"`
	Source *sourceXML  `xml:"source"`
	Model  *modelXML   `xml:"model"`
	Link   *linkXML    `xml:"link"`
}

type addressXML struct {
	Address string `xml:"address,attr"`
}

type sourceXML struct {
	Network string `xml:"network,attr,omitempty"`
	Bridge  string `xml:"bridge,attr,omitempty"`
	Path    string `xml:"path,attr,omitempty"`
}

type modelXML struct {
	Type string `xml:"type,attr"`
}

type linkXML struct {
	State string `xml:"state,attr"`
}

type consoleXML struct {
	Type   string     `xml:"type,attr"`
	Source *sourceXML `xml:"source"`
}

// site is what of the hypervisor goes into a domain's XML.
type site struct {
	Type       string          // kvm or qemu
	Pool       string          // of disks without a Storage
	Networks   map[string]bool // those libvirt has
	ConsoleDir string
}

// domain describes a machine of s as libvirt wants it, under the domain name
// given. Disks are in the order of controller and address, cards in that of OVF.
func (at site) domain(s *host.System, m *host.Machine, name string) ([]byte, error) {
	uuid, err := machineUUID(m.ID)
	if err != nil {
		return nil, err
	}
	d := domainXML{Type: at.Type, Name: name, UUID: uuid, Title: m.Name, Description: m.Description,
		Machine: metadataXML{XMLNS: Namespace, System: s.ID, ID: m.ID, StartOrder: m.StartOrder, SystemName: s.Name},
		Memory:  sizeXML{"bytes", max(m.MemoryBytes, 64<<20)}, CPUs: max(m.CPUs, 1),
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy"}
	d.OS.Type.Arch, d.OS.Type.Machine, d.OS.Type.Value = "x86_64", "pc", "hvm"
	if d.Devices.Disks, d.Devices.Controllers, err = at.disks(s, m); err != nil {
		return nil, fmt.Errorf("machine %s: %w", m.Name, err)
	}
	for _, n := range m.NICs {
		d.Devices.Interfaces = append(d.Devices.Interfaces, at.card(s, n))
	}
	d.Devices.Serial.Type = "pty"
	if at.ConsoleDir != "" {
		d.Devices.Serial = consoleXML{"file", &sourceXML{Path: path.Join(at.ConsoleDir, m.ID+".log")}}
	}
	return xml.MarshalIndent(d, "", "  ")
}

// disks puts each disk on libvirt's bus for its controller, at the place that
// its controller and unit give. NVMe disks are not emulated by every libvirt
// and become virtio ones.
func (at site) disks(s *host.System, m *host.Machine) ([]diskXML, []controllerXML, error) {
	type bus struct {
		name, letters string
		units         int // on one controller
	}
	buses := map[string]bus{"ide": {"ide", "hd", 2}, "scsi": {"scsi", "sd", 7}, "sata": {"sata", "sd", 6}, "virtio": {"virtio", "vd", 0}, "nvme": {"virtio", "vd", 0}}
	var out []diskXML
	var controllers []controllerXML
	taken := map[string]bool{}
	boot := 0
	for i, a := range m.Attachments {
		disk := s.Disk(a.DiskID)
		if disk == nil {
			return nil, nil, fmt.Errorf("disk %s: %w", a.DiskID, host.ErrNotFound)
		}
		b, ok := buses[a.Controller]
		if !ok {
			return nil, nil, fmt.Errorf("controller %q of disk %s: %w", a.Controller, disk.Name, host.ErrUnsupported)
		}
		index := 0
		if b.units > 0 {
			index = a.Bus*b.units + a.Unit
			if b.name == "scsi" && a.Unit > 7 {
				index-- // unit 7 is the controller's own
			}
		}
		for taken[b.letters+letters(index)] {
			index++
		}
		target := b.letters + letters(index)
		taken[target] = true
		x := diskXML{Type: "volume", Device: "disk", Serial: disk.ID[:min(20, len(disk.ID))]}
		x.Driver.Name, x.Driver.Type, x.Driver.Discard = "qemu", "raw", "unmap"
		x.Source.Pool, x.Source.Volume = at.pool(disk), diskVolume(disk.ID)
		x.Target.Dev, x.Target.Bus = target, b.name
		// The disk that boots comes first; without one, the first disk.
		boot++
		order := boot + 1
		if a.Boot || i == 0 && !anyBoot(m) {
			order = 1
		}
		x.Boot = &bootXML{order}
		out = append(out, x)
		if b.name == "scsi" && len(controllers) == 0 {
			controllers = append(controllers, controllerXML{Type: "scsi", Index: 0, Model: "virtio-scsi"})
		}
	}
	onlyFirst(out)
	return out, controllers, nil
}

func anyBoot(m *host.Machine) bool {
	for _, a := range m.Attachments {
		if a.Boot {
			return true
		}
	}
	return false
}

// onlyFirst makes boot orders unique, as libvirt demands: several disks may be
// said to boot.
func onlyFirst(disks []diskXML) {
	next := 2
	first := true
	for i := range disks {
		if disks[i].Boot.Order == 1 && first {
			first = false
			continue
		}
		disks[i].Boot.Order = next
		next++
	}
}

// letters numbers devices as Linux does: a to z, aa, ab, …
func letters(n int) string {
	if n < 26 {
		return string(rune('a' + n))
	}
	return letters(n/26-1) + letters(n%26)
}

func (at site) pool(d *host.Disk) string {
	if d.Storage != "" {
		return d.Storage
	}
	return at.Pool
}

// cardModels are QEMU's names for ResourceSubTypes.
var cardModels = map[string]string{"e1000": "e1000", "e1000e": "e1000e", "vmxnet3": "vmxnet3", "pcnet32": "pcnet", "virtio": "virtio"}

// card connects a card: to a bridge ("bridge:br0"), a network of libvirt's, or,
// where it has none of that name, to nothing.
func (at site) card(s *host.System, n host.NIC) interfaceXML {
	x := interfaceXML{Type: "user", Link: &linkXML{"down"}, Model: &modelXML{"virtio"}}
	if k, ok := cardModels[strings.ToLower(n.Type)]; ok {
		x.Model.Type = k
	}
	if n.MAC != "" {
		x.MAC = &addressXML{n.MAC}
	}
	name := networkName(s, n)
	if bridge, ok := strings.CutPrefix(name, "bridge:"); ok {
		x.Type, x.Source, x.Link = "bridge", &sourceXML{Bridge: bridge}, nil
	} else if at.Networks[name] {
		x.Type, x.Source, x.Link = "network", &sourceXML{Network: name}, nil
	}
	if n.Disabled {
		x.Link = &linkXML{"down"}
	}
	return x
}

func networkName(s *host.System, n host.NIC) string {
	for k := range s.AllNetworks() {
		if k.ID == n.Network {
			return k.Name
		}
	}
	return ""
}

// machineUUID is the domain's UUID: the id itself, which has 128 bits.
func machineUUID(id string) (string, error) {
	b, err := hex.DecodeString(id)
	if err != nil || len(b) != 16 {
		return "", fmt.Errorf("machine id %q: %w", id, host.ErrNotFound)
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

package libvirt

import (
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi/host"
)

// site is what of the hypervisor goes into a domain's XML.
type site struct {
	Type       string          // kvm or qemu
	Networks   map[string]bool // those libvirt has
	ConsoleDir string
	caps       capabilities
}

// machine is what a domain is made of.
type machine struct {
	system *host.System
	*host.Machine
	hardware
	startDelay int                   // seconds
	places     map[string]place      // of disks, by id
	others     map[string]*host.Disk // those of other Systems, by id
	pool       string                // of media
	files      map[string]string
}

// domain describes a machine as libvirt wants it, under the domain name given.
// Disks are in the order of controller and address, cards in that of OVF.
func (at site) domain(m *machine, name string) ([]byte, error) {
	uuid, err := machineUUID(m.ID)
	if err != nil {
		return nil, err
	}
	s := m.system
	d := domainXML{Type: at.Type, Name: name, UUID: uuid, Title: strings.ReplaceAll(m.Name, "\n", " "), Description: m.Description,
		Machine: machineXML{XMLNS: Namespace, System: s.ID, SystemName: s.Name, ID: m.ID, StartOrder: m.StartOrder, StartDelay: m.startDelay},
		Memory:  sizeXML{"bytes", max(m.MemoryBytes, 64<<20)}, CPUs: max(m.CPUs, 1), Clock: clockXML{"utc"},
		OnPoweroff: "destroy", OnReboot: "restart", OnCrash: "destroy"}
	d.Features.ACPI, d.Features.APIC = &struct{}{}, &struct{}{}
	d.OS.Type = osTypeXML{"x86_64", "pc", "hvm"}
	if m.EFI {
		yes := map[bool]string{true: "yes", false: "no"}[m.SecureBoot]
		d.OS.FirmwareKind, d.OS.Type.Machine, d.OS.NVRAM = "efi", "q35", m.nvramPath
		d.OS.Firmware = &firmwareXML{[]featureXML{{yes, "enrolled-keys"}, {yes, "secure-boot"}}}
		if m.SecureBoot {
			d.OS.Loader, d.Features.SMM = &loaderXML{Secure: "yes"}, &stateXML{"on"}
		}
	}
	slots := &slots{q35: m.EFI, caps: at.caps, scsi: m.SCSI}
	if d.Devices.Disks, err = slots.disks(m); err != nil {
		return nil, fmt.Errorf("machine %s: %w", m.Name, err)
	}
	d.Devices.Controllers = slots.controllers()
	for _, n := range m.NICs {
		d.Devices.Interfaces = append(d.Devices.Interfaces, at.card(s, n))
	}
	d.Devices.Serial = []consoleXML{{Type: "pty"}}
	if at.ConsoleDir != "" {
		d.Devices.Serial[0].Log = &logXML{path.Join(at.ConsoleDir, m.ID+".log"), "on"}
	}
	d.Devices.Graphics = []graphicsXML{{"vnc", -1, "yes", "127.0.0.1"}}
	d.Devices.Video = []videoXML{{modelXML{"vga"}}}
	d.Devices.Input = []inputXML{{"tablet", "usb"}}
	if m.TPM {
		d.Devices.TPM = &tpmXML{Model: "tpm-crb"}
		d.Devices.TPM.Backend.Type, d.Devices.TPM.Backend.Version = "emulator", "2.0"
	}
	return xml.MarshalIndent(d, "", "  ")
}

// devices are those of packages that a domain has as they are.
func (c capabilities) devices() []string {
	out := []string{"ide", "sata", "usb", "scsi virtualscsi", "scsi pvscsi", "scsi sas"}
	if slices.Contains(c.buses, "nvme") {
		out = append(out, "nvme")
	}
	for _, k := range cardModels {
		out = append(out, k.sub)
	}
	return out
}

// cardModels are QEMU's names for ResourceSubTypes.
var cardModels = []struct{ sub, model string }{{"e1000e", "e1000e"}, {"e1000", "e1000"}, {"vmxnet3", "vmxnet3"}, {"pcnet", "pcnet"}, {"rtl8139", "rtl8139"}, {"virtio", "virtio"}}

// card connects a card: to a bridge ("bridge:br0"), a network of libvirt's, or,
// where it has none of that name, to nothing.
func (at site) card(s *host.System, n host.NIC) interfaceXML {
	x := interfaceXML{Type: "user", Link: &stateXML{"down"}, Model: &modelXML{"virtio"}}
	for _, k := range cardModels {
		if strings.Contains(strings.ToLower(n.Type), k.sub) {
			x.Model.Type = k.model
			break
		}
	}
	if n.MAC != "" {
		x.MAC = &addressXML{n.MAC}
	}
	name := networkName(s, n)
	if bridge, ok := strings.CutPrefix(name, "bridge:"); ok {
		x.Type, x.Source, x.Link = "bridge", &sourceXML{Bridge: bridge}, nil
	} else if at.Networks[name] {
		x.Type, x.Source, x.Link = "network", &sourceXML{Network: name}, nil
	} else if name == userNetwork {
		x.Link = nil
	}
	if n.Disabled {
		x.Link = &stateXML{"down"}
	}
	return x
}

// userNetwork is QEMU's own way out, which needs no network of the hypervisor.
const userNetwork = "user"

// connects tells whether a network of that name is there.
func (at site) connects(name string) bool {
	return name == "" || name == userNetwork || at.Networks[name] || strings.HasPrefix(name, "bridge:")
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

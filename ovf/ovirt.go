package ovf

import (
	"slices"
	"strings"
)

// oVirt writes the engine's own words into Items: what a guest sees of a device
// stands in elements and attributes of its own, or as the number of a Java enum.

// nsOVirt is declared by what the engine and virt-v2v write.
const nsOVirt = "http://www.ovirt.org/ovf"

// readOVirt tells whose words the descriptor uses. Since 4.2 the engine writes
// its archives in the namespace of the standard, and the descriptors of its
// storage domains, which have the structure of the draft, have been found in it.
func (e *Envelope) readOVirt() {
	if e.version == V1 {
		for n := range e.doc.Root().Children() {
			if name := n.Name(); name.Local == "Content" && name.Space == "" && e.kind(n) == "VirtualSystem" {
				e.version = VOVirt
			}
		}
	}
	_, declared := e.doc.Root().Prefix(nsOVirt, true)
	e.ovirt = e.version == VOVirt || e.version != V09 && declared
}

// ovirtCards are the models of network cards by oVirt's numbers; the first is
// two cards in one, of which the guest that has a driver takes VirtIO.
var ovirtCards = map[string]string{"0": "virtio", "1": "rtl8139", "2": "e1000", "3": "virtio", "4": "spapr-vlan", "5": "pci-passthrough", "6": "e1000e"}

// ovirtBuses are the buses of disks by oVirt's disk-interface.
var ovirtBuses = map[string]string{"ide": "ide", "sata": "sata", "virtio": "virtio", "virtio_scsi": "scsi", "spapr_vscsi": "scsi"}

// readOVirtCard reads the MAC address and the model of a network card. Address
// is where the card is plugged in ("{type=pci, slot=0x03, …}") once it has run.
func (it *Item) readOVirtCard() {
	if mac := it.Field("MACAddress"); mac != "" {
		it.Address = mac
	} else if strings.HasPrefix(it.Address, "{") {
		it.Address = ""
	}
	if it.env == nil || !it.env.ovirt {
		return
	}
	if model, ok := ovirtCards[it.ResourceSubType]; ok {
		it.ResourceSubType = model
	}
}

// readOVirtDevice reads what any Item of oVirt's is. The video card has the number
// of other storage devices. No Item says whether it must be there: it is what a
// machine is made of that must.
func (it *Item) readOVirtDevice() {
	if it.ResourceType == ResourceStorage && it.ovirtType() == "video" {
		it.ResourceType = ResourceGraphics
	}
	switch it.ResourceType {
	case ResourceProcessor, ResourceMemory, ResourceEthernet, ResourceDisk:
	default:
		it.Required = it.env.boolAttr(it.node, "required", false)
	}
}

// ovirtType is what kind of device oVirt says it is, in an element of its own.
func (it Item) ovirtType() string {
	for _, n := range it.others {
		if n.Name().Local == "Type" {
			return trimmed(n)
		}
	}
	return ""
}

// ovirtScreen is the ResourceType by which oVirt lists a server that shows the
// screen, for SPICE or VNC.
const ovirtScreen = 26

// OfHypervisor says whether an Item is no device that a guest was built for but
// how the hypervisor that wrote it works: oVirt lists its channels, controllers,
// random numbers and balloon, and what shows the screen. Devices of the host,
// sound and TPMs, of ResourceType 0 too, are none of that.
func (it Item) OfHypervisor() bool {
	if it.env == nil || !it.env.ovirt {
		return false
	}
	if it.ResourceType == 0 {
		return slices.Contains(ovirtOwn, it.ovirtType())
	}
	return it.ResourceType == ovirtScreen
}

// ovirtOwn are the Types of Items that are the engine's own.
var ovirtOwn = []string{"balloon", "channel", "console", "controller", "redir", "rng", "smartcard"}

// ovirtBus is the bus that oVirt gives a disk, whose controllers have no Items;
// empty when it says none.
func (d Disk) ovirtBus() string {
	if d.env == nil || d.node == nil || !d.env.ovirt {
		return ""
	}
	return ovirtBuses[strings.ToLower(d.env.attrOr(d.node, "disk-interface", ""))]
}

package ovf

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// CPUs is the number of virtual processors under a configuration ("" for the
// default): the sum over all processor Items. 0 where there is none; an
// overflow or a quantity that is no number is a *DescriptorError.
func (h VirtualHardware) CPUs(configuration string) (int, error) {
	sum := 0
	for _, it := range h.EffectiveItems(configuration) {
		if it.ResourceType != ResourceProcessor {
			continue
		}
		q, err := it.quantity()
		if err != nil {
			return 0, err
		}
		if q > math.MaxInt32 || sum > math.MaxInt32 {
			return 0, it.fail("item "+it.InstanceID, "8.3", "%d processors are more than a machine can have", q)
		}
		sum += int(q)
	}
	return sum, nil
}

// quantity is VirtualQuantity, where absent 1 for a processor and 0 otherwise.
// oVirt writes sockets, cores and threads.
func (it Item) quantity() (uint64, error) {
	raw := it.Field("VirtualQuantity")
	if raw == "" && it.ResourceType == ResourceProcessor {
		n := uint64(1)
		for _, f := range []string{"num_of_sockets", "cpu_per_socket", "threads_per_cpu"} {
			if v, err := strconv.ParseUint(it.Field(f), 10, 16); err == nil && v > 0 {
				n *= v
			}
		}
		return n, nil
	}
	if raw == "" {
		return 0, nil
	}
	if it.VirtualQuantity == nil {
		return 0, it.fail("item "+it.InstanceID, "8.3", "VirtualQuantity is %q, expected a whole number", shorten(raw))
	}
	return *it.VirtualQuantity, nil
}

// MemoryBytes is the memory under a configuration ("" for the default): the
// sum over all memory Items. An Item without unit counts in MiB, as its
// producers meant (validation warns).
func (h VirtualHardware) MemoryBytes(configuration string) (int64, error) {
	var sum int64
	for _, it := range h.EffectiveItems(configuration) {
		if it.ResourceType != ResourceMemory {
			continue
		}
		n, err := it.MemoryBytes()
		if err != nil {
			return 0, err
		}
		if sum > math.MaxInt64-n {
			return 0, it.fail("item "+it.InstanceID, "8.3", "the sum of memory overflows")
		}
		sum += n
	}
	return sum, nil
}

// MemoryBytes is VirtualQuantity of a memory Item in bytes.
func (it Item) MemoryBytes() (int64, error) {
	raw := it.Field("VirtualQuantity")
	if raw == "" {
		return 0, nil
	}
	units := it.AllocationUnits
	if units == "" {
		units = "byte * 2^20"
	}
	n, err := Quantity(raw, units, "byte")
	if err != nil {
		return 0, it.fail("item "+it.InstanceID, "8.3", "memory: %v", err)
	}
	return n, nil
}

// Controller is what a device hangs on.
type Controller struct {
	Item
	Bus    string // ide, scsi, sata, nvme, usb, fc, iscsi, virtio, floppy; "" when unknown
	Number int    // bus number among those of its Bus, from 0
}

// Controllers are the controllers under a configuration, in order.
func (h VirtualHardware) Controllers(configuration string) []Controller {
	return controllers(h.EffectiveItems(configuration))
}

func controllers(items []Item) []Controller {
	var out []Controller
	count := map[string]int{}
	for _, it := range items {
		bus := it.bus()
		if bus == "" {
			continue
		}
		c := Controller{Item: it, Bus: bus, Number: count[bus]}
		for _, raw := range []string{it.Address, it.Field("BusNumber")} {
			if v, err := strconv.Atoi(raw); err == nil && v >= 0 {
				c.Number = v
				break
			}
		}
		count[bus] = max(count[bus], c.Number) + 1
		out = append(out, c)
	}
	return out
}

// bus tells the kind of a controller from type and sub-type: SATA and NVMe
// controllers have no ResourceType of their own.
func (it Item) bus() string {
	sub := strings.ToLower(it.ResourceSubType + " " + it.OtherResourceType)
	switch it.ResourceType {
	case ResourceIDE:
		return "ide"
	case ResourceSCSI:
		if strings.Contains(sub, "virtio") && !strings.Contains(sub, "scsi") {
			return "virtio"
		}
		return "scsi"
	case ResourceFCHBA:
		return "fc"
	case ResourceISCSIHBA:
		return "iscsi"
	case ResourceUSB:
		return "usb"
	case ResourceStorage, ResourceOther, 21, 22:
		switch {
		case strings.Contains(sub, "ahci"), strings.Contains(sub, "sata"):
			return "sata"
		case strings.Contains(sub, "nvme"):
			return "nvme"
		case strings.Contains(sub, "virtio") && strings.Contains(sub, "scsi"), strings.Contains(sub, "sas"):
			return "scsi"
		case it.ResourceType == ResourceStorage && strings.Contains(sub, "virtio"):
			return "virtio"
		}
	}
	return ""
}

// Drive is a device with storage behind it, or an empty drive.
type Drive struct {
	Item
	Class string // disk, cdrom, floppy
	// Disk and File are what HostResource resolves to; zero views where it does
	// not. A CD's ISO is a File without a Disk.
	Disk Disk
	File File
	// Controller is the zero value where Parent is absent or leads nowhere, but
	// for the Bus of oVirt's disks.
	Controller Controller
	// Unit is AddressOnParent, -1 when absent or no number.
	Unit int
}

// Drives are the drives of all classes under a configuration, ordered by
// controller, then address, then as they stand. Controllers are ordered by the
// first appearance of their bus, then by number; drives without controller last.
func (h VirtualHardware) Drives(configuration string) []Drive {
	items := h.EffectiveItems(configuration)
	ctls := controllers(items)
	rank := map[string]int{}
	for _, c := range ctls {
		if _, ok := rank[c.Bus]; !ok {
			rank[c.Bus] = len(rank)
		}
	}
	byID := map[string]Controller{}
	for _, c := range ctls {
		if _, ok := byID[c.InstanceID]; !ok {
			byID[c.InstanceID] = c
		}
	}
	var out []Drive
	for _, it := range items {
		d := Drive{Item: it, Class: it.driveClass(), Unit: -1}
		if d.Class == "" {
			continue
		}
		if v, err := strconv.Atoi(it.AddressOnParent); err == nil && v >= 0 {
			d.Unit = v
		}
		if it.Parent != "" {
			d.Controller = byID[it.Parent]
		}
		for _, r := range it.HostResource {
			if d.Disk, d.File = h.env.Resolve(r); d.Disk.Exists() || d.File.Exists() {
				break
			}
		}
		if !d.Controller.Exists() {
			d.Controller.Bus = d.Disk.ovirtBus()
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(a, b Drive) int {
		ra, rb := math.MaxInt, math.MaxInt
		if a.Controller.Exists() {
			ra = rank[a.Controller.Bus]
		}
		if b.Controller.Exists() {
			rb = rank[b.Controller.Bus]
		}
		ua, ub := a.Unit, b.Unit
		if ua < 0 || ub < 0 || ra == math.MaxInt {
			ua, ub = 0, 0
		}
		return cmp.Or(cmp.Compare(ra, rb), cmp.Compare(a.Controller.Number, b.Controller.Number), cmp.Compare(ua, ub))
	})
	return out
}

// Disks are the drives of class disk.
func (h VirtualHardware) Disks(configuration string) []Drive {
	return slices.DeleteFunc(h.Drives(configuration), func(d Drive) bool { return d.Class != "disk" })
}

// IsDisk says whether an Item is a disk, as Disks has them: XenCenter writes
// storage extents (ResourceType 19), others storage volumes (32).
func (it Item) IsDisk() bool { return it.driveClass() == "disk" }

func (it Item) driveClass() string {
	switch it.ResourceType {
	case ResourceDisk, ResourceLogicalDisk:
		return "disk"
	case ResourceCD, ResourceDVD:
		return "cdrom"
	case ResourceFloppy:
		return "floppy"
	case 19, 32:
		if it.Kind == "StorageItem" || len(it.HostResource) > 0 {
			return "disk"
		}
	}
	return ""
}

// HostResource takes a HostResource apart (Table 3): ovf:/disk/x, /disk/x and
// the misspelt ovf://disk/x give "disk", "x"; ovf:/file/x gives "file", "x".
// Anything else names something of the platform.
func HostResource(s string) (kind, id string, ok bool) {
	s = strings.TrimSpace(s)
	if rest, found := strings.CutPrefix(s, "ovf:"); found {
		s = "/" + strings.TrimLeft(rest, "/")
	}
	for _, k := range []string{"disk", "file"} {
		if id, found := strings.CutPrefix(s, "/"+k+"/"); found && id != "" {
			return k, id, true
		}
	}
	return "", "", false
}

// Resolve finds what a HostResource stands for; the id is compared literally,
// then URL-decoded.
func (e *Envelope) Resolve(resource string) (Disk, File) {
	kind, id, ok := HostResource(resource)
	if !ok {
		if e.ovirt || e.version == V09 {
			return e.resolveOVirt(resource)
		}
		return Disk{}, File{}
	}
	ids := []string{id}
	if dec, err := url.PathUnescape(id); err == nil && dec != id {
		ids = append(ids, dec)
	}
	for _, id := range ids {
		if kind == "disk" {
			if d, ok := e.Disk(id); ok {
				f, _ := d.File()
				return d, f
			}
			continue
		}
		if f, ok := e.File(id); ok {
			// A disk that uses the file directly is described by its Disk.
			return e.diskOf(id), f
		}
	}
	return Disk{}, File{}
}

func (e *Envelope) diskOf(fileID string) Disk {
	x := e.lookup()
	if i, ok := x.diskByRef[fileID]; ok && fileID != "" {
		return x.disks[i]
	}
	return Disk{}
}

// resolveOVirt: oVirt's HostResource is "image/volume", which is the href of a
// File, and the volume is the id of the Disk.
func (e *Envelope) resolveOVirt(resource string) (Disk, File) {
	resource = strings.TrimSpace(resource)
	for _, f := range e.Files() {
		if f.Href == resource {
			return e.diskOf(f.ID), f
		}
	}
	image, volume, _ := strings.Cut(resource, "/")
	for _, id := range []string{volume, resource, image} {
		if d, ok := e.Disk(id); ok && id != "" {
			f, _ := d.File()
			return d, f
		}
	}
	return Disk{}, File{}
}

// NICs are the Ethernet adapters under a configuration, in the order of the
// descriptor.
func (h VirtualHardware) NICs(configuration string) []Item {
	return slices.DeleteFunc(h.EffectiveItems(configuration), func(it Item) bool { return it.ResourceType != ResourceEthernet })
}

// String names the controller as people do: scsi0.
func (c Controller) String() string {
	if c.Bus == "" {
		return ""
	}
	return fmt.Sprintf("%s%d", c.Bus, c.Number)
}

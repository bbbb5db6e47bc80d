package systemtemplate

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

const sector = 512

// defaultFormat is that of content whose format CIMI does not tell: what this
// project writes.
const defaultFormat = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

// topVolumes edits the disks whose Volumes are components of the System.
func (e *editor) topVolumes(want *View) error {
	uses := map[*Disk]int{}
	for _, m := range want.System.AllMachines() {
		seen := map[*Disk]bool{}
		for _, a := range m.Attachments {
			if top := slices.Contains(want.Volumes, a.Volume); top && !seen[a.Volume.Disk] {
				seen[a.Volume.Disk] = true
				uses[a.Volume.Disk] += m.Quantity
			}
		}
	}
	base := map[string]*Volume{}
	for _, v := range e.base.Volumes {
		base[v.Disk.OVFID] = v
	}
	for _, v := range want.Volumes {
		if uses[v.Disk] > 1 {
			v.Disk.Shared = true
		}
		b := base[v.Disk.OVFID]
		if b == nil {
			if old := e.disks[v.Disk.OVFID]; old != nil && v.Disk.OVFID != "" {
				b = &Volume{Name: v.Name, Disk: old, CapacityBytes: old.CapacityBytes}
			}
		}
		if b == nil {
			if _, err := e.disk(v); err != nil {
				return err
			}
			continue
		}
		if v.Disk.Shared && !b.Disk.Shared {
			return refuse("volume "+v.Name, "DSP0263 5.15.1", "%d machines use it, but disk %s is no SharedDisk", uses[v.Disk], b.Disk.OVFID)
		}
		if err := e.volume(b, v); err != nil {
			return err
		}
		if v.Name != b.Name || v.Description != b.Description || !maps.Equal(v.Attributes.Properties, b.Attributes.Properties) {
			if err := e.setAttributes(b.Disk.Element.Node(), "volume "+v.Name, func(a *Attributes) { volumeAttributes(a, b, v) }); err != nil {
				return err
			}
		}
	}
	return nil
}

func volumeAttributes(a *Attributes, b, w *Volume) {
	if w.Name != b.Name {
		a.Name = w.Name
	}
	a.Description, a.Properties = w.Description, w.Attributes.Properties
}

// volume edits capacity and content of a disk.
func (e *editor) volume(b, w *Volume) error {
	d := b.Disk
	if w.CapacityBytes >= 0 {
		kb := roundUp(w.CapacityBytes, 1000)
		if was, ok := e.sized[d]; ok && was != kb {
			return refuse("volume "+w.Name, "DSP0243 9.1", "volumes of one disk, %s, have different capacities: %d and %d", d.OVFID, was, kb)
		}
		e.sized[d] = kb
		if d.CapacityBytes < 0 || kb != roundUp(d.CapacityBytes, 1000) {
			e.setCapacity(d, w.CapacityBytes)
		}
	}
	if w.Disk.Href == d.Href {
		return nil
	}
	n := d.Element.Node()
	f, own := d.Element.File()
	switch {
	case w.Disk.Href == "":
		n.RemoveAttr(e.ns, "fileRef")
		n.RemoveAttr(e.ns, "parentRef")
	case own:
		e.setAttr(f.Node(), "href", w.Disk.Href)
	default:
		id, err := e.addFile(w.Name, w.Disk.Href)
		if err != nil {
			return err
		}
		e.setAttr(n, "fileRef", id)
		if d.Format == "" {
			e.setAttr(n, "format", defaultFormat)
		}
	}
	return nil
}

// setCapacity writes an edited capacity: a whole number of sectors that reads
// back as the same kilobytes.
func (e *editor) setCapacity(d *Disk, bytes int64) {
	bytes -= bytes % sector
	n := d.Element.Node()
	if strings.Contains(d.Element.Capacity, "${") {
		e.findings.add(PropertyValues, "disk "+d.OVFID, "%s no longer sets the capacity", d.Element.Capacity)
	}
	if u := d.Element.AllocationUnits; u != "" {
		if one, err := ovf.Quantity("1", u, "byte"); err == nil && one > 0 && bytes%one == 0 {
			e.setAttr(n, "capacity", strconv.FormatInt(bytes/one, 10))
			return
		}
		e.setAttr(n, "capacityAllocationUnits", "byte")
	}
	e.setAttr(n, "capacity", strconv.FormatInt(bytes, 10))
}

// disk gives the diskId of a Volume's disk, which is made where it is new.
func (e *editor) disk(v *Volume) (string, error) {
	d := v.Disk
	if id, ok := e.diskID[d]; ok {
		return id, nil
	}
	if old := e.disks[d.OVFID]; d.OVFID != "" && old != nil {
		e.diskID[d] = old.OVFID
		return old.OVFID, nil
	}
	if d.Shared && e.env.Version() != ovf.V2 {
		return "", refuse("volume "+v.Name, "DSP0263 5.15.1", "several machines share it: only OVF 2 has SharedDisk")
	}
	id := uniqueID(e.diskIDs, or(d.OVFID, v.Name))
	e.diskID[d] = id
	capacity := max(v.CapacityBytes, 0)
	if r := capacity % sector; r != 0 {
		capacity += sector - r
	}
	f := xmltree.Fragment{Name: e.name("Disk"), Attrs: e.attrs("diskId", id)}
	if d.Href != "" {
		file, err := e.addFile(id, d.Href)
		if err != nil {
			return "", err
		}
		f.Attrs = append(f.Attrs, e.attrs("fileRef", file)...)
	}
	f.Attrs = append(f.Attrs, e.attrs("capacity", strconv.FormatInt(capacity, 10))...)
	if d.Href != "" {
		f.Attrs = append(f.Attrs, e.attrs("format", or(d.Format, defaultFormat))...)
	}
	section := "DiskSection"
	if d.Shared {
		section, f.Name.Local = "SharedDiskSection", "SharedDisk"
		if d.ReadOnly {
			f.Attrs = append(f.Attrs, e.attrs("readOnly", "true")...)
		}
	}
	n, err := e.section(section, "Virtual disks of the package").Append(f)
	if err != nil {
		return "", err
	}
	if !d.Shared && slices.ContainsFunc(e.base.Volumes, func(x *Volume) bool { return x == v }) {
		return id, nil
	}
	a := Attributes{Description: v.Description, Properties: v.Attributes.Properties}
	if v.Name != id {
		a.Name = v.Name
	}
	return id, e.attributes(n, a)
}

// section is a section of the Envelope, made where there is none.
func (e *editor) section(kind, info string) *xmltree.Node {
	for _, s := range e.env.Sections() {
		if s.Kind == kind {
			return s.Node()
		}
	}
	return e.insertSection(e.env.Tree().Root(), xmltree.Fragment{Name: e.name(kind), Children: []xmltree.Fragment{e.text("Info", info)}})
}

func (e *editor) addFile(name, href string) (string, error) {
	id := uniqueID(e.fileIDs, "file-"+name)
	root := e.env.Tree().Root()
	var refs *xmltree.Node
	for c := range root.Children() {
		if c.Name().Local == "References" {
			refs = c
		}
	}
	if refs == nil {
		var err error
		if refs, err = root.Insert(xmltree.Fragment{Name: e.name("References")}, nil, true); err != nil {
			return "", err
		}
	}
	_, err := refs.Append(xmltree.Fragment{Name: e.name("File"), Attrs: e.attrs("id", id, "href", href)})
	return id, err
}

// attachments edits the disks of a machine.
func (e *editor) attachments(b, w *Machine, object string) error {
	pairs := map[*Attachment]*Attachment{}
	used := map[*Attachment]bool{}
	match := func(same func(x, y *Attachment) bool) {
		for _, y := range w.Attachments {
			if pairs[y] != nil {
				continue
			}
			for _, x := range b.Attachments {
				if !used[x] && same(x, y) {
					pairs[y], used[x] = x, true
					break
				}
			}
		}
	}
	match(func(x, y *Attachment) bool { return y.OVFID != "" && x.OVFID == y.OVFID })
	match(func(x, y *Attachment) bool {
		return y.OVFID == "" && y.Volume.Disk.OVFID != "" && x.Volume.Disk.OVFID == y.Volume.Disk.OVFID
	})
	for _, x := range b.Attachments {
		if !used[x] {
			e.removeItem(b.Hardware, x.Item)
		}
	}
	for _, y := range w.Attachments {
		x := pairs[y]
		if x == nil {
			if err := e.attach(b.Hardware, y); err != nil {
				return err
			}
			continue
		}
		if err := e.attachment(b, x, y, object); err != nil {
			return err
		}
	}
	return e.boot(b, w, pairs)
}

func (e *editor) attachment(b *Machine, x, y *Attachment, object string) error {
	if y.Volume.Disk.OVFID != x.Volume.Disk.OVFID {
		id, err := e.disk(y.Volume)
		if err != nil {
			return err
		}
		return e.setField(b.Hardware, x.Item, "HostResource", "ovf:/disk/"+id)
	}
	if !y.Volume.Disk.Shared {
		if err := e.volume(x.Volume, y.Volume); err != nil {
			return err
		}
	}
	v, was := y.Volume, x.Volume
	if v.Name == "" {
		v.Name = was.Name
	}
	if v.Disk.Shared {
		v = was // its own attributes stand on the SharedDisk
	}
	if y.InitialLocation == x.InitialLocation && v.Name == was.Name && v.Description == was.Description &&
		maps.Equal(v.Attributes.Properties, was.Attributes.Properties) {
		return nil
	}
	if y.InitialLocation != x.InitialLocation {
		e.findings.add(DiskLocation, object, "%s", y.InitialLocation)
	}
	return e.setAttributes(x.Item.Node(), object, func(a *Attributes) {
		volumeAttributes(a, was, v)
		a.InitialLocation = y.InitialLocation
	})
}

// boot puts the wanted boot disk where the first one with content hangs: the
// two Items trade places on their controllers. Where the producer marks the boot
// disk, the mark moves instead, if the other can have one.
func (e *editor) boot(b, w *Machine, pairs map[*Attachment]*Attachment) error {
	now := bootAttachment(b)
	for _, y := range w.Attachments {
		x := pairs[y]
		if !y.Volume.Bootable || x == nil || now == nil || x == now || x.Volume.Bootable || now.Volume.Disk.Shared || y.Volume.Disk.Shared {
			continue
		}
		if now.Volume.Disk.Element.Boots() {
			for _, a := range b.Attachments {
				if d := a.Volume.Disk; !d.Shared && d.Element.Boots() != (a == x) {
					d.Element.SetBoots(a == x)
				}
			}
			if now = bootAttachment(b); now == nil || now == x {
				return nil
			}
		}
		for _, f := range []string{"Parent", "AddressOnParent"} {
			p, q := x.Item.Fields(f), now.Item.Fields(f)
			if slices.Equal(p, q) {
				continue
			}
			if err := e.setField(b.Hardware, x.Item, f, q...); err != nil {
				return err
			}
			if err := e.setField(b.Hardware, now.Item, f, p...); err != nil {
				return err
			}
		}
		return nil
	}
	return nil
}

// attach adds a disk to the hardware, on a controller with a free place.
func (e *editor) attach(h ovf.VirtualHardware, a *Attachment) error {
	id, err := e.disk(a.Volume)
	if err != nil {
		return err
	}
	bus := or(a.Controller, or(e.opts.Controller, "scsi"))
	parent, unit := "", -1
	for _, c := range h.Controllers(e.config) {
		if a.Controller != "" && c.Bus != a.Controller || busUnits(c.Bus) == 0 {
			continue
		}
		taken := map[int]bool{}
		for _, d := range h.Drives(e.config) {
			if d.Controller.InstanceID == c.InstanceID {
				taken[d.Unit] = true
			}
		}
		if unit = freeUnit(c.Bus, taken); unit >= 0 {
			parent = c.InstanceID
			break
		}
	}
	if parent == "" {
		unit = 0
		if parent, err = e.addItem(h, controller(bus, len(h.Controllers(e.config))), Attributes{}); err != nil {
			return err
		}
	}
	_, err = e.addItem(h, drive(id, parent, unit), e.itemAttributes(a, id))
	return err
}

// itemAttributes are those of an attached Volume.
func (e *editor) itemAttributes(a *Attachment, diskID string) Attributes {
	x := Attributes{InitialLocation: a.InitialLocation}
	if v := a.Volume; !v.Disk.Shared {
		x.Description, x.Properties = v.Description, v.Attributes.Properties
		if v.Name != diskID {
			x.Name = v.Name
		}
	}
	return x
}

func busUnits(bus string) int {
	switch bus {
	case "ide":
		return 2
	case "scsi":
		return 16
	case "sata":
		return 30
	case "nvme", "virtio":
		return 15
	}
	return 0
}

func freeUnit(bus string, taken map[int]bool) int {
	for u := range busUnits(bus) {
		if !taken[u] && !(bus == "scsi" && u == 7) { // 7 is the controller's own
			return u
		}
	}
	return -1
}

func controller(bus string, number int) []field {
	fields := []field{{"Address", strconv.Itoa(number)}, {"ElementName", bus + strconv.Itoa(number)}}
	add := func(kind, sub string) []field {
		fields = append(fields, field{"ResourceType", kind})
		if sub != "" {
			fields = append(fields, field{"ResourceSubType", sub})
		}
		return fields
	}
	switch bus {
	case "ide":
		return add("5", "")
	case "sata":
		return add("20", "AHCI")
	case "nvme", "virtio":
		return add("20", bus)
	}
	return add("6", "lsilogic")
}

func drive(disk, parent string, unit int) []field {
	return []field{{"AddressOnParent", strconv.Itoa(unit)}, {"ElementName", "disk " + disk}, {"HostResource", "ovf:/disk/" + disk},
		{"Parent", parent}, {"ResourceType", "17"}}
}

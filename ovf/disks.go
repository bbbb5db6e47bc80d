package ovf

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf/xmltree"
)

// Disk is a Disk of DiskSection (DSP0243 9.1), or a SharedDisk of OVF 2's
// SharedDiskSection.
type Disk struct {
	Element
	ID              string
	FileRef         string // ovf:id of a File; empty for a blank disk
	Capacity        string // as written: a number, or ${property}
	AllocationUnits string // as written; empty means byte
	PopulatedSize   int64  // in bytes, -1 when absent
	Format          string // a URI; empty when absent
	ParentRef       string // diskId of the disk that this one is a delta of
	Shared          bool   // stands in SharedDiskSection
	ReadOnly        bool   // SharedDisk only
}

// Disks are those of DiskSection, then those of SharedDiskSection.
func (e *Envelope) Disks() []Disk { return e.lookup().disks }

// Disk is the one with that ovf:diskId, shared or not.
func (e *Envelope) Disk(id string) (Disk, bool) {
	x := e.lookup()
	i, ok := x.diskByID[id]
	if !ok {
		return Disk{}, false
	}
	return x.disks[i], true
}

func (e *Envelope) readDisks(files []File) []Disk {
	var out []Disk
	// byHref leads from what oVirt writes as fileRef to the id of the File; an
	// id leads to itself.
	byHref := map[string]string{}
	if e.ovirt {
		for _, f := range files {
			byHref[f.Href] = f.ID
		}
		for _, f := range files {
			byHref[f.ID] = f.ID
		}
		for _, f := range files {
			// Some leave out the image, some the volume, of "image/volume".
			if image, volume, ok := strings.Cut(f.Href, "/"); ok {
				setIfAbsent(byHref, volume, f.ID)
				setIfAbsent(byHref, image, f.ID)
			}
		}
	}
	for _, s := range [2]struct{ section, element string }{{"DiskSection", "Disk"}, {"SharedDiskSection", "SharedDisk"}} {
		for _, sec := range e.children(e.doc.Root(), s.section) {
			for _, n := range e.children(sec, s.element) {
				d := Disk{Element: Element{e, n}, ID: e.attrOr(n, "diskId", ""), FileRef: e.attrOr(n, "fileRef", ""),
					Capacity: e.attrOr(n, "capacity", ""), AllocationUnits: e.attrOr(n, "capacityAllocationUnits", ""),
					PopulatedSize: -1, Format: e.attrOr(n, "format", ""), ParentRef: e.attrOr(n, "parentRef", ""),
					Shared: s.element == "SharedDisk", ReadOnly: e.boolAttr(n, "readOnly", false)}
				if v, err := strconv.ParseInt(e.attrOr(n, "populatedSize", ""), 10, 64); err == nil && v >= 0 {
					d.PopulatedSize = v
				}
				if e.ovirt {
					d = e.ovirtDisk(d, byHref)
				}
				out = append(out, d)
			}
		}
	}
	return out
}

// ovirtDisk reads oVirt's habits: fileRef is the path "image/volume" and not
// the id of a File, size is in GiB where there is no capacity, and an empty or
// null parentRef means none.
func (e *Envelope) ovirtDisk(d Disk, byHref map[string]string) Disk {
	if _, ok := e.attr(d.node, "capacity"); !ok {
		if size := e.attrOr(d.node, "size", ""); size != "" {
			d.Capacity, d.AllocationUnits = size, "byte * 2^30"
		}
	}
	if strings.Trim(d.ParentRef, "0-") == "" {
		d.ParentRef = ""
	}
	image, volume, _ := strings.Cut(d.FileRef, "/")
	for _, name := range []string{d.FileRef, volume, image} {
		if id, ok := byHref[name]; ok && name != "" {
			d.FileRef = id
			break
		}
	}
	return d
}

func setIfAbsent(m map[string]string, key, value string) {
	if _, ok := m[key]; !ok {
		m[key] = value
	}
}

// File is the References entry with the disk's content; false for a blank disk
// and for a fileRef that leads nowhere (which validation reports).
func (d Disk) File() (File, bool) {
	if d.FileRef == "" || d.env == nil {
		return File{}, false
	}
	return d.env.File(d.FileRef)
}

// ContentFormat is the URI of the format that the stored disk has by what the
// descriptor says: ovf:format, but where oVirt's volume-format says otherwise.
// Of raw volumes oVirt's ovf:format names VMDK, or nothing.
func (d Disk) ContentFormat() string {
	if d.node == nil {
		return d.Format
	}
	switch strings.ToUpper(d.env.attrOr(d.node, "volume-format", "")) {
	case "COW":
		return "http://www.gnome.org/~markmc/qcow-image-format.html"
	case "RAW":
		return "http://wiki.rpath.com/wiki/rBuilder_Online:Raw_Filesystem_Image"
	}
	return d.Format
}

// Boots says that machines boot from the disk by what oVirt (ovf:boot) or
// XenCenter (xenovf:isBootable) wrote beside it.
func (d Disk) Boots() bool {
	n := d.bootMark()
	if n.Local == "" {
		return false
	}
	v, _ := d.node.Attr(n.Space, n.Local)
	b, _ := parseBool(v)
	return b
}

// SetBoots sets that mark; a disk that has none is left alone.
func (d Disk) SetBoots(boots bool) {
	if n := d.bootMark(); n.Local != "" {
		d.node.SetAttr(n.Space, n.Local, strconv.FormatBool(boots), "")
	}
}

// bootMark is the name of the attribute that says it, empty when there is none.
func (d Disk) bootMark() (name xmltree.Name) {
	if d.node == nil {
		return name
	}
	for a := range d.node.Attrs() {
		if a.Name.Local == "boot" && d.env.ovirt && d.env.ours(a.Name.Space) || a.Name.Local == "isBootable" && a.Name.Space == NSXenCenter {
			return a.Name
		}
	}
	return name
}

// Blank says that the disk has no content: fileRef is absent.
func (d Disk) Blank() bool { return d.FileRef == "" }

// CapacityBytes is the capacity under the default configuration and the
// default values of properties.
func (d Disk) CapacityBytes() (int64, error) { return d.CapacityIn("", nil) }

// CapacityIn is the capacity in bytes. A capacity of ${name} takes the value
// of that property: from values (by key as in the OVF environment, see
// Property.EnvKey, or by plain key), else the one the configuration gives it,
// else its default (DSP0243 9.1). A unit right behind the number counts where
// there is no other. The error is a *DescriptorError.
func (d Disk) CapacityIn(configuration string, values map[string]string) (int64, error) {
	object := "disk " + d.ID
	capacity := strings.TrimSpace(d.Capacity)
	if capacity == "" {
		return 0, d.fail(object, "9.1", "the capacity is missing")
	}
	if name, ok := macro(capacity); ok {
		v, ok := d.env.propertyValue(name, configuration, values)
		if !ok {
			return 0, d.fail(object, "9.1", "the capacity is %s, but no ProductSection has a property %q", capacity, name)
		}
		if capacity = strings.TrimSpace(v); capacity == "" {
			return 0, d.fail(object, "9.1", "the capacity is %s, and that property has no value", d.Capacity)
		}
	}
	units := d.AllocationUnits
	if number, unit, ok := d.withUnit(); ok {
		capacity, units = number, unit
	}
	n, err := Quantity(capacity, units, "byte")
	if err != nil {
		return 0, d.fail(object, "9.1", "the capacity: %v", err)
	}
	return n, nil
}

// withUnit takes a capacity apart that has its unit behind the number, as
// service managers wrote it ("10GB"), and no other.
func (d Disk) withUnit() (number, unit string, ok bool) {
	c := strings.TrimSpace(d.Capacity)
	unit = strings.TrimLeft(c, "0123456789")
	number = strings.TrimSuffix(c, unit)
	if number == "" || unit == "" || d.AllocationUnits != "" {
		return "", "", false
	}
	_, err := ParseUnits(unit)
	return number, unit, err == nil && words[strings.ToLower(strings.TrimSpace(unit))].base == "byte"
}

// macro recognises ${name}.
func macro(s string) (string, bool) {
	inner, ok := strings.CutPrefix(s, "${")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(inner, "}")
}

// propertyValue looks a property up in the outermost content first, then
// inwards, as a reader of the descriptor meets it.
func (e *Envelope) propertyValue(name, configuration string, values map[string]string) (string, bool) {
	if v, ok := values[name]; ok {
		return v, true
	}
	configuration = e.configurationOr(configuration)
	for c := range e.Contents() {
		for _, p := range c.Properties() {
			if p.Key != name && p.EnvKey() != name {
				continue
			}
			if v, ok := values[p.EnvKey()]; ok {
				return v, true
			}
			return p.ValueIn(configuration), true
		}
	}
	return "", false
}

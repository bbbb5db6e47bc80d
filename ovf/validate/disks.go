package validate

import (
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/ovf"
)

func references(c *checker) {
	root := c.env.Tree().Root()
	if !hasChild(root, "References") {
		c.add("OVF-REF-010", "Envelope", "there is no References element")
	}
	ids, hrefs := map[string]bool{}, map[string]string{}
	for _, f := range c.env.Files() {
		object := "file " + f.ID
		switch {
		case f.ID == "":
			c.add("OVF-REF-001", "file", "line %d: the File with href %q has no id", f.Line(), f.Href)
		case ids[f.ID]:
			c.add("OVF-REF-002", object, "the id stands more than once")
		}
		ids[f.ID] = true
		if strings.TrimSpace(f.Href) == "" {
			c.add("OVF-REF-003", object, "the File has no href")
			continue
		}
		if other, ok := hrefs[f.Href]; ok {
			c.add("OVF-REF-004", object, "href %q is that of file %s too", f.Href, other)
		}
		hrefs[f.Href] = f.ID
		c.fileNumbers(f, object)
		switch strings.ToLower(f.Compression) {
		case "", "identity", "gzip", "bzip2":
		default:
			c.add("OVF-REF-007", object, "compression is %q, expected identity, gzip or bzip2", f.Compression)
		}
		if ovf.RemoteHref(f.Href) {
			if !c.opts.RemoteHrefs {
				c.add("OVF-REF-009", object, "href %q leads to another server", f.Href)
			}
			continue
		}
		name, err := ovf.MemberName(f.Href, c.has)
		if err != nil {
			c.add("OVF-REF-008", object, "%v", err)
			continue
		}
		c.stored(f, name, object)
	}
}

func (c *checker) fileNumbers(f ovf.File, object string) {
	for _, a := range []struct {
		name, rule string
		least      int64
	}{{"size", "OVF-REF-005", 0}, {"chunkSize", "OVF-REF-006", 1}} {
		raw, ok := rawAttr(c, f.Element, a.name)
		if !ok || a.name == "size" && c.draft && raw == "" {
			continue
		}
		if v, err := strconv.ParseInt(raw, 10, 64); (err != nil || v < a.least) && !placeholder(raw) {
			c.add(a.rule, object, "%s is %q, expected a whole number of at least %d", a.name, raw, a.least)
		}
	}
}

func rawAttr(c *checker, x ovf.Element, local string) (string, bool) {
	v, ok := x.Node().Attr(c.env.Namespace(), local)
	if !ok {
		v, ok = x.Node().Attr("", local)
	}
	return strings.TrimSpace(v), ok
}

// placeholder recognises what templates put where a number will be.
func placeholder(s string) bool {
	if s == "$" || len(s) > 2 && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		return true // DISK_CAPACITY
	}
	for _, p := range [][2]string{{"@", "@"}, {"{{", "}}"}, {"[", "]"}, {"___", "___"}, {"#", "#"}, {"$", ""}, {"%", "%"}} {
		if len(s) > len(p[0])+len(p[1]) && strings.HasPrefix(s, p[0]) && strings.HasSuffix(s, p[1]) {
			return true
		}
	}
	return false
}

func (c *checker) has(name string) bool {
	if c.opts.Inventory == nil {
		return false
	}
	_, ok := c.opts.Inventory.Size(name)
	return ok
}

// stored compares with what the package holds.
func (c *checker) stored(f ovf.File, name, object string) {
	inv := c.opts.Inventory
	if inv == nil {
		return
	}
	if f.ChunkSize > 0 {
		if !c.has(ovf.ChunkName(name, 0)) {
			c.add("OVF-REF-011", object, "the package does not hold %q, the first chunk of %q", ovf.ChunkName(name, 0), name)
		}
		return
	}
	size, ok := inv.Size(name)
	switch {
	case !ok:
		c.add("OVF-REF-011", object, "the package does not hold %q", name)
	case size >= 0 && f.Size >= 0 && size != f.Size:
		c.add("OVF-REF-012", object, "%q has %d bytes, References says %d", name, size, f.Size)
	}
}

func disks(c *checker) {
	ids, refs := map[string]bool{}, map[string]string{}
	order := map[string]int{}
	for i, f := range c.env.Files() {
		order[f.ID] = i
	}
	used, conditional := c.usedDisks()
	last := -1
	for _, d := range c.env.Disks() {
		object := "disk " + d.ID
		switch {
		case d.ID == "":
			c.add("OVF-DISK-001", "disk", "line %d: a Disk has no diskId", d.Line())
		case ids[d.ID]:
			c.add("OVF-DISK-002", object, "the diskId stands more than once")
		}
		ids[d.ID] = true
		if d.Shared && c.env.Version() != ovf.V2 {
			c.add("OVF-DISK-013", object, "SharedDiskSection in a descriptor of version %s", c.env.Version())
		}
		if d.FileRef != "" {
			if i, ok := order[d.FileRef]; !ok {
				c.add("OVF-DISK-003", object, "fileRef %q names no File of References", d.FileRef)
			} else {
				if _, again := refs[d.FileRef]; i < last && !d.Shared && !again {
					c.add("OVF-DISK-007", object, "its file %q stands before that of the disk before", d.FileRef)
				}
				last = max(last, i)
			}
			if other, ok := refs[d.FileRef]; ok {
				id := "OVF-DISK-006"
				if conditional[d.ID] || conditional[other] {
					id = "OVF-DISK-017"
				}
				c.add(id, object, "fileRef %q is that of disk %s too", d.FileRef, other)
			}
			refs[d.FileRef] = d.ID
			if d.Format == "" && !c.env.OVirt() {
				c.add("OVF-DISK-008", object, "the Disk has content and no format")
			}
		}
		if d.ParentRef != "" {
			if _, there := c.env.Disk(d.ParentRef); there && !ids[d.ParentRef] {
				c.add("OVF-DISK-019", object, "its parent %q comes after it", d.ParentRef)
			}
			c.parents(d, object)
		}
		c.capacity(d, object)
		if !used[d.ID] {
			c.add("OVF-DISK-014", object, "no device uses the disk")
		}
	}
}

// usedDisks are those that some device or disk refers to, and of these the ones
// that some configuration alone does.
func (c *checker) usedDisks() (used, conditional map[string]bool) {
	used, conditional = map[string]bool{}, map[string]bool{}
	for _, d := range c.env.Disks() {
		used[d.ParentRef] = true
	}
	for _, vs := range c.env.VirtualSystems() {
		for _, h := range vs.Hardware() {
			for _, it := range h.Items() {
				for _, r := range it.HostResource {
					if d, _ := c.env.Resolve(r); d.Exists() {
						used[d.ID] = true
						if len(it.Configuration) > 0 {
							conditional[d.ID] = true
						}
					}
				}
			}
		}
	}
	return used, conditional
}

// maxAncestors is more than any platform lets build on each other.
const maxAncestors = 256

func (c *checker) parents(d ovf.Disk, object string) {
	at := d
	for steps := 0; at.ParentRef != ""; steps++ {
		p, ok := c.env.Disk(at.ParentRef)
		if !ok {
			if at.ID == d.ID {
				c.add("OVF-DISK-009", object, "parentRef %q names no Disk", at.ParentRef)
			}
			return
		}
		switch {
		case p.ID == d.ID:
			c.add("OVF-DISK-010", object, "the disk is its own ancestor")
			return
		case steps > maxAncestors:
			c.add("OVF-DISK-010", object, "its chain of parents does not end within %d disks", maxAncestors)
			return
		}
		at = p
	}
}

func (c *checker) capacity(d ovf.Disk, object string) {
	if placeholder(d.Capacity) && !strings.HasPrefix(d.Capacity, "${") {
		c.add("OVF-DISK-016", object, "the capacity is %q, which a template leaves to be filled in", d.Capacity)
		if u, err := ovf.ParseUnits(d.AllocationUnits); d.AllocationUnits != "" && !placeholder(d.AllocationUnits) && (err != nil || u.Base != "byte" && u.Base != "bit") {
			c.add("OVF-DISK-004", object, "capacityAllocationUnits is %q, expected a unit of bytes", d.AllocationUnits)
		}
		return
	}
	if u, err := ovf.ParseUnits(d.AllocationUnits); d.AllocationUnits != "" && err == nil && u.Deprecated {
		c.add("OVF-DISK-012", object, "the unit is %q", d.AllocationUnits)
	}
	n, err := d.CapacityBytes()
	if c.env.OVirt() && d.Capacity == "" {
		// A LUN's size is known to its storage alone.
		c.add("OVF-DISK-018", object, "the capacity is missing")
		return
	}
	if err != nil {
		if strings.HasPrefix(d.Capacity, "${") && c.hasProperty(strings.TrimSuffix(d.Capacity[2:], "}")) {
			c.add("OVF-DISK-016", object, "%s", said(err))
			return
		}
		c.add("OVF-DISK-004", object, "%s", said(err))
		return
	}
	if strings.Trim(strings.TrimSpace(d.Capacity), "+0123456789") != "" && !strings.HasPrefix(d.Capacity, "${") {
		c.add("OVF-DISK-004", object, "the capacity is %q, expected a number; read as %d bytes", d.Capacity, n)
	}
	switch {
	case n == 0 && d.Blank():
		c.add("OVF-DISK-005", object, "the capacity is 0")
	case n == 0:
		c.add("OVF-DISK-018", object, "the capacity is 0")
	}
	if d.PopulatedSize > n {
		c.add("OVF-DISK-011", object, "populatedSize is %d, capacity %d", d.PopulatedSize, n)
	}
	if f, ok := d.File(); ok && c.opts.Inventory != nil {
		if name, err := ovf.MemberName(f.Href, c.has); err == nil {
			if real, ok := c.opts.Inventory.DiskCapacity(name); ok && real != n {
				c.add("OVF-DISK-015", object, "the capacity is %d bytes, the header of %q says %d", n, name, real)
			}
		}
	}
}

func (c *checker) hasProperty(name string) bool {
	for x := range c.env.Contents() {
		for _, p := range x.Properties() {
			if p.Key == name || p.EnvKey() == name {
				return p.Value == "" && len(p.Values) == 0
			}
		}
	}
	return false
}

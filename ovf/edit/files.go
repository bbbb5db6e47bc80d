package edit

import (
	"github.com/cimimove/cimimove/ovf"
)

func (e *editor) files() error {
	for _, name := range e.opts.Remove {
		f, ok := e.env.File(name)
		if !ok {
			for _, g := range e.env.Files() {
				if g.Href == name {
					f, ok = g, true
				}
			}
		}
		if !ok {
			return refuse("file "+name, "References has no such file")
		}
		if err := e.removeUses(f); err != nil {
			return err
		}
		f.Remove()
	}
	for _, f := range e.opts.Add {
		if f.ID == "" || f.Href == "" {
			return refuse("file "+f.ID, "id or href is empty")
		}
		for _, g := range e.env.Files() {
			if g.ID == f.ID || g.Href == f.Href {
				return refuse("file "+f.ID, "file %s has the id or the href %q already", g.ID, f.Href)
			}
		}
		if err := e.env.AddFile(f); err != nil {
			return err
		}
	}
	return nil
}

// removeUses takes away what needs a file: its Disk and the devices that show
// it, entries that name it. Drives of removable media stay, empty.
func (e *editor) removeUses(f ovf.File) error {
	gone := map[string]bool{}
	for _, d := range e.env.Disks() {
		if d.FileRef == f.ID {
			gone[d.ID] = true
		}
	}
	for _, d := range e.env.Disks() {
		if gone[d.ParentRef] && d.ParentRef != "" && !gone[d.ID] {
			return refuse("file "+f.ID, "disk %s is a delta of the disk in it", d.ID)
		}
	}
	err := e.sections(func(c ovf.Content, h ovf.VirtualHardware) error {
		for _, it := range h.Items() {
			if err := e.removeBacking(c, it, f, gone); err != nil {
				return err
			}
		}
		for _, k := range h.Configs() {
			if _, g := e.env.Resolve(k.Value); g.Exists() && g.ID == f.ID {
				e.find(RuleFile, "VirtualSystem "+c.ID, "%s goes with file %s", k.Key, f.ID)
				k.Remove()
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range e.env.Disks() {
		if gone[d.ID] {
			e.find(RuleFile, "disk "+d.ID, "the disk goes with file %s", f.ID)
			d.Remove()
		}
	}
	for _, x := range e.env.FileUses(f.ID) {
		e.find(RuleFile, x.Node().Name().Local, "the entry goes with file %s", f.ID)
		x.Remove()
	}
	return nil
}

func (e *editor) removeBacking(c ovf.Content, it ovf.Item, f ovf.File, gone map[string]bool) error {
	object := "VirtualSystem " + c.ID + ", item " + it.InstanceID
	for _, n := range it.FieldNodes("HostResource") {
		d, g := e.env.Resolve(n.Text())
		if !(d.Exists() && gone[d.ID] || g.Exists() && g.ID == f.ID) {
			continue
		}
		switch it.ResourceType {
		case ovf.ResourceCD, ovf.ResourceDVD, ovf.ResourceFloppy:
			e.find(RuleFile, object, "the drive is empty without file %s", f.ID)
			n.Remove()
		default:
			e.find(RuleFile, object, "the device goes with file %s", f.ID)
			it.Remove()
			return nil
		}
	}
	return nil
}

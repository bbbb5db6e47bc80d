package edit

import (
	"maps"
	"slices"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

func (e *editor) properties() error {
	for _, key := range slices.Sorted(maps.Keys(e.opts.Properties)) {
		value := e.opts.Properties[key]
		var exact, plain []ovf.Property
		var known []string
		for c := range e.env.Contents() {
			for _, p := range c.Properties() {
				known = append(known, p.EnvKey())
				if p.EnvKey() == key {
					exact = append(exact, p)
				} else if p.Key == key {
					plain = append(plain, p)
				}
			}
		}
		if len(exact) == 0 {
			exact = plain
		}
		if len(exact) == 0 {
			return refuse("property "+key, "the package has no such property; it has %q", known)
		}
		for _, p := range exact {
			if p.EnvKey() != exact[0].EnvKey() {
				return refuse("property "+key, "it may be %s or %s; name one of them", exact[0].EnvKey(), p.EnvKey())
			}
			if err := validate.Value(p, value); err != nil {
				return err
			}
			p.SetAttr("value", value)
			// What is set counts in every configuration.
			for _, v := range p.Values {
				v.Remove()
			}
		}
	}
	return nil
}

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
		if _, taken := e.env.File(f.ID); taken || f.ID == "" || f.Href == "" {
			return refuse("file "+f.ID, "the id is taken, or id or href is empty")
		}
		if err := e.env.AddFile(f); err != nil {
			return err
		}
	}
	return nil
}

// removeUses takes away the Disk of a file and the devices that show either.
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
			for _, r := range it.HostResource {
				d, g := e.env.Resolve(r)
				if d.Exists() && gone[d.ID] || g.Exists() && g.ID == f.ID {
					e.find(RuleFile, "VirtualSystem "+c.ID+", item "+it.InstanceID, "the device goes with file %s", f.ID)
					it.Remove()
					break
				}
			}
		}
		return nil
	})
	for _, d := range e.env.Disks() {
		if gone[d.ID] {
			e.find(RuleFile, "disk "+d.ID, "the disk goes with file %s", f.ID)
			d.Remove()
		}
	}
	return err
}

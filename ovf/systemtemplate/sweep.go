package systemtemplate

import (
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/xmltree"
)

func trimText(n *xmltree.Node) string { return strings.TrimSpace(n.Text()) }

// sweep removes what the removed resources leave behind: networks that were
// removed and that nothing connects to, disks whose Volumes are gone and that
// no Item and no other disk names, and their Files.
func (e *editor) sweep(want *View) {
	connected := map[string]bool{}
	e.eachConnection(func(_ *xmltree.Node, name string) { connected[name] = true })
	for _, b := range e.base.Networks {
		if _, kept := e.netName[b]; !kept && !connected[b.OVFID] && b.Element.Exists() {
			b.Element.Node().Remove()
		}
	}
	gone := map[*Disk]bool{}
	mark := func(v *Volume) {
		for d := v.Disk; d != nil && !gone[d]; d = d.Parent {
			gone[d] = true
		}
	}
	for _, v := range e.base.Volumes {
		mark(v)
	}
	for _, m := range e.base.System.AllMachines() {
		for _, a := range m.Attachments {
			mark(a.Volume)
		}
	}
	for _, v := range want.Volumes {
		delete(gone, e.disks[v.Disk.OVFID])
	}
	for _, m := range want.System.AllMachines() {
		for _, a := range m.Attachments {
			delete(gone, e.disks[a.Volume.Disk.OVFID])
		}
	}
	// A parent can go once its children have gone.
	for again := true; again; {
		again = false
		used := e.usedDisks()
		for _, d := range e.base.Disks {
			if gone[d] && !used[d.OVFID] {
				delete(gone, d)
				file, ok := d.Element.File()
				d.Element.Node().Remove()
				if ok && !e.fileUsed(file.ID) {
					file.Node().Remove()
				}
				again = true
			}
		}
	}
}

func (e *editor) usedDisks() map[string]bool {
	used := map[string]bool{}
	for _, d := range e.env.Disks() {
		used[d.ParentRef] = true
	}
	for _, c := range e.env.VirtualSystems() {
		for _, h := range c.Hardware() {
			for _, it := range h.Items() {
				for _, r := range it.HostResource {
					if kind, id, ok := ovf.HostResource(r); ok && kind == "disk" {
						used[id] = true
						if dec, err := url.PathUnescape(id); err == nil {
							used[dec] = true
						}
					}
				}
			}
		}
	}
	return used
}

// fileUsed looks for the id in every fileRef and HostResource.
func (e *editor) fileUsed(id string) bool {
	for n := range e.env.Tree().Root().Descendants() {
		for a := range n.Attrs() {
			if a.Name.Local == "fileRef" && a.Value == id {
				return true
			}
		}
		if n.Name().Local == "HostResource" {
			if kind, f, ok := ovf.HostResource(n.Text()); ok && kind == "file" && f == id {
				return true
			}
		}
	}
	return false
}

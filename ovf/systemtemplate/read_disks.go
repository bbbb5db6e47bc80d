package systemtemplate

import (
	"net/url"

	"github.com/cimimove/cimimove/ovf"
)

func (r *reader) readDisks() {
	all := r.env.Disks()
	for _, d := range all {
		if _, ok := r.disks[d.ID]; ok {
			continue // validation reports the second one
		}
		disk := &Disk{OVFID: d.ID, Format: d.Format, Shared: d.Shared, ReadOnly: d.ReadOnly, Element: d}
		var err error
		if disk.CapacityBytes, err = d.CapacityIn(r.config, r.opts.Properties); err != nil {
			// A placeholder that its producer fills in later: the image knows.
			disk.CapacityBytes = -1
			r.findings.add(CapacityUnknown, "disk "+d.ID, "%v", err)
		}
		if f, ok := d.File(); ok {
			disk.FileID, disk.Href = f.ID, r.opts.imageLocation(f)
		}
		r.disks[d.ID] = disk
		r.view.Disks = append(r.view.Disks, disk)
	}
	for _, d := range r.view.Disks {
		if d.Element.ParentRef != "" {
			d.Parent = r.disks[d.Element.ParentRef]
		}
	}
	for _, d := range r.view.Disks {
		// A longer chain, or a circle, is refused elsewhere.
		p := d.Parent
		for range 256 {
			if p == nil || d.FileID != "" {
				break
			}
			d.FileID, d.Href, p = p.FileID, p.Href, p.Parent
		}
	}
	r.elsewhere()
}

// elsewhere marks the disks that any hardware of any configuration names.
func (r *reader) elsewhere() {
	for _, c := range r.env.VirtualSystems() {
		for _, h := range c.Hardware() {
			for _, it := range h.Items() {
				for _, res := range it.HostResource {
					kind, id, ok := ovf.HostResource(res)
					if !ok || kind != "disk" {
						continue
					}
					decoded, _ := url.PathUnescape(id)
					for _, id := range []string{id, decoded} {
						if d := r.disks[id]; d != nil {
							d.Elsewhere = true
						}
					}
				}
			}
		}
	}
}

// attachments makes the Volumes of a machine, by controller, then address.
func (r *reader) attachments(m *Machine, object string) error {
	shared := func(d *Disk) *Volume {
		for _, v := range r.view.Volumes {
			if v.Disk == d {
				return v
			}
		}
		v := r.topVolume(d)
		r.view.Volumes = append(r.view.Volumes, v)
		return v
	}
	drives := m.Hardware.Disks(r.config)
	for _, dr := range drives {
		d := r.disks[dr.Disk.ID]
		if !dr.Disk.Exists() || d == nil {
			continue // hardwareFindings tells
		}
		a := &Attachment{OVFID: dr.InstanceID, Controller: dr.Controller.Bus, Bus: dr.Controller.Number, Unit: dr.Unit, Item: dr.Item}
		attrs := attributesOf(dr.Item.Node())
		a.InitialLocation = attrs.InitialLocation
		d.Uses++
		if d.Shared {
			if r.opts.Lacks.SharedVolumes {
				r.findings.add(DiskNotShareable, "disk "+d.OVFID, "%s uses it", object)
			}
			a.Volume = shared(d)
		} else {
			a.Volume = &Volume{Disk: d, CapacityBytes: d.CapacityBytes, Attributes: attrs, Description: attrs.Description}
			if d.Uses == 2 {
				r.findings.add(DiskCopied, "disk "+d.OVFID, "several devices name it")
			}
		}
		if d.Parent != nil && d.Uses == 1 {
			r.findings.add(DiskFlattened, "disk "+d.OVFID, "its parent is %s", d.Parent.OVFID)
		}
		m.Attachments = append(m.Attachments, a)
	}
	if a := bootAttachment(m); a != nil {
		a.Volume.Bootable = true
	}
	return nil
}

// topVolume is a Volume that is a component of the outermost System.
func (r *reader) topVolume(d *Disk) *Volume {
	attrs := attributesOf(d.Element.Node())
	return &Volume{Disk: d, CapacityBytes: d.CapacityBytes, Attributes: attrs, Description: attrs.Description}
}

// nameVolumes finds the disks that no machine has and names all Volumes, in
// the order of the Disk elements.
func (r *reader) nameVolumes() {
	parents := map[*Disk]bool{}
	for _, d := range r.view.Disks {
		if d.Parent != nil {
			parents[d.Parent] = true
		}
	}
	of := map[*Disk][]*Volume{}
	for _, m := range r.view.System.AllMachines() {
		for _, a := range m.Attachments {
			if !a.Volume.Disk.Shared {
				of[a.Volume.Disk] = append(of[a.Volume.Disk], a.Volume)
			}
		}
	}
	top := map[*Disk]*Volume{}
	for _, v := range r.view.Volumes {
		top[v.Disk] = v
	}
	r.view.Volumes = nil
	for _, d := range r.view.Disks {
		v := top[d]
		if v == nil && d.Uses == 0 && !d.Elsewhere && !parents[d] {
			v = r.topVolume(d)
			r.findings.add(DiskUnattached, "disk "+d.OVFID, "")
		}
		vs := of[d]
		if v != nil {
			r.view.Volumes = append(r.view.Volumes, v)
			vs = append(vs, v)
		}
		for _, v := range vs {
			v.Name = r.names.take("volume", or(v.Attributes.Name, d.OVFID), 1)
		}
	}
}

package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

// createImageOf makes an image of a Machine or Volume that its imageLocation
// refers to (5.14.7.1, 5.15.8.1), asked for in the collection of images or at
// the href of the capture or snapshot operation. is is false for anything else.
func (p *Provider) createImageOf(ctx context.Context, collection string, r cimi.Resource) (acc *cimi.Accepted, err error, is bool) {
	kind, rest, _ := strings.Cut(collection, "/")
	key, what, _ := strings.Cut(rest, "/")
	switch r := r.(type) {
	case *cimi.MachineImage:
		id := plainID(r.ImageLocation)
		at := kind == "machines" && (what == "capture" || what == "snapshot")
		switch {
		case at && (id == "" || id == kind+"/"+key):
			id = kind + "/" + key
		case at:
			return nil, cimi.Errorf(http.StatusBadRequest, "imageLocation: %s, this is the operation of machines/%s", id, key), true
		case collection != "machineImages" || !strings.HasPrefix(id, "machines/") || strings.Count(id, "/") != 1:
			return nil, nil, false
		}
		action := cimi.ActionCapture
		if what == "snapshot" || what == "" && r.Type == "SNAPSHOT" {
			action = cimi.ActionSnapshot
		}
		acc, err = p.imageOf(ctx, id, action, r, collection)
		return acc, err, true
	case *cimi.VolumeImage:
		id := plainID(r.ImageLocation)
		at := kind == "volumes" && (what == "snapshot" || what == "images")
		switch {
		case at && (id == "" || id == kind+"/"+key):
			id = kind + "/" + key
		case at:
			return nil, cimi.Errorf(http.StatusBadRequest, "imageLocation: %s, this is the operation of volumes/%s", id, key), true
		case collection != "volumeImages" || !strings.HasPrefix(id, "volumes/") || strings.Count(id, "/") != 1:
			return nil, nil, false
		}
		acc, err = p.imageOf(ctx, id, cimi.ActionSnapshot, r, collection)
		return acc, err, true
	}
	return nil, nil, false
}

// imageOf takes an image of a Machine or Volume by the operation that it
// offers; name, description and properties are those of from.
func (p *Provider) imageOf(ctx context.Context, id, action string, from cimi.Resource, target string) (*cimi.Accepted, error) {
	s, w, done, err := p.subjectOf(ctx, id)
	if err != nil {
		if cimi.IsNotFound(err) {
			err = cimi.Errorf(http.StatusBadRequest, "imageLocation: %s: no such resource", id)
		}
		return nil, err
	}
	offered := false
	for _, a := range p.acts {
		if a.rel == action && contains(a.on, s.kind) && a.can(p) && a.offered(p, w, s) {
			offered = true
		}
	}
	done()
	if !offered {
		return nil, cimi.Errorf(http.StatusConflict, "%s: %s is not available now (state %s)", id, action, stateOf(s.r))
	}
	if s.kind == "machines" {
		return p.takeMachineImage(ctx, s, action, from, target)
	}
	return p.takeVolumeImage(ctx, s, from, target)
}

// captureMachine is the capture action, snapshotMachine the snapshot action of
// a Machine (5.14.1.2); what the Action says of name and so on is the image's.
func (p *Provider) captureMachine(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.takeMachineImage(ctx, s, cimi.ActionCapture, a, s.id)
}

func (p *Provider) snapshotMachine(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.takeMachineImage(ctx, s, cimi.ActionSnapshot, a, s.id)
}

func (p *Provider) takeMachineImage(ctx context.Context, s subject, action string, from cimi.Resource, target string) (*cimi.Accepted, error) {
	key := host.NewID()
	id := "machineImages/" + key
	view := &cimi.MachineImage{Type: "IMAGE"}
	named(&view.Common, from)
	place := &host.System{ID: key, Name: view.Name, Description: view.Description, Holder: host.HoldsMachineImage, Of: s.machine.ID}
	if place.Name == "" {
		place.Name = s.machine.Name + " " + now().Format("2006-01-02 15:04:05")
	}
	view.Name, view.Description = "", ""
	if action == cimi.ActionSnapshot {
		view.Type = "SNAPSHOT"
	}
	pending := &cimi.MachineImage{Type: view.Type}
	pending.ID, pending.Name, pending.Created, pending.Parent = id, place.Name, now(), ref("machineImages")
	return p.making(ctx, action, target, pending, func(ctx context.Context, t *task) (err error) {
		defer p.changes.lock(s.root.ID)()
		defer p.passing.through(cimi.StateCapturing, s.id)()
		t.affect("", s.id, id)
		// Looked at again: what was true when the request came need not be.
		w, done, err := p.look(ctx)
		if err != nil {
			return err
		}
		m, ok := w.machine[s.machine.ID]
		var disks []attached
		if ok {
			disks = w.attachedTo(m)
		}
		done()
		if !ok || m.State != host.Stopped {
			return cimi.Errorf(http.StatusConflict, "%s: %w", s.id, host.ErrBusy)
		}
		pl := p.newPlan()
		copied := copyMachine(pl, place, m.Machine, disks)
		copied.Name = m.Name
		if action == cimi.ActionSnapshot {
			// The one before is found by it (T21); the Machine knows its latest (T16).
			if was := p.overlays.get(s.id); was != nil {
				view.RelatedImage = was.r.(*cimi.Machine).LatestSnapshot
			}
			pl.c.link(p, s.id+"/snapshots", id, extra{})
			pl.latest(s.id, id)
		}
		pl.c.overlayQuietly(p, id, view)
		shown := &cimi.MachineImage{}
		shown.ID, shown.Name = id, place.Name
		pl.made = append(pl.made, shown)
		return pl.place(ctx, place)
	})
}

// attached is a disk of a machine, where it is, and the System that holds it.
type attached struct {
	*host.Disk
	at   host.Attachment
	root *host.System
}

// attachedTo are the disks that a machine is attached to, in order.
func (w *world) attachedTo(m machineAt) []attached {
	var out []attached
	for _, a := range m.Attachments {
		if d, ok := w.disk[a.DiskID]; ok {
			out = append(out, attached{d.Disk, a, d.root})
		}
	}
	return out
}

// copyMachine plans a copy of a machine with copies of its disks in a System:
// they are the copy's own, and go with it. Cards keep their networks and have
// no identity of their own.
func copyMachine(pl *plan, into *host.System, m *host.Machine, disks []attached) *host.Machine {
	c := *m
	c.ID, c.OVFID, c.Instance, c.State = host.NewID(), "", 0, host.Stopped
	c.Attachments, c.NICs = nil, nil
	for _, d := range disks {
		n := *d.Disk
		n.ID, n.OVFID, n.Href, n.Generation, n.Shared, n.Local = host.NewID(), "", "", 0, false, true
		a := d.at
		a.DiskID, a.OVFID = n.ID, ""
		c.Attachments = append(c.Attachments, a)
		into.Disks = append(into.Disks, &n)
		pl.disks = append(pl.disks, &n)
		from := d.ID
		pl.fills[n.ID] = fill{"disk " + d.Name, func(ctx context.Context, to *host.Disk, sink disk.Sink) error {
			return pl.p.copyDisk(ctx, from, to, sink)
		}}
	}
	for _, nic := range m.NICs {
		nic.ID, nic.OVFID, nic.Endpoint = "", "", ""
		c.NICs = append(c.NICs, nic)
	}
	into.Machines = append(into.Machines, &c)
	return &c
}

// latest makes an image the latest snapshot of a machine, besides what lies
// over the machine already.
func (pl *plan) latest(machine, image string) {
	over := &cimi.Machine{}
	if was := pl.p.overlays.get(machine); was != nil {
		over = cimi.Clone(was.r).(*cimi.Machine)
	}
	over.LatestSnapshot = cimi.RefTo[cimi.MachineImage](image)
	pl.c.overlayQuietly(pl.p, machine, over)
}

// restoreMachine is the restore action of a Machine (5.14.1.2): its hardware
// and the content of its disks become those of an image.
func (p *Provider) restoreMachine(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Image == nil || a.Image.Href == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "image: missing")
	}
	image := plainID(a.Image.Href)
	pl := p.newPlan()
	src, err := pl.image(ctx, &cimi.Ref[cimi.MachineImage]{Href: image})
	if err != nil {
		return nil, errors.Join(err, pl.end())
	}
	if src == nil {
		return nil, errors.Join(cimi.Errorf(http.StatusBadRequest, "image: %s has no content", image), pl.end())
	}
	return p.run(ctx, a.Action, s.id, "", func(ctx context.Context, t *task) (err error) {
		defer func() { err = errors.Join(err, pl.end()) }()
		defer p.changes.lock(s.root.ID)()
		defer p.passing.through(cimi.StateRestoring, s.id)()
		if err := p.restore(ctx, pl, s.machine.ID, src); err != nil {
			return err
		}
		if p.links.has(s.id+"/snapshots", image) { // the last one reverted to (T16)
			pl.latest(s.id, image)
		}
		pl.c.modelEvent(p, s.r, "update", "restored from "+image)
		return p.commit(&pl.c)
	})
}

// restore gives a machine the hardware and disks of an image, in one step.
// Volumes that it is attached to get their content in place; disks that the
// image does not have stay as they are, those that only it has are made.
func (p *Provider) restore(ctx context.Context, pl *plan, machine string, src *imageSource) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	m, ok := w.machine[machine]
	var has []attached
	if ok {
		has = w.attachedTo(m)
	}
	done()
	if !ok || m.State != host.Stopped {
		return cimi.Errorf(http.StatusConflict, "machines/%s: %w", machine, host.ErrBusy)
	}
	var disks []*host.Disk
	elsewhere := map[string][]*host.Disk{} // Volumes of other Systems, by those
	next := *m.Machine
	next.Attachments = append([]host.Attachment(nil), m.Attachments...)
	for i, content := range src.disks {
		var d host.Disk
		if i < len(has) {
			d = *has[i].Disk
			d.Generation++
			if content.size > d.CapacityBytes {
				d.CapacityBytes, d.Kilobytes = content.size, content.kb
			}
		} else {
			d = host.Disk{ID: host.NewID(), Name: m.Name + "-disk" + number(i+1), Local: true, CapacityBytes: content.size, Boot: content.boot}
			next.Attachments = append(next.Attachments, attachment(&next, d.ID, "", content.boot))
		}
		d.ContentBytes, d.ContentDigest, d.Unproved = 0, "", false
		pl.fills[d.ID] = fill{content.what, content.fill}
		if i < len(has) && has[i].root.ID != m.root.ID {
			elsewhere[has[i].root.ID] = append(elsewhere[has[i].root.ID], &d)
			continue
		}
		disks = append(disks, &d)
	}
	for root, disks := range elsewhere {
		for _, d := range disks {
			if err := p.atRest(ctx, d.ID); err != nil {
				return err
			}
		}
		if err := p.replaceDisks(ctx, root, disks, pl.fill); err != nil {
			return err
		}
	}
	if src.machine != nil {
		next.CPUs, next.MemoryBytes, next.CPUArch = src.machine.CPUs, src.machine.MemoryBytes, src.machine.CPUArch
	}
	_, err = p.maker().Alter(ctx, m.root.ID, disks, pl.fill, func(s *host.System) error {
		for _, d := range disks {
			if !replaceDisk(s, d) {
				for k := range s.All() {
					if k.ID == m.in.ID {
						k.Disks = append(k.Disks, d)
					}
				}
			}
		}
		for x := range s.AllMachines() {
			if x.ID == machine {
				x.CPUs, x.MemoryBytes, x.CPUArch, x.Attachments = next.CPUs, next.MemoryBytes, next.CPUArch, next.Attachments
			}
		}
		return nil
	})
	return err
}

// replaceDisks gives disks of a System new content.
func (p *Provider) replaceDisks(ctx context.Context, root string, disks []*host.Disk, fill host.Fill) error {
	_, err := p.maker().Alter(ctx, root, disks, fill, func(s *host.System) error {
		for _, d := range disks {
			if !replaceDisk(s, d) {
				return host.ErrNotFound
			}
		}
		return nil
	})
	return err
}

// replaceDisk puts a disk in the place of the one with its id.
func replaceDisk(s *host.System, d *host.Disk) bool {
	for k := range s.All() {
		for i, o := range k.Disks {
			if o.ID == d.ID {
				k.Disks[i] = d
				return true
			}
		}
	}
	return false
}

package provider

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

func number(n int) string { return strconv.Itoa(n) }

// volumeIdle: no machine that a Volume is connected to runs.
func (p *Provider) volumeIdle(w *world, s subject) bool {
	return stateOf(s.r) == cimi.StateAvailable && allStopped(w.usersOf(diskAt{s.disk, s.in, s.root}))
}

// idleDisk refuses what would pull a disk from under a running machine, or take
// one for whole that was changed in part.
func (p *Provider) idleDisk(ctx context.Context, key string) error {
	if err := p.atRest(ctx, key); err != nil {
		return err
	}
	return p.proved(ctx, key)
}

// proved refuses to take a disk for whole that was changed in part.
func (p *Provider) proved(ctx context.Context, key string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer done()
	if d := w.disk[key].Disk; d != nil && d.Unproved {
		return cimi.Errorf(http.StatusConflict, "volumes/%s: %w", key, host.ErrUnproved)
	}
	return nil
}

// atRest refuses what would pull a disk from under a running machine.
func (p *Provider) atRest(ctx context.Context, key string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer done()
	d, ok := w.disk[key]
	if !ok {
		return notFound("volumes/" + key)
	}
	users := w.usersOf(d)
	if i := slices.IndexFunc(users, func(m machineAt) bool { return m.State != host.Stopped }); i >= 0 {
		return cimi.Errorf(http.StatusConflict, "volumes/%s: %w: stop machine %s first", key, host.ErrBusy, users[i].Name)
	}
	return nil
}

// snapshotVolume is the snapshot action of a Volume (5.15.1.2).
func (p *Provider) snapshotVolume(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.takeVolumeImage(ctx, s, a, s.id)
}

func (p *Provider) takeVolumeImage(ctx context.Context, s subject, from cimi.Resource, target string) (*cimi.Accepted, error) {
	key := host.NewID()
	id := "volumeImages/" + key
	view := &cimi.VolumeImage{}
	named(&view.Common, from)
	if v, ok := from.(*cimi.VolumeImage); ok {
		view.Bootable = v.Bootable
	}
	d := *s.disk
	d.ID, d.OVFID, d.Href, d.Generation, d.Shared, d.Local = host.NewID(), "", "", 0, false, false
	place := &host.System{ID: key, Name: view.Name, Description: view.Description, Holder: host.HoldsVolumeImage, Of: s.disk.ID, Disks: []*host.Disk{&d}}
	if place.Name == "" {
		place.Name = s.disk.Name + " " + now().Format("2006-01-02 15:04:05")
	}
	view.Name, view.Description = "", ""
	pending := &cimi.VolumeImage{}
	pending.ID, pending.Name, pending.Created, pending.Parent = id, place.Name, now(), ref("volumeImages")
	return p.making(ctx, cimi.ActionSnapshot, target, pending, func(ctx context.Context, t *task) error {
		defer p.changes.lock(s.root.ID)()
		defer p.passing.through(cimi.StateCapturing, s.id)()
		t.affect("", s.id, id)
		if err := p.idleDisk(ctx, s.disk.ID); err != nil {
			return err
		}
		pl := p.newPlan()
		pl.disks = place.Disks
		pl.fills[d.ID] = fill{"volume " + s.disk.Name, func(ctx context.Context, to *host.Disk, sink disk.Sink) error {
			return p.copyDisk(ctx, s.disk.ID, to, sink)
		}}
		pl.c.link(p, s.id+"/images", id, extra{})
		if !cimi.Empty(view) {
			pl.c.overlayQuietly(p, id, view)
		}
		shown := &cimi.VolumeImage{}
		shown.ID, shown.Name = id, place.Name
		pl.made = append(pl.made, shown)
		return pl.place(ctx, place)
	})
}

// restoreVolume is the restore action of a Volume (5.15.1.2).
func (p *Provider) restoreVolume(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Image == nil || a.Image.Href == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "image: missing")
	}
	image := plainID(a.Image.Href)
	pl := p.newPlan()
	content, err := pl.volumeImage(ctx, &cimi.Ref[cimi.VolumeImage]{Href: image})
	if err != nil {
		return nil, errors.Join(err, pl.end())
	}
	if content == nil {
		return nil, errors.Join(cimi.Errorf(http.StatusBadRequest, "image: %s has no content", image), pl.end())
	}
	return p.run(ctx, a.Action, s.id, "", func(ctx context.Context, t *task) (err error) {
		defer func() { err = errors.Join(err, pl.end()) }()
		defer p.changes.lock(s.root.ID)()
		defer p.passing.through(cimi.StateRestoring, s.id)()
		if err := p.atRest(ctx, s.disk.ID); err != nil {
			return err
		}
		w, done, err := p.look(ctx)
		if err != nil {
			return err
		}
		at, ok := w.disk[s.disk.ID]
		done()
		if !ok {
			return notFound(s.id)
		}
		d := *at.Disk
		d.Generation++
		if content.size > d.CapacityBytes {
			d.CapacityBytes, d.Kilobytes = content.size, content.kb
		}
		d.ContentBytes, d.ContentDigest, d.Unproved = 0, "", false
		pl.fills[d.ID] = fill{content.what, content.fill}
		if err := p.replaceDisks(ctx, at.root.ID, []*host.Disk{&d}, pl.fill); err != nil {
			return err
		}
		pl.c.modelEvent(p, s.r, "update", "restored from "+image)
		return p.commit(&pl.c)
	})
}

// createDisk adds storage to a Machine (T16: adding an element creates a disk).
func (p *Provider) createDisk(ctx context.Context, collection string, r *cimi.Disk) (*cimi.Accepted, error) {
	_, _, key, _ := ownerOf(collection)
	kb := cimi.IntValue(r.Capacity)
	if kb < 1 || kb > maxCapacity {
		return nil, cimi.Errorf(http.StatusBadRequest, "capacity: expected 1 to %d kB, got %d", int64(maxCapacity), kb)
	}
	d := &host.Disk{ID: host.NewID(), Name: r.Name, Local: true}
	sized(d, kb, 0)
	id := "disks/" + d.ID
	return p.run(ctx, cimi.RelAdd, collection, id, func(ctx context.Context, t *task) error {
		w, done, err := p.look(ctx)
		if err != nil {
			return err
		}
		m, ok := w.machine[key]
		done()
		if !ok {
			return notFound("machines/" + key)
		}
		defer p.changes.lock(m.root.ID)()
		t.affect("", id)
		if d.Name == "" {
			d.Name = m.Name + "-disk" + number(len(m.Attachments)+1)
		}
		if _, err := p.maker().Alter(ctx, m.root.ID, []*host.Disk{d}, nil, func(s *host.System) error {
			for k := range s.All() {
				for _, x := range k.Machines {
					if x.ID == key {
						k.Disks = append(k.Disks, d)
						x.Attachments = append(x.Attachments, attachment(x, d.ID, r.InitialLocation, false))
						return nil
					}
				}
			}
			return host.ErrNotFound
		}); err != nil {
			return err
		}
		c := &change{}
		over := &cimi.Disk{}
		over.Description, over.Properties = r.Description, r.Properties
		if !cimi.Empty(over) {
			c.overlayQuietly(p, id, over)
		}
		shown := &cimi.Disk{}
		shown.ID, shown.Name = id, d.Name
		c.modelEvent(p, shown, "create", "")
		return p.commit(c)
	})
}

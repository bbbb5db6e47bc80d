package provider

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// createVolume makes a Volume from its template (5.15.2.1): alone, as a part
// of a System, or alone and connected to a Machine.
func (p *Provider) createVolume(ctx context.Context, collection string, r *cimi.VolumeCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "volumeTemplate", r.VolumeTemplate)
	if err != nil {
		return nil, err
	}
	pl := p.newPlan()
	d, err := pl.volume(ctx, r, t, "")
	if err != nil {
		return nil, errors.Join(err, pl.end())
	}
	_, kind, key, _ := ownerOf(collection)
	alone := &host.System{Name: d.Name, Holder: host.HoldsVolume, Disks: []*host.Disk{d}}
	if kind != "machines" {
		return p.makeParts(ctx, pl, r, collection, "volumes/"+d.ID, func(*host.System) {}, alone)
	}
	acc, err := p.makeParts(ctx, pl, r, "volumes", "volumes/"+d.ID, nil, alone)
	if err != nil {
		return nil, err
	}
	if _, err := p.waitFor(ctx, acc); err != nil {
		return nil, err
	}
	if err := p.attach(ctx, key, d.ID, r.InitialLocation); err != nil {
		_, undo := p.delete(ctx, "volumes/"+d.ID)
		return nil, errors.Join(err, undo)
	}
	acc.Done = true
	return acc, nil
}

// waitFor waits for the end of a Job that a request started.
func (p *Provider) waitFor(ctx context.Context, acc *cimi.Accepted) (*cimi.Job, error) {
	if t := p.jobs.get(acc.Job); t != nil {
		if err := t.wait(ctx); err != nil {
			return nil, err
		}
		if t.err != nil {
			return nil, t.failure()
		}
	}
	r, err := p.jobs.read(ctx, acc.Job)
	j, _ := r.(*cimi.Job)
	return j, err
}

// volume plans a Volume. name is the one it gets where the request has none.
func (pl *plan) volume(ctx context.Context, request cimi.Resource, t *cimi.VolumeTemplate, name string) (*host.Disk, error) {
	p := pl.p
	d := &host.Disk{ID: host.NewID()}
	id := "volumes/" + d.ID
	view := &cimi.Volume{}
	if request != nil {
		named(&view.Common, request)
	}
	d.Name = orName(view.Name, "volume", d.ID)
	if view.Name == "" && name != "" {
		d.Name = name
	}
	view.Name = ""
	cfg, err := resolve(ctx, p, "volumeConfig", t.VolumeConfig)
	if err != nil {
		return nil, err
	}
	if err := checkScopes(cfg, cfg.VScope, func(attr string, v any) { setDefault(cfg, attr, v) }); err != nil {
		return nil, err
	}
	content, err := pl.volumeImage(ctx, t.VolumeImage)
	if err != nil {
		return nil, err
	}
	kb := cimi.IntValue(cfg.Capacity)
	if kb < 0 || kb > maxCapacity || kb == 0 && content == nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "volumeConfig: capacity: expected 1 to %d kB, got %d", int64(maxCapacity), kb)
	}
	switch {
	case cfg.Format != "":
		return nil, cimi.Errorf(http.StatusBadRequest, "volumeConfig: format: this cloud makes no file systems (%.40q)", cfg.Format)
	case cfg.Type == cimi.VolumeMapped && !p.host.Capabilities().SharedDisks:
		return nil, cimi.Errorf(http.StatusBadRequest, "volumeConfig: type: this cloud has no shared Volumes")
	case cfg.Type != "" && cfg.Type != cimi.VolumeMapped:
		return nil, cimi.Errorf(http.StatusBadRequest, "volumeConfig: type: expected %s, got %.200q", cimi.VolumeMapped, cfg.Type)
	}
	sized(d, kb, 0)
	d.Shared = cfg.Type == cimi.VolumeMapped
	if content != nil {
		if content.size > d.CapacityBytes {
			d.CapacityBytes, d.Kilobytes = content.size, content.kb
		}
		d.Boot = content.boot
		pl.fills[d.ID] = fill{content.what, content.fill}
	}
	if err := pl.governed(ctx, view, t.GenResourceMetadata, &cimi.Volume{Capacity: cimi.Int(capacity(d)), Type: cfg.Type}); err != nil {
		return nil, err
	}
	if err := pl.monitored(ctx, id, t.MeterTemplates, t.EventLogTemplate); err != nil {
		return nil, err
	}
	if !cimi.Empty(view) {
		pl.c.overlayQuietly(p, id, view)
	}
	pl.disks = append(pl.disks, d)
	shown := &cimi.Volume{}
	shown.ID, shown.Name = id, d.Name
	pl.made = append(pl.made, shown)
	return d, nil
}

// volumes plans the Volumes of a machine: those that exist are connected, those
// of templates are made (T19).
func (pl *plan) volumes(ctx context.Context, find scope, m *host.Machine, t *cimi.MachineTemplate) error {
	for _, v := range t.Volumes {
		key, err := find.key(cimi.HrefOf(v.Volume), "volumes")
		if err != nil {
			return err
		}
		if err := pl.connectable(ctx, key); err != nil {
			return err
		}
		pl.attach(m, key, v.InitialLocation, false)
	}
	for i, v := range t.VolumeTemplates {
		vt, err := template(ctx, pl.p, "volumeTemplates", v.VolumeTemplate)
		if err != nil {
			return err
		}
		var request cimi.Resource
		if v.VolumeTemplate.Href == "" {
			request = &cimi.VolumeTemplate{Common: cimi.Common{Name: vt.Name, Description: vt.Description, Properties: vt.Properties}}
		}
		d, err := pl.volume(ctx, request, vt, m.Name+"-volume"+number(i+1))
		if err != nil {
			return err
		}
		pl.attach(m, d.ID, v.InitialLocation, d.Boot)
	}
	return nil
}

// attach puts a disk on the machine's next place.
func (pl *plan) attach(m *host.Machine, disk, location string, boot bool) {
	m.Attachments = append(m.Attachments, attachment(m, disk, location, boot))
}

// attachment is the next free place of a machine for a disk.
func attachment(m *host.Machine, disk, location string, boot bool) host.Attachment {
	controller := defaultController
	if len(m.Attachments) > 0 && m.Attachments[0].Controller != "" {
		controller = m.Attachments[0].Controller
	}
	unit := 0
	for slices.ContainsFunc(m.Attachments, func(a host.Attachment) bool { return a.Controller == controller && a.Bus == 0 && a.Unit == unit }) {
		unit++
	}
	return host.Attachment{DiskID: disk, Controller: controller, Unit: unit, Location: location, Boot: boot}
}

// connectable refuses an existing Volume that cannot be connected once more.
func (pl *plan) connectable(ctx context.Context, key string) error {
	for _, d := range pl.disks {
		if d.ID == key {
			return pl.once(key, d.Shared)
		}
	}
	w, done, err := pl.p.look(ctx)
	if err != nil {
		return err
	}
	defer done()
	d, ok := w.disk[key]
	if !ok || d.Local || isImage(d.root) {
		return cimi.Errorf(http.StatusBadRequest, "volumes/%s: no such Volume", key)
	}
	if users := w.usersOf(d); len(users) > 0 && !d.Shared {
		return cimi.Errorf(http.StatusConflict, "volumes/%s is connected to machine %s, and its type is not %s", key, users[0].Name, cimi.VolumeMapped)
	}
	return pl.once(key, d.Shared)
}

// once refuses a Volume that two machines of one plan want and that is not shared.
func (pl *plan) once(key string, shared bool) error {
	if pl.connected == nil {
		pl.connected = map[string]bool{}
	}
	if pl.connected[key] && !shared {
		return cimi.Errorf(http.StatusConflict, "volumes/%s: two Machines want it, and its type is not %s", key, cimi.VolumeMapped)
	}
	pl.connected[key] = true
	return nil
}

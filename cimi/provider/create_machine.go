package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// scope finds the components of a System that is being made by their names
// (5.13.4): the id of the one that "#name" means.
type scope func(name string) (id string, ok bool)

func noScope(string) (string, bool) { return "", false }

// id is the id that a reference means.
func (find scope) id(href string) (string, error) {
	name, symbolic := strings.CutPrefix(href, "#")
	if !symbolic {
		return plainID(href), nil
	}
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	if id, ok := find(name); ok {
		return id, nil
	}
	return "", cimi.Errorf(http.StatusBadRequest, "%s: no component of that name", href)
}

// key is the last part of the id that a reference means, which must be of a kind.
func (find scope) key(href, kind string) (string, error) {
	id, err := find.id(href)
	if err != nil {
		return "", err
	}
	key, ok := strings.CutPrefix(id, kind+"/")
	if !ok || key == "" {
		return "", cimi.Errorf(http.StatusBadRequest, "%s: expected one of %s", href, kind)
	}
	return key, nil
}

// createMachine makes a Machine from its template (5.14.2.1): alone, or as a
// part of a System.
func (p *Provider) createMachine(ctx context.Context, collection string, r *cimi.MachineCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "machineTemplate", r.MachineTemplate)
	if err != nil {
		return nil, err
	}
	pl := p.newPlan()
	made, err := pl.machine(ctx, noScope, r, t)
	if err != nil {
		return nil, errors.Join(err, pl.end())
	}
	return p.makeParts(ctx, pl, r, collection, "machines/"+made.ID, func(s *host.System) {
		s.Machines = append(s.Machines, made)
	}, &host.System{Name: made.Name, Holder: host.HoldsMachine, Machines: []*host.Machine{made}})
}

// machine plans a Machine: its hardware, disks, cards and what goes with it.
func (pl *plan) machine(ctx context.Context, find scope, request cimi.Resource, t *cimi.MachineTemplate) (*host.Machine, error) {
	p := pl.p
	m := &host.Machine{ID: host.NewID(), State: host.Stopped}
	id := "machines/" + m.ID
	view := &cimi.Machine{}
	named(&view.Common, request)
	view.ID = id
	m.Name, m.Description = orName(view.Name, "machine", m.ID), view.Description
	view.Name, view.Description = "", "" // the host's
	cfg, err := resolve(ctx, p, "machineConfig", t.MachineConfig)
	if err != nil {
		return nil, err
	}
	if err := checkScopes(cfg, cfg.VScope, func(attr string, v any) { setDefault(cfg, attr, v) }); err != nil {
		return nil, err
	}
	image, err := pl.image(ctx, t.MachineImage)
	if err != nil {
		return nil, err
	}
	if err := hardware(m, cfg, image); err != nil {
		return nil, err
	}
	view.CPUSpeed = cfg.CPUSpeed
	if order, ok := startOrder(t); ok {
		m.StartOrder = order
	}
	if err := pl.localDisks(m, cfg, image); err != nil {
		return nil, err
	}
	if err := pl.userData(ctx, find, m, t); err != nil {
		return nil, err
	}
	if err := pl.volumes(ctx, find, m, t); err != nil {
		return nil, err
	}
	if err := pl.cards(ctx, find, m, t); err != nil {
		return nil, err
	}
	if err := pl.initial(m, t.InitialState); err != nil {
		return nil, err
	}
	if err := pl.governed(ctx, view, t.GenResourceMetadata, &cimi.Machine{CPU: cimi.Int(int64(m.CPUs)), Memory: cimi.Int(m.MemoryBytes / 1024), CPUArch: m.CPUArch}); err != nil {
		return nil, err
	}
	if err := pl.monitored(ctx, id, t.MeterTemplates, t.EventLogTemplate); err != nil {
		return nil, err
	}
	if view.ID = ""; !cimi.Empty(view) {
		pl.c.overlayQuietly(p, id, view)
	}
	shown := &cimi.Machine{}
	shown.ID, shown.Name = id, m.Name
	pl.made = append(pl.made, shown)
	return m, nil
}

// orName is a name, or one made of the id: a host's resource has a name.
func orName(name, kind, key string) string {
	if name != "" {
		return name
	}
	return kind + "-" + key[:min(8, len(key))]
}

// setDefault gives an attribute the default of its value scope (5.5.14).
func setDefault(r cimi.Resource, attr string, v any) {
	b, err := json.Marshal(map[string]any{attr: v})
	if err != nil {
		return
	}
	if doc, err := cimi.DecodeJSONAs(b, r.TypeName()); err == nil {
		cimi.CopyAttribute(r, doc, attr)
	}
}

// Defaults of a Machine whose configuration does not say.
const (
	defaultMemory = 512 << 20 // bytes
	defaultCPUs   = 1
)

// hardware gives a machine what its configuration says, or else the image.
func hardware(m *host.Machine, cfg *cimi.MachineConfiguration, image *imageSource) error {
	m.CPUs, m.MemoryBytes = defaultCPUs, defaultMemory
	if image != nil && image.machine != nil {
		m.CPUs, m.MemoryBytes, m.CPUArch = image.machine.CPUs, image.machine.MemoryBytes, image.machine.CPUArch
	}
	if cfg.CPU != nil {
		if *cfg.CPU < 1 || *cfg.CPU > maxCPUs {
			return cimi.Errorf(http.StatusBadRequest, "machineConfig: cpu: expected 1 to %d, got %d", maxCPUs, *cfg.CPU)
		}
		m.CPUs = int(*cfg.CPU)
	}
	if cfg.Memory != nil {
		if *cfg.Memory < 1 || *cfg.Memory > maxMemory {
			return cimi.Errorf(http.StatusBadRequest, "machineConfig: memory: expected 1 to %d KiB, got %d", int64(maxMemory), *cfg.Memory)
		}
		m.MemoryBytes = *cfg.Memory * 1024
	}
	if cfg.CPUArch != "" {
		m.CPUArch = cfg.CPUArch
	}
	return nil
}

// localDisks plans the storage of a machine (T20): those of the image first,
// each as large as the configuration says, then blank ones.
func (pl *plan) localDisks(m *host.Machine, cfg *cimi.MachineConfiguration, image *imageSource) error {
	var contents []imageDisk
	if image != nil {
		contents = image.disks
	}
	for i := range max(len(cfg.Disks), len(contents)) {
		d := &host.Disk{ID: host.NewID(), Name: fmt.Sprintf("%s-disk%d", m.Name, i+1), Local: true}
		a := host.Attachment{DiskID: d.ID, Controller: defaultController, Unit: len(m.Attachments)}
		if i < len(cfg.Disks) {
			kb := cimi.IntValue(cfg.Disks[i].Capacity)
			if kb < 0 || kb > maxCapacity || kb == 0 && i >= len(contents) {
				return cimi.Errorf(http.StatusBadRequest, "machineConfig: disks: capacity: expected 1 to %d kB, got %d", int64(maxCapacity), kb)
			}
			sized(d, kb, 0)
			a.Location = cfg.Disks[i].InitialLocation
		}
		if i < len(contents) {
			if contents[i].size > d.CapacityBytes {
				d.CapacityBytes, d.Kilobytes = contents[i].size, contents[i].kb
			}
			d.Boot = contents[i].boot
			pl.fills[d.ID] = fill{contents[i].what, contents[i].fill}
		}
		a.Boot = d.Boot
		m.Attachments = append(m.Attachments, a)
		pl.disks = append(pl.disks, d)
	}
	return nil
}

// defaultController is what disks hang on that no descriptor names one for.
const defaultController = "scsi"

// initial notes the state that a new machine is to be brought into.
func (pl *plan) initial(m *host.Machine, state string) error {
	if state == "" {
		state = cimi.StateStopped // the DefaultInitialState
	}
	if !contains(pl.p.initialStates(), state) {
		return cimi.Errorf(http.StatusBadRequest, "initialState: expected one of %s, got %.40q", strings.Join(pl.p.initialStates(), ", "), state)
	}
	if state != cimi.StateStopped {
		pl.starts = append(pl.starts, initial{m.ID, state})
	}
	return nil
}

// initialStates are the states that a new Machine can be brought into here.
func (p *Provider) initialStates() []string {
	out := []string{cimi.StateStopped}
	if _, ok := p.host.(host.Power); ok {
		out = append(out, cimi.StateStarted)
		if _, ok := p.host.(host.Pauser); ok {
			out = append(out, cimi.StatePaused)
		}
		if _, ok := p.host.(host.Suspender); ok {
			out = append(out, cimi.StateSuspended)
		}
	}
	return out
}

// governed gives what is made from a template the ResourceMetadata that the
// template names for it, and refuses values that this does not allow (5.11).
func (pl *plan) governed(ctx context.Context, view cimi.Resource, gen *cimi.Ref[cimi.ResourceMetadata], values cimi.Resource) error {
	metadata := pl.p.metadata(values.TypeName())
	if href := plainID(cimi.HrefOf(gen)); href != "" {
		r, err := pl.p.read(ctx, href)
		m, ok := r.(*cimi.ResourceMetadata)
		if err != nil || !ok {
			return orBad(err, "genResourceMetadata: %s: no such ResourceMetadata", href)
		}
		if m.TypeURI != cimi.TypeURI(values.TypeName()) {
			return cimi.Errorf(http.StatusBadRequest, "genResourceMetadata: %s describes %s, not a %s", href, m.TypeURI, values.TypeName())
		}
		view.Base().ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata](href)
		metadata = m
	}
	return pl.p.checkMetadata(metadata, values)
}

// monitored plans the Meters and the EventLog that a template asks for.
func (pl *plan) monitored(ctx context.Context, target string, meters []cimi.Ref[cimi.MeterTemplate], log *cimi.Ref[cimi.EventLogTemplate]) error {
	for i := range meters {
		t, err := resolve(ctx, pl.p, "meterTemplates", &meters[i])
		if err != nil {
			return err
		}
		m, err := pl.p.planMeter(ctx, target, t, nil)
		if err != nil {
			return err
		}
		pl.c.put("meters", m)
		pl.c.link(pl.p, target+"/meters", m.ID, extra{})
		pl.c.then(func() { pl.p.meters.add(m) })
	}
	if log == nil {
		return nil
	}
	t, err := resolve(ctx, pl.p, "eventLogTemplate", log)
	if err != nil {
		return err
	}
	return pl.p.addLog(&pl.c, target, t, nil)
}

// makeParts makes what a plan has: alone each part in a place of its own, with
// Volumes that come with it in theirs, or all in the System that the collection
// belongs to. location is the resource that was asked for.
func (p *Provider) makeParts(ctx context.Context, pl *plan, request cimi.Resource, collection, location string, add func(*host.System), alone *host.System) (*cimi.Accepted, error) {
	_, kind, key, _ := ownerOf(collection)
	inside := kind == "systems"
	pending := cimi.New(typeOfID(location))
	named(pending.Base(), request) // what marks it marks it from the beginning
	pending.Base().ID, pending.Base().Name, pending.Base().Created = location, alone.Name, now()
	pending.Base().Parent = ref(collection)
	return p.making(ctx, cimi.RelAdd, collection, pending, func(ctx context.Context, t *task) (err error) {
		defer func() { err = errors.Join(err, pl.end()) }()
		t.affect("", location)
		if inside {
			return pl.makeIn(ctx, key, add)
		}
		var systems []*host.System
		for _, d := range pl.disks {
			if d.Local {
				alone.Disks = append(alone.Disks, d)
			} else if alone.Holder == host.HoldsMachine {
				systems = append(systems, &host.System{ID: host.NewID(), Name: d.Name, Holder: host.HoldsVolume, Disks: []*host.Disk{d}})
				t.affect("", "volumes/"+d.ID)
			}
		}
		for _, n := range pl.subnetworks {
			systems = append(systems, &host.System{ID: host.NewID(), Name: n.Name, Holder: host.HoldsNetwork, Networks: []*host.Network{n}})
			t.affect("", "networks/"+n.ID)
		}
		alone.ID = host.NewID()
		return pl.place(ctx, append(systems, alone)...)
	})
}

// makeIn makes what a plan has in a System.
func (pl *plan) makeIn(ctx context.Context, system string, add func(*host.System)) error {
	p := pl.p
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	root := w.system[system].root
	done()
	if root == nil {
		return notFound("systems/" + system)
	}
	defer p.changes.lock(root.ID)()
	if _, err := p.maker().Alter(ctx, root.ID, pl.disks, pl.fill, func(s *host.System) error {
		for k := range s.All() {
			if k.ID == system {
				k.Disks = append(k.Disks, pl.disks...)
				k.Networks = append(k.Networks, pl.subnetworks...)
				add(k)
				return nil
			}
		}
		return fmt.Errorf("system %s: %w", system, host.ErrNotFound)
	}); err != nil {
		return err
	}
	if err := pl.settle(ctx, nil); err != nil {
		return errors.Join(err, pl.takeBack(context.WithoutCancel(ctx), root.ID))
	}
	return nil
}

// takeBack takes what makeIn put into a System out again.
func (pl *plan) takeBack(ctx context.Context, root string) error {
	p := pl.p
	gone := map[string]bool{}
	for _, r := range pl.made {
		gone[r.Base().ID] = true
	}
	if s, err := p.host.System(ctx, root); err == nil {
		if power, ok := p.host.(host.Power); ok {
			for m := range s.AllMachines() {
				if gone["machines/"+m.ID] && m.State != host.Stopped {
					if err := power.Stop(ctx, m.ID, true); err != nil {
						return err
					}
				}
			}
		}
	}
	_, err := p.maker().Alter(ctx, root, nil, nil, func(s *host.System) error {
		for k := range s.All() {
			var disks []*host.Disk
			for _, d := range k.Disks {
				if !containsDisk(pl.disks, d.ID) {
					disks = append(disks, d)
				}
			}
			var machines []*host.Machine
			for _, m := range k.Machines {
				if !gone["machines/"+m.ID] {
					machines = append(machines, m)
				}
			}
			var networks []*host.Network
			for _, n := range k.Networks {
				if !gone["networks/"+n.ID] {
					networks = append(networks, n)
				}
			}
			var systems []*host.System
			for _, n := range k.Systems {
				if !gone["systems/"+n.ID] {
					systems = append(systems, n)
				}
			}
			k.Disks, k.Machines, k.Networks, k.Systems = disks, machines, networks, systems
		}
		return nil
	})
	return err
}

func containsDisk(disks []*host.Disk, id string) bool {
	for _, d := range disks {
		if d.ID == id {
			return true
		}
	}
	return false
}

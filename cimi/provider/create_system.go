package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// maxComponents bounds what one SystemTemplate can ask for.
const maxComponents = 20_000

// createSystem makes a System from its template (5.13.2.1): at once from the
// components that it describes, or by import where it carries a descriptor.
func (p *Provider) createSystem(ctx context.Context, collection string, r *cimi.SystemCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "systemTemplate", r.SystemTemplate)
	if err != nil {
		return nil, err
	}
	if p.maker() == nil || t.ExtraValue(cimi.OVFDescriptor) != nil {
		if collection != "systems" {
			return nil, cimi.Errorf(http.StatusBadRequest, "systemTemplate: one that carries a descriptor makes a System of its own")
		}
		return p.createFromDescriptor(ctx, r, t)
	}
	path, err := templatePath(nil).enter(r.SystemTemplate)
	if err != nil {
		return nil, err
	}
	pl := p.newPlan()
	s, err := pl.system(ctx, noScope, path, r, t)
	if err != nil {
		return nil, errors.Join(err, pl.end())
	}
	location := "systems/" + s.ID
	_, kind, key, _ := ownerOf(collection)
	pending := &cimi.System{}
	named(&pending.Common, r)
	pending.ID, pending.Name, pending.Created, pending.Parent = location, s.Name, now(), ref(collection)
	return p.making(ctx, cimi.RelAdd, collection, pending, func(ctx context.Context, t *task) (err error) {
		defer func() { err = errors.Join(err, pl.end()) }()
		t.affect("", location)
		for _, r := range pl.made {
			t.affect("", r.Base().ID)
		}
		if kind == "systems" {
			pl.disks = nil
			for d := range s.AllDisks() {
				pl.disks = append(pl.disks, d)
			}
			w, done, err := p.look(ctx)
			if err != nil {
				return err
			}
			root := w.system[key].root
			done()
			if root == nil {
				return notFound("systems/" + key)
			}
			return pl.nest(ctx, root.ID, key, s)
		}
		return pl.place(ctx, s)
	})
}

// nest makes a planned System a part of another.
func (pl *plan) nest(ctx context.Context, root, inside string, s *host.System) error {
	defer pl.p.changes.lock(root)()
	if _, err := pl.p.maker().Alter(ctx, root, pl.disks, pl.fill, func(r *host.System) error {
		k := systemIn(r, inside)
		if k == nil {
			return host.ErrNotFound
		}
		k.Systems = append(k.Systems, s)
		return nil
	}); err != nil {
		return err
	}
	if err := pl.settle(ctx, nil); err != nil {
		return errors.Join(err, pl.takeBack(context.WithoutCancel(ctx), root))
	}
	return nil
}

// system plans a System with all its components. Outer scopes are asked for
// names that are none of its own; path leads to its template.
func (pl *plan) system(ctx context.Context, outer scope, path templatePath, request cimi.Resource, t *cimi.SystemTemplate) (*host.System, error) {
	s := &host.System{ID: host.NewID(), Collection: true}
	id := "systems/" + s.ID
	view := &cimi.System{}
	named(&view.Common, request)
	s.Name, s.Description = orName(view.Name, "system", s.ID), view.Description
	view.Name, view.Description = "", ""
	c := &composer{pl: pl, system: s, id: id, names: map[string]string{}, outer: outer, path: path}
	if err := c.compose(ctx, t.ComponentDescriptors); err != nil {
		return nil, err
	}
	if err := pl.governed(ctx, view, t.GenResourceMetadata, &cimi.System{}); err != nil {
		return nil, err
	}
	if !cimi.Empty(view) {
		pl.c.overlayQuietly(pl.p, id, view)
	}
	shown := &cimi.System{}
	shown.ID, shown.Name = id, s.Name
	pl.made = append(pl.made, shown)
	if err := c.services(t.ServiceDescriptors); err != nil {
		return nil, err
	}
	return s, pl.monitored(ctx, id, t.MeterTemplates, t.EventLogTemplate)
}

// composer makes the components of one System from its descriptors.
type composer struct {
	pl     *plan
	system *host.System
	id     string
	names  map[string]string // id of each component by its name
	outer  scope
	path   templatePath
}

// find is the component of a name: own ones before those of the System around.
func (c *composer) find(name string) (string, bool) {
	if id, ok := c.names[name]; ok {
		return id, true
	}
	return c.outer(name)
}

// order is that in which components are made, so that what one refers to is
// there: the order of descriptors means nothing (5.13.4).
var order = []string{"ProtocolEndpoint", "Network", "ProtocolSegment", "NetworkService", "Credential", "Volume", "NetworkInterface", "Machine", "System", "Meter", "EventLog"}

func (c *composer) compose(ctx context.Context, descriptors []cimi.ComponentDescriptor) error {
	known := 0
	for _, typ := range order {
		for i := range descriptors {
			if d := &descriptors[i]; componentType(d) == typ {
				known++
				if err := c.component(ctx, typ, d); err != nil {
					return explain(err, d)
				}
			}
		}
	}
	if known < len(descriptors) {
		for i := range descriptors {
			if typ := componentType(&descriptors[i]); !contains(order, typ) {
				return explain(cimi.Errorf(http.StatusBadRequest, "type %q is none that a System is made of", descriptors[i].Type), &descriptors[i])
			}
		}
	}
	return nil
}

// componentType is the type of what a descriptor makes or adds.
func componentType(d *cimi.ComponentDescriptor) string {
	if d.Type != "" {
		return lastWord(d.Type)
	}
	for _, x := range []struct {
		set bool
		typ string
	}{{d.MachineTemplate != nil || d.Machine != nil, "Machine"}, {d.VolumeTemplate != nil || d.Volume != nil, "Volume"},
		{d.NetworkTemplate != nil || d.Network != nil, "Network"}, {d.CredentialTemplate != nil || d.Credential != nil, "Credential"},
		{d.SystemTemplate != nil || d.System != nil, "System"}, {d.ProtocolSegmentTemplate != nil, "ProtocolSegment"},
		{d.ProtocolEndpointTemplate != nil, "ProtocolEndpoint"}, {d.NetworkServiceTemplate != nil || d.NetworkService != nil, "NetworkService"},
		{d.MeterTemplate != nil, "Meter"}, {d.EventLogTemplate != nil, "EventLog"}} {
		if x.set {
			return x.typ
		}
	}
	return ""
}

// explain names the component in an error.
func explain(err error, d *cimi.ComponentDescriptor) error {
	var e *cimi.Error
	if !errors.As(err, &e) {
		return err
	}
	out := *e
	out.Message = "component " + d.Name + ": " + e.Message
	return &out
}

func (c *composer) component(ctx context.Context, typ string, d *cimi.ComponentDescriptor) error {
	if existing := existingOf(d); existing != "" {
		return c.associate(ctx, typ, d, existing)
	}
	n := cimi.IntValue(d.Quantity)
	switch {
	case d.Quantity == nil:
		n = 1
	case n < 1 || n > maxComponents:
		return cimi.Errorf(http.StatusBadRequest, "quantity: expected 1 to %d, got %d", maxComponents, n)
	}
	for i := range n {
		if len(c.pl.made) > maxComponents {
			return cimi.Errorf(http.StatusBadRequest, "more than %d components", maxComponents)
		}
		name := d.Name
		if n > 1 {
			name += number(int(i) + 1) // 5.13.4
		}
		request := &cimi.Machine{Common: cimi.Common{Name: name, Description: d.Description, Properties: d.Properties}}
		id, err := c.make(ctx, typ, d, request)
		if err != nil {
			return err
		}
		if _, twice := c.names[name]; twice && name != "" {
			return cimi.Errorf(http.StatusBadRequest, "two components have this name")
		}
		if name != "" {
			c.names[name] = id
		}
	}
	return nil
}

// existingOf is the existing resource that a descriptor adds (T14).
func existingOf(d *cimi.ComponentDescriptor) string {
	for _, h := range []string{cimi.HrefOf(d.System), cimi.HrefOf(d.Machine), cimi.HrefOf(d.Volume), cimi.HrefOf(d.Network), cimi.HrefOf(d.Credential),
		cimi.HrefOf(d.ProtocolSegment), cimi.HrefOf(d.ProtocolEndpoint), cimi.HrefOf(d.NetworkInterface), cimi.HrefOf(d.NetworkService)} {
		if h != "" {
			return plainID(h)
		}
	}
	return ""
}

// associate makes an existing resource a component that is no child.
func (c *composer) associate(ctx context.Context, typ string, d *cimi.ComponentDescriptor, id string) error {
	if err := c.pl.exists(ctx, id, typ); err != nil {
		return err
	}
	switch typ {
	case "Machine", "Volume", "Network", "System":
		c.system.Associated = append(c.system.Associated, id)
	case "Credential":
		c.pl.c.link(c.pl.p, c.id+"/credentials", id, extra{})
	case "NetworkService":
		c.pl.c.link(c.pl.p, c.id+"/networkServices", id, extra{})
	}
	if d.Name != "" {
		c.names[d.Name] = id
	}
	return nil
}

// make makes one component, and gives its id.
func (c *composer) make(ctx context.Context, typ string, d *cimi.ComponentDescriptor, request cimi.Resource) (string, error) {
	pl, p := c.pl, c.pl.p
	switch typ {
	case "Network":
		t, err := template(ctx, p, "networkTemplate", d.NetworkTemplate)
		if err != nil {
			return "", err
		}
		path, err := templatePath(nil).enterNetwork(d.NetworkTemplate)
		if err != nil {
			return "", err
		}
		n, err := pl.network(ctx, c.find, path, request, t)
		if err != nil {
			return "", err
		}
		c.system.Networks = append(c.system.Networks, n)
		c.system.Networks = append(c.system.Networks, pl.subnetworks...)
		pl.networks, pl.subnetworks = append(append(pl.networks, n), pl.subnetworks...), nil
		return "networks/" + n.ID, nil
	case "ProtocolSegment":
		t, err := template(ctx, p, "protocolSegmentTemplate", d.ProtocolSegmentTemplate)
		if err != nil {
			return "", err
		}
		network, err := scope(c.find).id(cimi.HrefOf(t.Network))
		if err == nil {
			err = pl.exists(ctx, network, "Network")
		}
		if err != nil {
			return "", err
		}
		s, err := pl.segment(ctx, network, request, t)
		if err != nil {
			return "", err
		}
		return s.ID, pl.endpointsOf(ctx, c.find, s.ID, t)
	case "ProtocolEndpoint":
		// Its segment tells of it: see plan.include.
		t, err := template(ctx, p, "protocolEndpointTemplate", d.ProtocolEndpointTemplate)
		if err != nil {
			return "", err
		}
		e, err := pl.endpoint(ctx, "", "", request, t)
		if err != nil {
			return "", err
		}
		return e.ID, nil
	case "NetworkService":
		t, err := template(ctx, p, "networkServiceTemplate", d.NetworkServiceTemplate)
		if err != nil {
			return "", err
		}
		network, err := scope(c.find).id(cimi.HrefOf(t.Network))
		if err == nil {
			err = pl.exists(ctx, network, "Network")
		}
		if err != nil {
			return "", err
		}
		s, err := pl.service(ctx, c.find, c.id+"/networkServices", request, t)
		if err != nil {
			return "", err
		}
		pl.c.link(p, network+"/services", s.ID, extra{})
		return s.ID, nil
	case "Credential":
		r, err := p.addCredential(ctx, &pl.c, c.id+"/credentials", d.CredentialTemplate, request)
		if err != nil {
			return "", err
		}
		pl.made = append(pl.made, r)
		return r.ID, nil
	case "Volume":
		t, err := template(ctx, p, "volumeTemplate", d.VolumeTemplate)
		if err != nil {
			return "", err
		}
		v, err := pl.volume(ctx, request, t, "")
		if err != nil {
			return "", err
		}
		c.system.Disks = append(c.system.Disks, v)
		return "volumes/" + v.ID, nil
	case "Machine":
		t, err := template(ctx, p, "machineTemplate", d.MachineTemplate)
		if err != nil {
			return "", err
		}
		before := len(pl.disks)
		m, err := pl.machine(ctx, c.find, request, t)
		if err != nil {
			return "", err
		}
		c.system.Machines = append(c.system.Machines, m)
		c.system.Disks = append(c.system.Disks, pl.disks[before:]...)
		return "machines/" + m.ID, nil
	case "System":
		t, err := template(ctx, p, "systemTemplate", d.SystemTemplate)
		if err != nil {
			return "", err
		}
		path, err := c.path.enter(d.SystemTemplate)
		if err != nil {
			return "", err
		}
		s, err := pl.system(ctx, c.find, path, request, t)
		if err != nil {
			return "", err
		}
		c.system.Systems = append(c.system.Systems, s)
		return "systems/" + s.ID, nil
	case "Meter", "EventLog":
		return c.monitor(ctx, typ, d, request)
	}
	return "", cimi.Errorf(http.StatusBadRequest, "a %s is made with its Machine", typ)
}

// monitor makes a Meter or an EventLog of another component.
func (c *composer) monitor(ctx context.Context, typ string, d *cimi.ComponentDescriptor, request cimi.Resource) (string, error) {
	p := c.pl.p
	if typ == "EventLog" {
		t, err := template(ctx, p, "eventLogTemplate", d.EventLogTemplate)
		if err != nil {
			return "", err
		}
		target, err := scope(c.find).id(cimi.HrefOf(t.TargetResource))
		if err != nil || target == "" {
			return "", orBad(err, "targetResource: missing")
		}
		return logID(target), p.addLog(&c.pl.c, target, t, request)
	}
	t, err := template(ctx, p, "meterTemplate", d.MeterTemplate)
	if err != nil {
		return "", err
	}
	target, err := scope(c.find).id(cimi.HrefOf(t.TargetResource))
	if err != nil || target == "" {
		return "", orBad(err, "targetResource: missing")
	}
	m, err := p.planMeter(ctx, target, t, request)
	if err != nil {
		return "", err
	}
	c.pl.c.put("meters", m)
	c.pl.c.link(p, target+"/meters", m.ID, extra{})
	c.pl.c.then(func() { p.meters.add(m) })
	return m.ID, nil
}

// services makes the SystemServices of a System: the Machines under each are
// named by "#name" (T15). Backups are made when all is there: see addRM.
func (c *composer) services(descriptors []cimi.ServiceDescriptor) error {
	for _, d := range descriptors {
		r := &cimi.SystemService{ServiceType: d.ServiceType, Parameters: d.Parameters}
		r.Name, r.Description, r.Properties = d.Name, d.Description, d.Properties
		s, err := c.pl.systemService(c.id+"/services", r)
		if err != nil {
			return err
		}
		for _, symbol := range symbols(d.Parameters["machines"]) {
			id, err := scope(c.find).id(symbol)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(id, "machines/") {
				return cimi.Errorf(http.StatusBadRequest, "serviceDescriptors: machines: %s is no Machine", symbol)
			}
			if s.ServiceType == cimi.ServiceDisasterRecovery {
				c.pl.c.link(c.pl.p, s.ID+"/machines", id, extra{})
				continue
			}
			backup, err := c.backup(lastWord(id))
			if err != nil {
				return err
			}
			c.pl.c.link(c.pl.p, s.ID+"/machines", id, extra{Backup: backup})
		}
	}
	return nil
}

// backup plans the backup of a machine that is being made.
func (c *composer) backup(key string) (string, error) {
	m := machineIn(c.system, key)
	if m == nil {
		return "", cimi.Errorf(http.StatusBadRequest, "serviceDescriptors: machines: machines/%s is not made by this template", key)
	}
	copied := *m
	copied.ID, copied.Name, copied.Attachments, copied.NICs = host.NewID(), m.Name+"-backup", nil, nil
	for _, a := range m.Attachments {
		d := c.system.Disk(a.DiskID)
		if d == nil {
			return "", cimi.Errorf(http.StatusBadRequest, "serviceDescriptors: machines: %s uses a Volume that exists already: add it by addRM", m.Name)
		}
		n := *d
		n.ID, n.Local, n.Shared = host.NewID(), true, false
		a.DiskID = n.ID
		copied.Attachments = append(copied.Attachments, a)
		c.system.Disks = append(c.system.Disks, &n)
		if f, ok := c.pl.fills[d.ID]; ok {
			c.pl.fills[n.ID] = f
		}
	}
	for _, nic := range m.NICs {
		nic.ID, nic.Endpoint, nic.MAC = host.NewID()[:8], "", ""
		copied.NICs = append(copied.NICs, nic)
	}
	c.system.Machines = append(c.system.Machines, &copied)
	shown := &cimi.Machine{}
	shown.ID, shown.Name = "machines/"+copied.ID, copied.Name
	c.pl.made = append(c.pl.made, shown)
	return shown.ID, nil
}

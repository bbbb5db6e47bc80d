package provider

import (
	"context"
	"database/sql"
	"errors"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// createNetwork makes a Network from its template (5.16.2.1): alone, as a part
// of a System, or as a subnetwork.
func (p *Provider) createNetwork(ctx context.Context, collection string, r *cimi.NetworkCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "networkTemplate", r.NetworkTemplate)
	if err != nil {
		return nil, err
	}
	pl := p.newPlan()
	path, err := templatePath(nil).enterNetwork(r.NetworkTemplate)
	if err != nil {
		return nil, err
	}
	n, err := pl.network(ctx, noScope, path, r, t)
	if err != nil {
		return nil, errors.Join(err, pl.end())
	}
	owner, kind, _, _ := ownerOf(collection)
	if kind == "networks" {
		pl.c.link(p, owner+"/subnetworks", "networks/"+n.ID, extra{})
		pl.parent("networks/"+n.ID, collection)
	}
	return p.makeParts(ctx, pl, r, collection, "networks/"+n.ID, func(s *host.System) {
		s.Networks = append(s.Networks, n)
	}, &host.System{Name: n.Name, Holder: host.HoldsNetwork, Networks: []*host.Network{n}})
}

// parent makes a host's Network a child of another (5.10.2), besides what lies
// over it.
func (pl *plan) parent(id, collection string) {
	over := pl.overlays[id]
	if over == nil {
		over = &cimi.Network{}
	}
	over.Base().Parent = ref(collection)
	pl.lay(id, over)
}

// lay plans what lies over a new resource.
func (pl *plan) lay(id string, over cimi.Resource) {
	if pl.overlays == nil {
		pl.overlays = map[string]cimi.Resource{}
	}
	if pl.overlays[id] == nil {
		pl.c.write(func(tx *sql.Tx) error { return putOverlay(tx, id, pl.overlays[id], never) })
		pl.c.then(func() { pl.p.overlays.set(id, pl.overlays[id], never) })
	}
	pl.overlays[id] = over
}

// network plans a Network with its segments, services and subnetworks.
func (pl *plan) network(ctx context.Context, find scope, path templatePath, request cimi.Resource, t *cimi.NetworkTemplate) (*host.Network, error) {
	p := pl.p
	n := &host.Network{ID: host.NewID()}
	id := "networks/" + n.ID
	view := &cimi.Network{}
	named(&view.Common, request)
	n.Name, n.Description = orName(view.Name, "network", n.ID), view.Description
	view.Name, view.Description = "", ""
	state, err := initialState(t.InitialState, cimi.StateStopped, cimi.StateStarted)
	if err != nil {
		return nil, err
	}
	view.State = state
	if t.NetworkConfig != nil { // 1.x
		cfg, err := resolve(ctx, p, "networkConfig", t.NetworkConfig)
		if err != nil {
			return nil, err
		}
		view.NetworkType, view.MTU, view.ClassOfService = cfg.NetworkType, cfg.MTU, cfg.ClassOfService
	}
	view.ForwardingGroup = t.ForwardingGroup
	if err := pl.governed(ctx, view, nil, &cimi.Network{}); err != nil {
		return nil, err
	}
	pl.lay(id, view)
	shown := &cimi.Network{}
	shown.ID, shown.Name = id, n.Name
	pl.made = append(pl.made, shown)
	if err := pl.segments(ctx, find, id, t); err != nil {
		return nil, err
	}
	if err := pl.services(ctx, find, id, t); err != nil {
		return nil, err
	}
	for _, sub := range t.Subnetworks {
		inner, err := find.id(sub.Href)
		if err != nil {
			return nil, err
		}
		if err := pl.exists(ctx, inner, "Network"); err != nil {
			return nil, err
		}
		pl.c.link(p, id+"/subnetworks", inner, extra{})
	}
	for i := range t.SubnetworkTemplates {
		st, err := resolve(ctx, p, "subnetworkTemplates", &t.SubnetworkTemplates[i])
		if err != nil {
			return nil, err
		}
		inner, err := path.enterNetwork(&t.SubnetworkTemplates[i])
		if err != nil {
			return nil, err
		}
		if len(pl.subnetworks) >= maxComponents {
			return nil, cimi.Errorf(http.StatusBadRequest, "subnetworkTemplates: more than %d subnetworks", maxComponents)
		}
		sub, err := pl.network(ctx, find, inner, st, st)
		if err != nil {
			return nil, err
		}
		pl.c.link(p, id+"/subnetworks", "networks/"+sub.ID, extra{})
		pl.parent("networks/"+sub.ID, id+"/subnetworks")
		pl.subnetworks = append(pl.subnetworks, sub)
	}
	return n, pl.monitored(ctx, id, t.MeterTemplates, t.EventLogTemplate)
}

// initialState is the state a new resource is to have, the first one by default.
func initialState(asked string, states ...string) (string, error) {
	if asked == "" {
		return states[0], nil
	}
	if !contains(states, asked) {
		return "", cimi.Errorf(http.StatusBadRequest, "initialState: expected one of %v, got %.40q", states, asked)
	}
	return asked, nil
}

// exists refuses a reference to what is not there, or is of another type. What
// the plan makes itself is there.
func (pl *plan) exists(ctx context.Context, id, typeName string) error {
	for _, r := range pl.made {
		if r.Base().ID == id && r.TypeName() == typeName {
			return nil
		}
	}
	r, err := pl.p.read(ctx, id)
	if err != nil {
		return err
	}
	if r == nil || r.TypeName() != typeName {
		return cimi.Errorf(http.StatusBadRequest, "%s: no such %s", id, typeName)
	}
	return nil
}

// segments plans the segments of a Network: the Ethernet one that every network
// has takes what the first Ethernet template says, others are resources of the
// Provider's own (mapping.md).
func (pl *plan) segments(ctx context.Context, find scope, network string, t *cimi.NetworkTemplate) error {
	p := pl.p
	own := "segments/" + lastWord(network)
	taken := false
	for i := range t.SegmentTemplates {
		st, err := resolve(ctx, p, "segmentTemplates", &t.SegmentTemplates[i])
		if err != nil {
			return err
		}
		if at := plainID(cimi.HrefOf(st.Network)); at != "" && at != network { // T36
			return cimi.Errorf(http.StatusBadRequest, "segmentTemplates: network: %s, expected none: it is the new one", at)
		}
		id := ""
		if !taken && (st.Protocol == "" || st.Protocol == "Ethernet") {
			taken, id = true, own
			if err := pl.ownSegment(ctx, own, st); err != nil {
				return err
			}
		} else {
			s, err := pl.segment(ctx, network, st, st)
			if err != nil {
				return err
			}
			id = s.ID
		}
		if err := pl.endpointsOf(ctx, find, id, st); err != nil {
			return err
		}
	}
	if !taken { // it starts and stops with its Network
		view := &cimi.ProtocolSegment{State: cimi.StateStopped}
		if t.InitialState == cimi.StateStarted {
			view.State = cimi.StateStarted
		}
		pl.lay(own, view)
	}
	for _, s := range t.Segments {
		id, err := find.id(s.Href)
		if err != nil {
			return err
		}
		if err := p.putSegment(ctx, &pl.c, network, id); err != nil {
			return err
		}
	}
	return nil
}

// ownSegment says of the Ethernet segment of a network what a template does.
func (pl *plan) ownSegment(ctx context.Context, id string, t *cimi.ProtocolSegmentTemplate) error {
	view := &cimi.ProtocolSegment{NoDefaultRouting: t.NoDefaultRouting, Parameters: t.Parameters}
	named(&view.Common, t)
	var err error
	if view.State, err = initialState(t.InitialState, cimi.StateStopped, cimi.StateStarted); err != nil {
		return err
	}
	pl.lay(id, view)
	return pl.monitored(ctx, id, t.MeterTemplates, t.EventLogTemplate)
}

// services plans the NetworkServices of a Network.
func (pl *plan) services(ctx context.Context, find scope, network string, t *cimi.NetworkTemplate) error {
	for _, s := range t.Services {
		id, err := find.id(s.Href)
		if err != nil {
			return err
		}
		if err := pl.exists(ctx, id, "NetworkService"); err != nil {
			return err
		}
		pl.c.link(pl.p, network+"/services", id, extra{})
	}
	for i := range t.ServiceTemplates {
		st, err := resolve(ctx, pl.p, "serviceTemplates", &t.ServiceTemplates[i])
		if err != nil {
			return err
		}
		if at := plainID(cimi.HrefOf(st.Network)); at != "" && at != network { // T45
			return cimi.Errorf(http.StatusBadRequest, "serviceTemplates: network: %s, expected none: it is the new one", at)
		}
		if _, err := pl.service(ctx, find, network+"/services", st, st); err != nil {
			return err
		}
	}
	return nil
}

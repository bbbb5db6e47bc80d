package provider

import (
	"context"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
)

// Types of NetworkService (T44).
var serviceTypes = []string{"Load Balancer", "QoS", "Firewall", "VPN", "DHCP", "DNS", "NAT", "Gateway", "Layer4 Port Forwarding", "IP Routing", "Virtual Network Device", "Other"}

// createNetworkService makes a NetworkService from its template (5.16.18.1):
// of a Network, or of a System.
func (p *Provider) createNetworkService(ctx context.Context, collection string, r *cimi.NetworkServiceCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "networkServiceTemplate", r.NetworkServiceTemplate)
	if err != nil {
		return nil, err
	}
	network := plainID(cimi.HrefOf(t.Network))
	owner, kind, _, _ := ownerOf(collection)
	parent := collection
	switch {
	case kind == "networks" && network != "" && network != owner:
		return nil, cimi.Errorf(http.StatusBadRequest, "network: %s, this is the collection of %s (T45)", network, owner)
	case kind == "networks":
		network = owner
	case network == "":
		return nil, cimi.Errorf(http.StatusBadRequest, "network: missing: it says where the service belongs (T45)")
	}
	pl := p.newPlan()
	if err := pl.exists(ctx, network, "Network"); err != nil {
		return nil, err
	}
	if kind == "" {
		parent = network + "/services"
	}
	s, err := pl.service(ctx, noScope, parent, r, t)
	if err != nil {
		return nil, err
	}
	if kind == "systems" {
		pl.c.link(p, network+"/services", s.ID, extra{})
	}
	return p.acceptPlan(ctx, pl, collection, s.ID)
}

// service plans a NetworkService in the collection that is its parent.
func (pl *plan) service(ctx context.Context, find scope, parent string, request cimi.Resource, t *cimi.NetworkServiceTemplate) (*cimi.NetworkService, error) {
	if !contains(serviceTypes, t.Type) {
		return nil, cimi.Errorf(http.StatusBadRequest, "type: expected one of %q, got %.40q (T44)", serviceTypes, t.Type)
	}
	s := &cimi.NetworkService{Type: t.Type, Policies: t.Policies}
	named(&s.Common, request)
	var err error
	if s.State, err = initialState(t.InitialState, cimi.StateStopped, cimi.StateStarted); err != nil {
		return nil, err
	}
	adopt("networkServices", parent, s)
	pl.c.put("networkServices", s)
	pl.c.link(pl.p, parent, s.ID, extra{})
	for _, e := range t.Endpoints {
		id, err := find.id(e.Href)
		if err != nil {
			return nil, err
		}
		if err := pl.exists(ctx, id, "ProtocolEndpoint"); err != nil {
			return nil, err
		}
		pl.c.link(pl.p, s.ID+"/endpoints", id, extra{})
	}
	for _, g := range t.Segments {
		id, err := find.id(g.Href)
		if err != nil {
			return nil, err
		}
		if err := pl.exists(ctx, id, "ProtocolSegment"); err != nil {
			return nil, err
		}
		pl.c.link(pl.p, s.ID+"/segments", id, extra{})
	}
	pl.made = append(pl.made, s)
	return s, pl.monitored(ctx, s.ID, t.MeterTemplates, t.EventLogTemplate)
}

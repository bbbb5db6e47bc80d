package provider

import (
	"context"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
)

// createNetwork1 makes what only 1.x has of networks: Addresses, NetworkPorts,
// ForwardingGroups. They are kept as they are described.
func (p *Provider) createNetwork1(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	pl := p.newPlan()
	var made cimi.Resource
	var kind string
	switch r := r.(type) {
	case *cimi.AddressCreate:
		t, err := template(ctx, p, "addressTemplate", r.AddressTemplate)
		if err != nil {
			return nil, err
		}
		if t.Network != nil {
			if err := pl.exists(ctx, plainID(t.Network.Href), "Network"); err != nil {
				return nil, err
			}
		}
		kind, made = "addresses", &cimi.Address{IP: t.IP, Hostname: t.Hostname, Allocation: t.Allocation, DefaultGateway: t.DefaultGateway,
			DNS: t.DNS, Protocol: t.Protocol, Mask: t.Mask, Network: t.Network}
	case *cimi.NetworkPortCreate:
		t, err := template(ctx, p, "networkPortTemplate", r.NetworkPortTemplate)
		if err != nil {
			return nil, err
		}
		cfg, err := resolve(ctx, p, "networkPortConfig", t.NetworkPortConfig)
		if err != nil {
			return nil, err
		}
		if t.Network == nil {
			return nil, cimi.Errorf(http.StatusBadRequest, "network: missing: it says what the port leads to")
		}
		network := plainID(t.Network.Href)
		if err := pl.exists(ctx, network, "Network"); err != nil {
			return nil, err
		}
		port := &cimi.NetworkPort{State: cimi.StateStopped, Network: t.Network, PortType: cfg.PortType, ClassOfService: cfg.ClassOfService}
		named(&port.Common, r)
		adopt("networkPorts", collection, port)
		pl.c.put("networkPorts", port)
		for _, at := range []string{network + "/networkPorts", collection} {
			if at != "networkPorts" {
				pl.c.link(p, at, port.ID, extra{})
			}
		}
		pl.made = append(pl.made, port)
		if err := pl.monitored(ctx, port.ID, t.MeterTemplates, t.EventLogTemplate); err != nil {
			return nil, err
		}
		return p.acceptPlan(ctx, pl, collection, port.ID)
	case *cimi.ForwardingGroupCreate:
		t, err := template(ctx, p, "forwardingGroupTemplate", r.ForwardingGroupTemplate)
		if err != nil {
			return nil, err
		}
		for _, n := range t.Networks {
			if err := pl.exists(ctx, plainID(n.Href), "Network"); err != nil {
				return nil, err
			}
		}
		kind, made = "forwardingGroups", &cimi.ForwardingGroup{Networks: t.Networks}
	}
	named(made.Base(), r)
	adopt(kind, collection, made)
	pl.c.put(kind, made)
	if collection != kind {
		pl.c.link(p, collection, made.Base().ID, extra{})
	}
	pl.made = append(pl.made, made)
	return p.acceptPlan(ctx, pl, collection, made.Base().ID)
}

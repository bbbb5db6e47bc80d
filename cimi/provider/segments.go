package provider

import (
	"context"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Protocols of segments (T32).
var protocols = []string{"Ethernet", "IPv4", "IPv6"}

// createSegment makes a ProtocolSegment from its template (5.16.6.1).
func (p *Provider) createSegment(ctx context.Context, collection string, r *cimi.ProtocolSegmentCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "protocolSegmentTemplate", r.ProtocolSegmentTemplate)
	if err != nil {
		return nil, err
	}
	network := plainID(cimi.HrefOf(t.Network))
	if owner, kind, _, _ := ownerOf(collection); kind == "networks" {
		if network != "" && network != owner {
			return nil, cimi.Errorf(http.StatusBadRequest, "network: %s, this is the collection of %s (T36)", network, owner)
		}
		network = owner
	}
	if network == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "network: missing: it says where the segment belongs (T36)")
	}
	pl := p.newPlan()
	if err := pl.exists(ctx, network, "Network"); err != nil {
		return nil, err
	}
	s, err := pl.segment(ctx, network, r, t)
	if err != nil {
		return nil, err
	}
	if err := pl.endpointsOf(ctx, noScope, s.ID, t); err != nil {
		return nil, err
	}
	return p.acceptPlan(ctx, pl, collection, s.ID)
}

// acceptPlan commits a plan that makes nothing of the host's.
func (p *Provider) acceptPlan(ctx context.Context, pl *plan, collection, location string) (*cimi.Accepted, error) {
	for _, r := range pl.made {
		pl.c.modelEvent(p, r, "create", "")
	}
	return p.accept(ctx, &pl.c, cimi.RelAdd, collection, location, nil)
}

// segment plans a segment of a Network besides its own Ethernet one.
func (pl *plan) segment(ctx context.Context, network string, request cimi.Resource, t *cimi.ProtocolSegmentTemplate) (*cimi.ProtocolSegment, error) {
	if !contains(protocols, t.Protocol) {
		return nil, cimi.Errorf(http.StatusBadRequest, "protocol: expected one of %v, got %.40q (T32)", protocols, t.Protocol)
	}
	if err := checkParameters(t.Protocol, t.Parameters); err != nil {
		return nil, err
	}
	s := &cimi.ProtocolSegment{Protocol: t.Protocol, NoDefaultRouting: t.NoDefaultRouting, Parameters: t.Parameters}
	named(&s.Common, request)
	var err error
	if s.State, err = initialState(t.InitialState, cimi.StateStopped, cimi.StateStarted); err != nil {
		return nil, err
	}
	adopt("segments", network+"/segments", s)
	pl.c.put("segments", s)
	pl.c.link(pl.p, network+"/segments", s.ID, extra{})
	pl.made = append(pl.made, s)
	return s, pl.monitored(ctx, s.ID, t.MeterTemplates, t.EventLogTemplate)
}

// checkParameters wants the parameters that a protocol must have (T33 to T35).
func checkParameters(protocol string, parameters map[string]string) error {
	for _, key := range map[string][]string{"IPv4": {"netmask", "subnetAddress"}, "IPv6": {"prefixLength", "subnetAddress"}}[protocol] {
		if parameters[key] == "" {
			return cimi.Errorf(http.StatusBadRequest, "parameters: %s: missing: an %s segment has it (T33, T34)", key, protocol)
		}
	}
	return nil
}

// endpointsOf plans the endpoints of a new segment: existing ones that are put
// into it, new ones from templates (T36).
func (pl *plan) endpointsOf(ctx context.Context, find scope, segment string, t *cimi.ProtocolSegmentTemplate) error {
	protocol := t.Protocol
	if protocol == "" {
		protocol = "Ethernet"
	}
	for _, e := range t.Endpoints {
		id, err := find.id(e.Href)
		if err != nil {
			return err
		}
		if err := pl.include(ctx, segment, protocol, id); err != nil {
			return err
		}
	}
	for i := range t.EndpointTemplates {
		et, err := resolve(ctx, pl.p, "endpointTemplates", &t.EndpointTemplates[i])
		if err != nil {
			return err
		}
		if _, err := pl.endpoint(ctx, segment, protocol, et, et); err != nil {
			return err
		}
	}
	return nil
}

// include puts an endpoint into a new segment: one that the plan makes, or one
// that is there and that no card is connected by.
func (pl *plan) include(ctx context.Context, segment, protocol, id string) error {
	var e *cimi.ProtocolEndpoint
	for _, r := range pl.made {
		if made, ok := r.(*cimi.ProtocolEndpoint); ok && made.ID == id {
			e = made
		}
	}
	if e == nil {
		var err error
		if e, err = pl.p.storedEndpoint(ctx, id); err != nil {
			return err
		}
		for _, in := range pl.p.links.holding(id) {
			if strings.HasPrefix(in, "segments/") {
				pl.c.unlink(pl.p, in, id)
			}
		}
		pl.c.put("endpoints", e)
	}
	if e.Protocol != "" && e.Protocol != protocol { // T37
		return cimi.Errorf(http.StatusConflict, "%s is of %s, its segment of %s", id, e.Protocol, protocol)
	}
	e.Protocol, e.Parent = protocol, ref(segment+"/endpoints")
	pl.c.link(pl.p, segment+"/endpoints", id, extra{})
	return nil
}

// putSegment makes an existing segment one of a Network: it belongs to one.
func (p *Provider) putSegment(ctx context.Context, c *change, network, segment string) error {
	r, err := p.db.get(ctx, segment)
	if err != nil {
		return err
	}
	s, ok := r.(*cimi.ProtocolSegment)
	if !ok {
		return cimi.Errorf(http.StatusConflict, "%s: expected a segment that can be moved: each Network keeps its own Ethernet one", segment)
	}
	for _, in := range p.links.holding(segment) {
		if strings.HasPrefix(in, "networks/") {
			c.unlink(p, in, segment)
		}
	}
	s.Parent = ref(network + "/segments")
	c.put("segments", s)
	c.link(p, network+"/segments", segment, extra{})
	return nil
}

// takeSegment takes a segment from its Network; it belongs to none then.
func (p *Provider) takeSegment(ctx context.Context, c *change, segment string) error {
	r, err := p.db.get(ctx, segment)
	if err != nil {
		return err
	}
	s, ok := r.(*cimi.ProtocolSegment)
	if !ok {
		return cimi.Errorf(http.StatusConflict, "%s: each Network keeps its own Ethernet segment", segment)
	}
	for _, in := range p.links.holding(segment) {
		if strings.HasPrefix(in, "networks/") {
			c.unlink(p, in, segment)
		}
	}
	s.Parent = ref("segments")
	c.put("segments", s)
	return nil
}

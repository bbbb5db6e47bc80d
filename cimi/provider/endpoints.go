package provider

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// createEndpoint makes a ProtocolEndpoint from its template (5.16.10.1).
func (p *Provider) createEndpoint(ctx context.Context, collection string, r *cimi.ProtocolEndpointCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "protocolEndpointTemplate", r.ProtocolEndpointTemplate)
	if err != nil {
		return nil, err
	}
	segment, protocol := "", ""
	if owner, kind, _, _ := ownerOf(collection); kind == "segments" {
		s, err := p.read(ctx, owner)
		if err != nil || s == nil {
			return nil, orNotFound(err, owner)
		}
		segment, protocol = owner, s.(*cimi.ProtocolSegment).Protocol
	}
	pl := p.newPlan()
	e, err := pl.endpoint(ctx, segment, protocol, r, t)
	if err != nil {
		return nil, err
	}
	acc, err := p.acceptPlan(ctx, pl, collection, e.ID)
	if err != nil {
		return nil, err
	}
	if card := plainID(cimi.HrefOf(t.Interface)); card != "" {
		c := &change{}
		err := p.connectCard(ctx, c, strings.TrimPrefix(card, "interfaces/"), e.ID)
		if err == nil {
			err = p.commit(c)
		}
		if err != nil {
			_, undo := p.delete(ctx, e.ID)
			return nil, errors.Join(err, undo)
		}
		if acc.Resource, err = p.read(ctx, e.ID); err != nil {
			return nil, err
		}
	}
	return acc, nil
}

// endpoint plans an endpoint of a segment, or of none yet ("").
func (pl *plan) endpoint(ctx context.Context, segment, protocol string, request cimi.Resource, t *cimi.ProtocolEndpointTemplate) (*cimi.ProtocolEndpoint, error) {
	origin := t.Origin
	switch {
	case origin == "" && t.Address != "":
		origin = "STATIC"
	case origin == "":
		origin = "DYNAMIC"
	case origin != "STATIC" && origin != "DYNAMIC":
		return nil, cimi.Errorf(http.StatusBadRequest, "origin: expected STATIC or DYNAMIC, got %.40q (T41)", origin)
	case origin == "DYNAMIC" && t.Address != "":
		return nil, cimi.Errorf(http.StatusBadRequest, "address: not given where origin is DYNAMIC (T41)")
	case origin == "STATIC" && t.Address == "":
		return nil, cimi.Errorf(http.StatusBadRequest, "address: missing where origin is STATIC (T41)")
	}
	e := &cimi.ProtocolEndpoint{Protocol: protocol, Address: t.Address, Origin: origin, Parameters: t.Parameters}
	named(&e.Common, request)
	var err error
	if e.State, err = initialState(t.InitialState, cimi.StateDisabled, cimi.StateEnabled); err != nil {
		return nil, err
	}
	parent := "endpoints"
	if segment != "" {
		parent = segment + "/endpoints"
	}
	adopt("endpoints", parent, e)
	pl.c.put("endpoints", e)
	if segment != "" {
		pl.c.link(pl.p, segment+"/endpoints", e.ID, extra{})
	}
	pl.made = append(pl.made, e)
	return e, pl.monitored(ctx, e.ID, t.MeterTemplates, t.EventLogTemplate)
}

// storedEndpoint is an endpoint that no card is connected by.
func (p *Provider) storedEndpoint(ctx context.Context, id string) (*cimi.ProtocolEndpoint, error) {
	r, err := p.db.get(ctx, id)
	if err != nil {
		return nil, err
	}
	e, ok := r.(*cimi.ProtocolEndpoint)
	if !ok {
		return nil, cimi.Errorf(http.StatusConflict, "%s is connected by a card: change its NetworkInterface", id)
	}
	return e, nil
}

// putEndpoint makes an existing endpoint one of a segment: it is in one.
func (p *Provider) putEndpoint(ctx context.Context, c *change, segment, endpoint string) error {
	e, err := p.storedEndpoint(ctx, endpoint)
	if err != nil {
		return err
	}
	s, err := p.read(ctx, segment)
	if err != nil || s == nil {
		return orNotFound(err, segment)
	}
	protocol := s.(*cimi.ProtocolSegment).Protocol
	if e.Protocol != "" && e.Protocol != protocol { // T37
		return cimi.Errorf(http.StatusConflict, "%s is of %s, %s of %s", endpoint, e.Protocol, segment, protocol)
	}
	for _, in := range p.links.holding(endpoint) {
		if strings.HasPrefix(in, "segments/") {
			c.unlink(p, in, endpoint)
		}
	}
	e.Protocol, e.Parent = protocol, ref(segment+"/endpoints")
	c.put("endpoints", e)
	c.link(p, segment+"/endpoints", endpoint, extra{})
	return nil
}

func (p *Provider) takeEndpoint(ctx context.Context, c *change, endpoint string) error {
	e, err := p.storedEndpoint(ctx, endpoint)
	if err != nil {
		return err
	}
	for _, in := range p.links.holding(endpoint) {
		if strings.HasPrefix(in, "segments/") {
			c.unlink(p, in, endpoint)
		}
	}
	e.Parent = ref("endpoints")
	c.put("endpoints", e)
	return nil
}

// place is the network that an endpoint leads to: that of its Ethernet segment,
// or of the Network its segment belongs to; "" where it is in none.
func (p *Provider) placeOf(endpoint string) (network string) {
	for _, in := range p.links.holding(endpoint) {
		segment, ok := strings.CutSuffix(in, "/endpoints")
		if !ok || !strings.HasPrefix(segment, "segments/") {
			continue
		}
		if at := p.links.holding(segment); len(at) > 0 {
			for _, n := range at {
				if owner, ok := strings.CutSuffix(n, "/segments"); ok {
					return lastWord(owner)
				}
			}
		}
		return lastWord(segment) // the Ethernet segment of that network
	}
	return ""
}

// connectCard connects a network card by an existing endpoint: from then on the
// host's card is what the endpoint shows. An endpoint of another protocol than
// Ethernet stays a resource of its own, which refers to the card.
func (p *Provider) connectCard(ctx context.Context, c *change, card, endpoint string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	m, at, ok := w.cardOf("interfaces", card)
	done()
	if !ok {
		return cimi.Errorf(http.StatusBadRequest, "interfaces/%s: no such NetworkInterface", card)
	}
	e, err := p.storedEndpoint(ctx, endpoint)
	if err != nil {
		return err
	}
	if e.Protocol != "Ethernet" {
		e.Interface = cimi.RefTo[cimi.NetworkInterface]("interfaces/" + card)
		c.put("endpoints", e)
		c.link(p, "interfaces/"+card+"/endpoints", endpoint, extra{})
		return nil
	}
	switch {
	case p.maker() == nil:
		return errNoMaker
	case m.State != host.Stopped:
		return cimi.Errorf(http.StatusConflict, "machines/%s: %w: stop it first", m.ID, host.ErrBusy)
	case m.NICs[at].Network != "" || m.NICs[at].Endpoint != "":
		return cimi.Errorf(http.StatusConflict, "interfaces/%s has an Ethernet endpoint already: remove it first", card)
	}
	nic := host.NIC{}
	p.adoptEndpoint(c, &nic, e)
	return p.alter(ctx, m.root.ID, func(s *host.System) error {
		x := machineIn(s, m.ID)
		if x == nil || at >= len(x.NICs) {
			return host.ErrNotFound
		}
		n := &x.NICs[at]
		n.Network, n.MAC, n.Endpoint = nic.Network, nic.MAC, nic.Endpoint
		return nil
	})
}

// adoptEndpoint makes a card what an endpoint is shown from: what it has no
// place for lies over it.
func (p *Provider) adoptEndpoint(c *change, nic *host.NIC, e *cimi.ProtocolEndpoint) {
	nic.Network, nic.MAC, nic.Endpoint = p.placeOf(e.ID), e.Address, lastWord(e.ID)
	nic.Disabled = nic.Disabled || e.State == cimi.StateDisabled
	over := &cimi.ProtocolEndpoint{Parameters: e.Parameters, Origin: e.Origin}
	over.Name, over.Description, over.Properties, over.Created = e.Name, e.Description, e.Properties, e.Created
	c.overlay(p, e.ID, over)
	c.write(func(tx *sql.Tx) error {
		if _, err := tx.Exec("DELETE FROM resources WHERE id = ?", e.ID); err != nil {
			return err
		}
		_, err := tx.Exec("DELETE FROM refs WHERE source = ?", e.ID)
		return err
	})
	for _, in := range p.links.holding(e.ID) {
		c.unlink(p, in, e.ID)
	}
}

// disconnectCard takes the Ethernet endpoint from a card: the card is connected
// to nothing then, and the endpoint is a resource of its own again.
func (p *Provider) disconnectCard(ctx context.Context, c *change, card string) error {
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	m, at, ok := w.cardOf("interfaces", card)
	var shown *cimi.ProtocolEndpoint
	if ok {
		shown = p.show(w, w.ofMachine("endpoints", m, at)).(*cimi.ProtocolEndpoint)
	}
	done()
	switch {
	case !ok:
		return notFound("interfaces/" + card)
	case p.maker() == nil:
		return errNoMaker
	case m.State != host.Stopped:
		return cimi.Errorf(http.StatusConflict, "machines/%s: %w: stop it first", m.ID, host.ErrBusy)
	}
	if m.NICs[at].Endpoint != "" {
		p.releaseEndpoint(c, m.NICs[at], shown)
	}
	return p.alter(ctx, m.root.ID, func(s *host.System) error {
		x := machineIn(s, m.ID)
		if x == nil || at >= len(x.NICs) {
			return host.ErrNotFound
		}
		n := &x.NICs[at]
		n.Network, n.MAC, n.Endpoint = "", "", ""
		return nil
	})
}

// releaseEndpoint makes an endpoint that was made before its card a resource of
// its own again.
func (p *Provider) releaseEndpoint(c *change, nic host.NIC, shown *cimi.ProtocolEndpoint) {
	e := cimi.Clone(shown)
	e.Interface, e.Operations, e.Meters, e.EventLog, e.ResourceMetadata = nil, nil, nil, nil, nil
	e.Parent = ref("endpoints")
	c.overlay(p, e.ID, nil)
	if nic.Network != "" {
		segment := "segments/" + nic.Network
		e.Parent = ref(segment + "/endpoints")
		c.link(p, segment+"/endpoints", e.ID, extra{})
	}
	c.put("endpoints", e)
}

// releaseOf releases the endpoints that outlive a machine or card that goes,
// with all of gone.
func (p *Provider) releaseOf(w *world, c *change, h held, gone []string) {
	m := w.machine[h.machine.ID]
	for i, nic := range m.NICs {
		if nic.Endpoint != "" && (h.kind == "machines" || i == h.card) {
			if contains(gone, "networks/"+nic.Network) {
				nic.Network = ""
			}
			p.releaseEndpoint(c, nic, p.show(w, w.ofMachine("endpoints", m, i)).(*cimi.ProtocolEndpoint))
		}
	}
}

func hasNetwork(networks []*host.Network, key string) bool {
	return slices.ContainsFunc(networks, func(n *host.Network) bool { return n.ID == key })
}

package provider

import (
	"context"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// createInterface adds a NetworkInterface to a Machine (5.16.14.1).
func (p *Provider) createInterface(ctx context.Context, collection string, r *cimi.NetworkInterfaceCreate) (*cimi.Accepted, error) {
	t, err := template(ctx, p, "networkInterfaceTemplate", r.NetworkInterfaceTemplate)
	if err != nil {
		return nil, err
	}
	_, _, key, _ := ownerOf(collection)
	pl := p.newPlan()
	nic, err := pl.card(ctx, noScope, key, r, t)
	if err != nil {
		return nil, err
	}
	root, err := p.lockMachine(ctx, key)
	if err != nil {
		return nil, err
	}
	id := "interfaces/" + key + "." + nic.ID
	shown := &cimi.NetworkInterface{}
	shown.ID, shown.Name = id, nic.Name
	pl.made = append(pl.made, shown)
	defer p.changes.lock(root)()
	if err := p.alter(ctx, root, func(s *host.System) error {
		m := machineIn(s, key)
		if m == nil {
			return host.ErrNotFound
		}
		keepCardIDs(m)
		m.NICs = append(m.NICs, *nic)
		return nil
	}); err != nil {
		return nil, err
	}
	return p.acceptPlan(ctx, pl, collection, id)
}

// cards plans the network cards of a machine: those of 2.0's templates and
// those that 1.x lists.
func (pl *plan) cards(ctx context.Context, find scope, m *host.Machine, t *cimi.MachineTemplate) error {
	for i := range t.InterfaceTemplates {
		it, err := resolve(ctx, pl.p, "interfaceTemplates", &t.InterfaceTemplates[i])
		if err != nil {
			return err
		}
		nic, err := pl.card(ctx, find, m.ID, it, it)
		if err != nil {
			return err
		}
		m.NICs = append(m.NICs, *nic)
	}
	for _, n := range t.NetworkInterfaces {
		nic := host.NIC{ID: host.NewID()[:8], Disabled: n.State == "Passive" || n.State == cimi.StateDisabled}
		if h := cimi.HrefOf(n.Network); h != "" {
			key, err := find.key(h, "networks")
			if err != nil {
				return err
			}
			if err := pl.exists(ctx, "networks/"+key, "Network"); err != nil {
				return err
			}
			nic.Network = key
		}
		m.NICs = append(m.NICs, nic)
		if n.MTU != nil {
			pl.lay("interfaces/"+m.ID+"."+nic.ID, &cimi.NetworkInterface{MTU: n.MTU})
		}
	}
	return nil
}

// card plans a network card: its endpoints say what it is connected to.
func (pl *plan) card(ctx context.Context, find scope, machine string, request cimi.Resource, t *cimi.NetworkInterfaceTemplate) (*host.NIC, error) {
	nic := &host.NIC{ID: host.NewID()[:8]}
	id := "interfaces/" + machine + "." + nic.ID
	view := &cimi.NetworkInterface{Speed: t.Speed, MTU: t.MTU}
	named(&view.Common, request)
	nic.Name = view.Name
	state, err := initialState(t.InitialState, cimi.StateDisabled, cimi.StateEnabled)
	if err != nil {
		return nil, err
	}
	nic.Disabled = state == cimi.StateDisabled
	if view.Name = ""; !cimi.Empty(view) {
		pl.lay(id, view)
	}
	if err := pl.monitored(ctx, id, t.MeterTemplates, t.EventLogTemplate); err != nil {
		return nil, err
	}
	for _, e := range t.Endpoints {
		if err := pl.connect(ctx, find, nic, id, e); err != nil {
			return nil, err
		}
	}
	return nic, nil
}

// connect connects a planned card by an endpoint: an existing one, one that the
// plan makes, all those of a collection, or one by value whose parent is its
// network (mapping.md).
func (pl *plan) connect(ctx context.Context, find scope, nic *host.NIC, card string, e cimi.Ref[cimi.ProtocolEndpoint]) error {
	if e.Href == "" {
		return pl.connectValue(ctx, find, nic, e.Value)
	}
	id, err := find.id(e.Href)
	if err != nil {
		return err
	}
	if strings.HasSuffix(id, "/endpoints") {
		c, err := pl.p.List(ctx, id, cimi.ListOptions{})
		if err != nil {
			return cimi.Errorf(http.StatusBadRequest, "endpoints: %s: no such collection", id)
		}
		for _, r := range c.Items {
			if err := pl.connect(ctx, find, nic, card, cimi.Ref[cimi.ProtocolEndpoint]{Href: r.Base().ID}); err != nil {
				return err
			}
		}
		return nil
	}
	var endpoint *cimi.ProtocolEndpoint
	network := ""
	for _, r := range pl.made {
		if made, ok := r.(*cimi.ProtocolEndpoint); ok && made.ID == id {
			endpoint, network = made, pl.networkOf(made)
		}
	}
	if endpoint == nil {
		if endpoint, err = pl.p.storedEndpoint(ctx, id); err != nil {
			return err
		}
		network = pl.p.placeOf(id)
	}
	if endpoint.Protocol != "Ethernet" && endpoint.Protocol != "" {
		endpoint.Interface = cimi.RefTo[cimi.NetworkInterface](card)
		pl.c.put("endpoints", endpoint)
		pl.c.link(pl.p, card+"/endpoints", id, extra{})
		if nic.Network == "" {
			nic.Network = network
		}
		return nil
	}
	if nic.Endpoint != "" {
		return cimi.Errorf(http.StatusBadRequest, "endpoints: %s: a card has one Ethernet endpoint", id)
	}
	pl.p.adoptEndpoint(&pl.c, nic, endpoint)
	pl.adopted(id)
	nic.Network = network
	return nil
}

// adopted takes the links away that the plan itself makes for an endpoint
// which a card has become.
func (pl *plan) adopted(id string) {
	for _, in := range pl.linked(id) {
		pl.c.unlink(pl.p, in, id)
	}
}

func (pl *plan) linked(id string) []string {
	var out []string
	for _, r := range pl.made {
		if e, ok := r.(*cimi.ProtocolEndpoint); ok && e.ID == id {
			if parent := plainID(cimi.HrefOf(e.Parent)); parent != "endpoints" {
				out = append(out, parent)
			}
		}
	}
	return out
}

// networkOf is the network of an endpoint that the plan makes.
func (pl *plan) networkOf(e *cimi.ProtocolEndpoint) string {
	segment, ok := strings.CutSuffix(plainID(cimi.HrefOf(e.Parent)), "/endpoints")
	if !ok {
		return ""
	}
	for _, r := range pl.made {
		if s, ok := r.(*cimi.ProtocolSegment); ok && s.ID == segment {
			owner, _ := strings.CutSuffix(plainID(cimi.HrefOf(s.Parent)), "/segments")
			return lastWord(owner)
		}
	}
	return lastWord(segment)
}

func (pl *plan) connectValue(ctx context.Context, find scope, nic *host.NIC, e *cimi.ProtocolEndpoint) error {
	if e == nil {
		return cimi.Errorf(http.StatusBadRequest, "endpoints: a reference without href and value")
	}
	if e.Protocol != "" && e.Protocol != "Ethernet" {
		return cimi.Errorf(http.StatusBadRequest, "endpoints: by value only Ethernet endpoints are made, got %.40q", e.Protocol)
	}
	nic.MAC = e.Address
	if nic.Disabled = nic.Disabled && e.State != cimi.StateEnabled; e.State == cimi.StateDisabled {
		nic.Disabled = true
	}
	parent := cimi.HrefOf(e.Parent)
	if parent == "" {
		return nil
	}
	id, err := find.id(parent)
	if err != nil {
		return err
	}
	id = strings.TrimSuffix(strings.TrimSuffix(id, "/endpoints"), "/segments")
	key, network := strings.CutPrefix(id, "networks/")
	if !network {
		if key, network = strings.CutPrefix(id, "segments/"); !network {
			return cimi.Errorf(http.StatusBadRequest, "endpoints: parent: expected a Network or its Ethernet segment, got %.200q", parent)
		}
	}
	if !hasNetwork(pl.networks, key) {
		if err := pl.exists(ctx, "networks/"+key, "Network"); err != nil {
			return err
		}
	}
	nic.Network = key
	return nil
}

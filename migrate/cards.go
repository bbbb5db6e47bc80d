package migrate

import (
	"context"
	"fmt"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// card is a network interface as far as the interface itself tells. In 1.x that
// is all: its address and network come as an endpoint by value.
func card(r cimi.Resource) CardShape {
	c := CardShape{ID: r.Base().ID, Name: r.Base().Name}
	c.State, _ = cimi.Value(r, "state").(string)
	c.State = cardState(c.State)
	n, ok := r.(*cimi.NetworkInterface)
	if !ok || n.Endpoints == nil || n.Endpoints.Value == nil {
		return c
	}
	for _, r := range n.Endpoints.Value.Items {
		if e, ok := r.(*cimi.ProtocolEndpoint); ok && e.Protocol == "Ethernet" {
			c.MAC, c.Network = strings.ToLower(e.Address), cimi.HrefOf(e.Parent)
		}
	}
	return c
}

// cardState says in the words of 2.0 what 1.x calls otherwise.
func cardState(state string) string {
	switch strings.ToLower(state) {
	case "active":
		return cimi.StateEnabled
	case "passive", "disabled":
		return cimi.StateDisabled
	}
	return state
}

// wire fills in the addresses and networks of the cards. In 2.0 they stand
// with the endpoints that the cards and the segments of networks share
// (5.16.9). Collections that a cloud does not have leave them unknown.
func (shape *Shape) wire(ctx context.Context, p cimi.Provider) error {
	cards := map[string]*CardShape{}
	for i := range shape.Machines {
		for k := range shape.Machines[i].Cards {
			c := &shape.Machines[i].Cards[k]
			cards[c.ID] = c
		}
	}
	if len(cards) == 0 {
		return nil
	}
	for _, n := range shape.Networks {
		if err := n.endpoints(ctx, p, func(e *cimi.ProtocolEndpoint) {
			if e.Interface == nil {
				return
			}
			if c := cards[e.Interface.Href]; c != nil {
				c.MAC, c.Network = strings.ToLower(e.Address), n.ID
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// endpoints goes over those of a network's segments.
func (n NetworkShape) endpoints(ctx context.Context, p cimi.Provider, each func(*cimi.ProtocolEndpoint)) error {
	segments, err := listIfThere(ctx, p, n.segments)
	if err != nil {
		return err
	}
	for _, r := range segments {
		s, ok := r.(*cimi.ProtocolSegment)
		if !ok {
			continue
		}
		all, err := listIfThere(ctx, p, cimi.HrefOf(s.Endpoints))
		if err != nil {
			return err
		}
		for _, r := range all {
			if e, ok := r.(*cimi.ProtocolEndpoint); ok {
				each(e)
			}
		}
	}
	return nil
}

// listIfThere lists a collection; one that is not there is empty.
func listIfThere(ctx context.Context, p cimi.Provider, href string) ([]cimi.Resource, error) {
	all, err := listAll(ctx, p, href)
	if cimi.IsNotFound(err) || cimi.IsUnsupported(err) {
		return nil, nil
	}
	return all, err
}

// startOrder reads the extension attribute ovfStartup.
func startOrder(v any) string {
	if m, ok := v.(map[string]any); ok && m["order"] != nil {
		return fmt.Sprint(m["order"])
	}
	return ""
}

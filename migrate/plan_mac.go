package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// planMAC looks whether addresses that are to be kept are taken already at the
// destination: on the network that a card is connected to that refuses the plan,
// elsewhere it is told of. Those of a System that will be replaced do not count.
func (p *Plan) planMAC(ctx context.Context, _ *cimi.System) error {
	if p.opts.MAC != "keep" || p.Skip {
		return nil
	}
	own := map[string]string{} // to machine
	for _, m := range p.shape.Machines {
		for _, c := range m.Cards {
			if c.MAC != "" {
				own[c.MAC] = m.Name
			}
		}
	}
	if len(own) == 0 {
		return nil
	}
	taken, err := p.takenMACs(ctx)
	if err != nil {
		return at(StepPlan, Destination, p.opts.Destination.Name, err)
	}
	for _, m := range p.shape.Machines {
		for _, c := range m.Cards {
			by, ok := taken[c.MAC]
			if !ok || c.MAC == "" {
				continue
			}
			network, same, err := p.sameNetwork(ctx, c)
			if err != nil {
				return at(StepPlan, Destination, p.opts.Destination.Name, err)
			}
			severity, where := ovf.Warning, "at the destination"
			if same {
				severity, where = ovf.Error, "on its network "+network
			}
			p.find(RuleMAC, severity, "machine "+m.Name, fmt.Sprintf("its MAC address %s is kept, and %s %s has it too", c.MAC, by, where),
				"--mac regenerate gives new ones; two machines with one address on one network lose packets")
		}
	}
	return nil
}

// sameNetwork tells whether a card's address is on the network of the
// destination that the card will be connected to. A network that is made with
// the System has nobody on it yet.
func (p *Plan) sameNetwork(ctx context.Context, c CardShape) (network string, same bool, err error) {
	i := slices.IndexFunc(p.shape.Networks, func(n NetworkShape) bool { return n.ID == c.Network })
	if i < 0 || i >= len(p.Networks) || p.Networks[i].New {
		return "", false, nil
	}
	to := p.Networks[i].Target
	dst := p.opts.Destination.Provider
	all, err := listIfThere(ctx, dst, cimi.HrefOf(p.target.entry.Networks))
	if err != nil {
		return to, false, err
	}
	for _, r := range all {
		n, ok := r.(*cimi.Network)
		if !ok || n.Name != to && n.ID != to {
			continue
		}
		var seen []string
		if err := networkShape(n).endpoints(ctx, dst, func(e *cimi.ProtocolEndpoint) { seen = append(seen, strings.ToLower(e.Address)) }); err != nil {
			return to, false, err
		}
		if slices.Contains(seen, c.MAC) {
			return to, true, nil
		}
	}
	return to, false, nil
}

// takenMACs are the addresses at the destination, with what has them.
func (p *Plan) takenMACs(ctx context.Context) (map[string]string, error) {
	dst := p.opts.Destination.Provider
	endpoints, err := listIfThere(ctx, dst, cimi.HrefOf(p.target.entry.Endpoints))
	if err != nil {
		return nil, err
	}
	replaced := map[string]bool{}
	if p.opts.IfExists == ExistsReplace {
		for _, id := range p.before {
			r, err := dst.Get(ctx, id, cimi.ReadOptions{})
			s, ok := r.(*cimi.System)
			if err != nil || !ok {
				continue // it has gone in the meantime
			}
			old, err := readShape(ctx, dst, s)
			if err != nil {
				return nil, err
			}
			for _, m := range old.Machines {
				for _, c := range m.Cards {
					replaced[c.ID] = true
				}
			}
		}
	}
	taken := map[string]string{}
	for _, r := range endpoints {
		e, ok := r.(*cimi.ProtocolEndpoint)
		if !ok || e.Address == "" || e.Interface != nil && replaced[e.Interface.Href] {
			continue
		}
		taken[strings.ToLower(e.Address)] = "endpoint " + e.Name
	}
	return taken, nil
}

// planTwice: addresses within the System itself.
func (p *Plan) planTwice(context.Context, *cimi.System) error {
	var seen []string
	for _, m := range p.shape.Machines {
		for _, c := range m.Cards {
			if c.MAC != "" && slices.Contains(seen, c.MAC) {
				p.find(RuleMAC, ovf.Warning, "machine "+m.Name, fmt.Sprintf("its MAC address %s stands twice in the System", c.MAC), "--mac regenerate")
			}
			seen = append(seen, c.MAC)
		}
	}
	return nil
}

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
// destination. Those of a System that will be replaced do not count.
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
			if by, ok := taken[c.MAC]; ok && c.MAC != "" {
				p.find(RuleMAC, ovf.Warning, "machine "+m.Name, fmt.Sprintf("its MAC address %s is kept, and %s at the destination has it too", c.MAC, by),
					"--mac regenerate gives new ones; two machines with one address on one network lose packets")
			}
		}
	}
	return nil
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

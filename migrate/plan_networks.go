package migrate

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// planNetworks maps the System's networks to the destination's.
func (p *Plan) planNetworks(ctx context.Context, _ *cimi.System) error {
	o := p.opts
	var names []string
	if len(o.Nets) > 0 {
		cep, err := o.Destination.Provider.EntryPoint(ctx)
		if err != nil {
			return at(StepPlan, Destination, o.Destination.Name, err)
		}
		there, err := listAll(ctx, o.Destination.Provider, cimi.HrefOf(cep.Networks))
		if err != nil {
			return at(StepPlan, Destination, o.Destination.Name, err)
		}
		for _, r := range there {
			names = append(names, r.Base().Name, r.Base().ID)
		}
	}
	used := map[string]bool{}
	for _, n := range p.shape.Networks {
		name := n.OVFID
		def(&name, n.Name)
		target := lookup(o.Nets, name)
		if target == "" && n.Name != name {
			target = lookup(o.Nets, n.Name)
		}
		used[name], used[n.Name] = true, true
		switch {
		case target == "":
			p.Networks = append(p.Networks, PlannedNetwork{Name: name, Target: name, New: true})
			p.find(RuleUnmapped, ovf.Info, "network "+name, "is created with the System", "--net "+name+"=TARGET connects it to a network of the destination")
		case !slices.Contains(names, target) && !slices.Contains(names, target[strings.LastIndexByte(target, '/')+1:]): // an inventory path ends with the name
			p.find(RuleNetwork, ovf.Error, "network "+name, fmt.Sprintf("the destination has no network %s", target), candidates(everySecond(names)))
			fallthrough
		default:
			p.Networks = append(p.Networks, PlannedNetwork{Name: name, Target: target})
		}
	}
	for name := range o.Nets {
		if name != "*" && !used[name] {
			p.find(RuleUnusedNet, ovf.Error, "network "+name, "the System has no network of that name", candidates(networkNames(p.Networks)))
		}
	}
	return nil
}

// everySecond leaves the names of a list of names and ids.
func everySecond(s []string) []string {
	var out []string
	for i := 0; i < len(s); i += 2 {
		out = append(out, s[i])
	}
	return out
}

func networkNames(nets []PlannedNetwork) []string {
	var out []string
	for _, n := range nets {
		out = append(out, n.Name)
	}
	return out
}

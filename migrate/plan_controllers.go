package migrate

import (
	"maps"
	"slices"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
)

// planControllers puts the disks on the controllers that were asked for, in the
// plan's copy of the descriptor: the destination does the same with its own.
func (p *Plan) planControllers() {
	asked := p.opts.Controllers
	if len(asked) == 0 {
		return
	}
	if err := edit.CheckControllers(asked); err != nil {
		p.find(RuleController, ovf.Error, p.System, err.Error(), "")
		return
	}
	if !p.target.keepsDescriptor() {
		p.find(RuleController, ovf.Error, p.opts.Destination.Name, "it does not say that it keeps descriptors, so nothing tells it of controllers", "leave --controller-map out")
		return
	}
	if p.env == nil {
		p.find(RuleController, ovf.Warning, p.System, "the source keeps no descriptor of it, so which controllers its disks have is not known before the export", "")
		return
	}
	for _, from := range slices.Sorted(maps.Keys(asked)) {
		if !hasBus(p.env, p.opts.Configuration, from) {
			p.find(RuleController, ovf.Warning, p.System, "no machine of it has a controller of bus "+from, "")
		}
	}
	env, findings, err := rearrange(p.env, asked)
	if err != nil {
		p.find(RuleController, ovf.Error, p.System, err.Error(), "")
		return
	}
	p.env, p.Findings = env, append(p.Findings, findings...)
}

func hasBus(env *ovf.Envelope, configuration, bus string) bool {
	for _, c := range env.VirtualSystems() {
		for _, h := range c.Hardware() {
			if slices.ContainsFunc(h.Controllers(configuration), func(k ovf.Controller) bool { return k.Bus == bus }) {
				return true
			}
		}
	}
	return false
}

// rearrange is the descriptor with the disks on other controllers.
func rearrange(env *ovf.Envelope, controllers map[string]string) (*ovf.Envelope, []ovf.Finding, error) {
	env = env.Clone()
	findings, err := edit.Apply(env, edit.Options{Controllers: controllers})
	return env, findings, err
}

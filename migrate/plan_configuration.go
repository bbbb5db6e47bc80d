package migrate

import (
	"context"
	"fmt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// PlannedConfiguration is a MachineConfiguration of the destination. Exact:
// it has what the machine has, no more.
type PlannedConfiguration struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	CPU       int64  `json:"cpu"`
	MemoryKiB int64  `json:"memoryKiB"`
	Exact     bool   `json:"exact"`
}

// planConfigurations looks which MachineConfigurations (5.14.5) fit. An import
// makes machines of any size; a cloud that makes them from configurations only
// must have one that is large enough.
func (p *Plan) planConfigurations(ctx context.Context, _ *cimi.System) error {
	offered, err := configurations(ctx, p.opts.Destination.Provider, p.target.entry)
	if err != nil {
		return at(StepPlan, Destination, p.opts.Destination.Name, err)
	}
	for i := range p.Machines {
		m := &p.Machines[i]
		c := nearestConfiguration(m.MachineShape, offered)
		if c != nil {
			m.Configuration = &PlannedConfiguration{ID: c.ID, Name: c.Name, CPU: cimi.IntValue(c.CPU), MemoryKiB: cimi.IntValue(c.Memory)}
			m.Configuration.Exact = m.Configuration.CPU == m.CPU && m.Configuration.MemoryKiB == m.MemoryKiB
		}
		if a := p.assembly; a == nil || !a.ByReference["MachineConfiguration"] {
			continue
		} else if c != nil {
			if a.Configurations == nil {
				a.Configurations = map[string]string{}
			}
			a.Configurations[m.ID] = c.ID
		} else {
			p.find(RuleNoFit, ovf.Error, "machine "+m.Name, fmt.Sprintf("none of the %d machine configurations has %d CPUs and %d KiB of memory or more", len(offered), m.CPU, m.MemoryKiB),
				"create one at the destination")
		}
	}
	return nil
}

func configurations(ctx context.Context, p cimi.Provider, cep *cimi.CloudEntryPoint) ([]*cimi.MachineConfiguration, error) {
	if cep == nil {
		return nil, nil
	}
	all, err := listIfThere(ctx, p, cimi.HrefOf(cep.MachineConfigs))
	if err != nil {
		return nil, err
	}
	var out []*cimi.MachineConfiguration
	for _, r := range all {
		if c, ok := r.(*cimi.MachineConfiguration); ok {
			out = append(out, c)
		}
	}
	return out, nil
}

// nearestConfiguration is the configuration with the least excess over what a
// machine has, and never with less; nil when none is large enough. One that
// says it is of another architecture does not fit.
func nearestConfiguration(m MachineShape, offered []*cimi.MachineConfiguration) *cimi.MachineConfiguration {
	var best *cimi.MachineConfiguration
	var least float64
	for _, c := range offered {
		cpu, memory := cimi.IntValue(c.CPU), cimi.IntValue(c.Memory)
		if cpu < m.CPU || memory < m.MemoryKiB || c.CPUArch != "" && m.CPUArch != "" && c.CPUArch != m.CPUArch {
			continue
		}
		excess := float64(cpu)/float64(max(m.CPU, 1)) + float64(memory)/float64(max(m.MemoryKiB, 1))
		if best == nil || excess < least {
			best, least = c, excess
		}
	}
	return best
}

package migrate

import (
	"context"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// planPower looks whether machines run: they are stopped for the export.
func (p *Plan) planPower(_ context.Context, s *cimi.System) error {
	var running []string
	for _, m := range p.shape.Machines {
		if runs(m.State) {
			running = append(running, m.Name)
		}
	}
	switch {
	case len(running) == 0:
	case p.opts.Quiesce == QuiesceRefuse && s.Operation(cimi.ActionExport) != nil:
		p.find(RulePower, ovf.Warning, p.System, "runs and is exported as it is at one moment, as after a power failure: "+strings.Join(running, ", "), "")
	case p.opts.Quiesce == QuiesceRefuse:
		p.find(RulePower, ovf.Error, p.System, "runs and must not be stopped, but the source exports stopped machines only: "+strings.Join(running, ", "),
			"--quiesce graceful stops them for the move")
	case p.opts.Warm:
		p.find(RulePower, ovf.Warning, p.System, "runs while its disks are copied, and is stopped for what has changed by then: "+strings.Join(running, ", "), "")
	default:
		p.find(RulePower, ovf.Warning, p.System, "runs and is stopped for the move: "+strings.Join(running, ", "), "")
	}
	return nil
}

func (p *Plan) anyRuns() bool {
	return slices.ContainsFunc(p.shape.Machines, func(m MachineShape) bool { return runs(m.State) })
}

// planAfter looks whether the source can be left as asked.
func (p *Plan) planAfter(_ context.Context, s *cimi.System) error {
	switch {
	case p.opts.SourceAfter == SourceDelete && p.opts.Verify == VerifyNone:
		p.find(RuleAfter, ovf.Error, s.Name, "is deleted only after its copy is verified, and no verification is asked for", "--verify full, or --source-after keep")
	case p.opts.SourceAfter == SourceDelete && p.opts.Quiesce == QuiesceRefuse && p.anyRuns():
		p.find(RuleAfter, ovf.Error, s.Name, "runs and must not be stopped, and is not deleted while it runs: what it writes after the export is nowhere else", "--quiesce graceful, or --source-after keep")
	case p.opts.SourceAfter == SourceDelete:
		p.find(RuleAfter, ovf.Warning, s.Name, "is deleted at the source when its copy is verified", "")
	case p.opts.SourceAfter == SourceStart && p.opts.PowerOn && p.opts.MAC == "keep":
		p.find(RuleAfter, ovf.Warning, s.Name, "runs on both sides afterwards, with the same MAC addresses", "--mac regenerate")
	}
	return nil
}

// exportable: the source offers the export, or will when the machines that run
// are stopped.
func (p *Plan) exportable(s *cimi.System) bool {
	if s.Operation(cimi.ActionExport) != nil {
		return true
	}
	return p.opts.Quiesce != QuiesceRefuse && s.Operation(cimi.ActionStop) != nil && runs(s.State)
}

// runs: an absent state means that the cloud does not tell.
func runs(state string) bool {
	switch state {
	case cimi.StateStarted, cimi.StateStarting, cimi.StatePaused, cimi.StateMixed:
		return true
	}
	return false
}

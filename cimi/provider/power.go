package provider

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// powerMachine starts, stops, restarts, pauses or suspends a Machine (5.14.1.2).
func (p *Provider) powerMachine(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Force != nil && a.Action != cimi.ActionStop && a.Action != cimi.ActionRestart {
		return nil, cimi.Errorf(http.StatusBadRequest, "force: means nothing to %s", a.Action)
	}
	return p.async(ctx, a.Action, s.id, func(ctx context.Context, t *task) error {
		return p.power(ctx, s.machine.ID, a.Action, cimi.BoolValue(a.Force))
	})
}

// async starts a Job and answers at once (4.2.1.7): how long a guest takes
// nobody knows.
func (p *Provider) async(ctx context.Context, action, target string, work func(context.Context, *task) error) (*cimi.Accepted, error) {
	t, err := p.jobs.start(ctx, action, target, work)
	if err != nil {
		return nil, err
	}
	return &cimi.Accepted{Job: t.job.ID}, nil
}

// passages are the states that a machine is in while an operation is at work.
var passages = map[string]string{
	cimi.ActionStart: cimi.StateStarting, cimi.ActionStop: cimi.StateStopping, cimi.ActionPause: cimi.StatePausing, cimi.ActionSuspend: cimi.StateSuspending,
}

// power brings one machine where an action says.
func (p *Provider) power(ctx context.Context, machine, action string, force bool) error {
	state, err := p.powerState(ctx, machine)
	if err != nil {
		return err
	}
	if action == cimi.ActionRestart {
		if state != host.Stopped {
			if err := p.power(ctx, machine, cimi.ActionStop, force); err != nil {
				return err
			}
		}
		return p.power(ctx, machine, cimi.ActionStart, false)
	}
	power, ok := p.host.(host.Power)
	if !ok {
		return fmt.Errorf("machine %s: %w", machine, host.ErrUnsupported)
	}
	defer p.passing.through(passages[action], "machines/"+machine)()
	switch action {
	case cimi.ActionStart:
		return power.Start(ctx, machine)
	case cimi.ActionStop:
		return power.Stop(ctx, machine, force)
	case cimi.ActionPause:
		if h, ok := p.host.(host.Pauser); ok {
			return h.Pause(ctx, machine)
		}
	case cimi.ActionSuspend:
		if h, ok := p.host.(host.Suspender); ok {
			return h.Suspend(ctx, machine)
		}
	}
	return fmt.Errorf("machine %s: %s: %w", machine, action, host.ErrUnsupported)
}

func (p *Provider) powerState(ctx context.Context, machine string) (host.PowerState, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	m, ok := w.machine[machine]
	if !ok {
		return "", notFound("machines/" + machine)
	}
	return m.State, nil
}

// bring brings a new machine into its initial state, by the actions that lead
// there (5.14.2.1).
func (p *Provider) bring(ctx context.Context, machine, state string) error {
	steps := map[string][]string{
		cimi.StateStarted: {cimi.ActionStart}, cimi.StatePaused: {cimi.ActionStart, cimi.ActionPause}, cimi.StateSuspended: {cimi.ActionStart, cimi.ActionSuspend},
	}
	for _, action := range steps[state] {
		if err := p.power(ctx, machine, action, false); err != nil {
			return fmt.Errorf("initialState %s: %w", state, err)
		}
	}
	return nil
}

// powerSystem does so with each machine of a System, recursively (5.13.1.2):
// one nested Job for each. A machine that cannot take part in its state is left
// alone; one that fails does not keep the others from theirs.
func (p *Provider) powerSystem(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Force != nil && a.Action != cimi.ActionStop && a.Action != cimi.ActionRestart {
		return nil, cimi.Errorf(http.StatusBadRequest, "force: means nothing to %s", a.Action)
	}
	groups, err := p.powerOrder(ctx, s, a.Action)
	if err != nil {
		return nil, asError(err)
	}
	return p.async(ctx, a.Action, s.id, func(ctx context.Context, t *task) error {
		var parts []string
		for _, g := range groups {
			for _, m := range g.Machines {
				parts = append(parts, m.ID)
			}
		}
		if err := t.split(parts); err != nil {
			return err
		}
		var failed []error
		ended := 0
		for i, g := range groups {
			for _, m := range g.Machines {
				t.affect(m.ID, "machines/"+m.ID)
				t.affect("", "machines/"+m.ID)
				err := ctx.Err()
				if err == nil {
					err = p.power(ctx, m.ID, a.Action, cimi.BoolValue(a.Force))
				}
				t.endPart(m.ID, err)
				if err != nil {
					failed = append(failed, fmt.Errorf("machine %s: %w", m.Name, err))
				}
				ended++
				t.progress("", int64(ended), int64(len(parts)))
			}
			if i == len(groups)-1 {
				break
			}
			select { // what is next may need what has started
			case <-ctx.Done():
			case <-time.After(g.Delay):
			}
		}
		return errors.Join(failed...)
	})
}

// powerOrder are the machines of a System that an action changes, in the order
// and with the delays of its descriptor (DSP0243 9.7), reversed for what is no
// start. Those that it is only associated with come last.
func (p *Provider) powerOrder(ctx context.Context, s subject, action string) ([]host.StartGroup, error) {
	whole, err := p.host.System(ctx, s.root.ID) // with its descriptor
	if err != nil {
		return nil, err
	}
	var groups []host.StartGroup
	own := map[string]bool{}
	for k := range whole.All() {
		if k.ID != s.system.ID {
			continue
		}
		plan := host.StopPlan
		if action == cimi.ActionStart || action == cimi.ActionRestart {
			plan = host.StartPlan
		}
		if groups, err = plan(whole, k); err != nil {
			return nil, err
		}
		for m := range k.AllMachines() {
			own[m.ID] = true
		}
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	var associated []*host.Machine
	for _, m := range w.machinesOf(s.system) {
		if !own[m.ID] {
			associated = append(associated, m.Machine)
		}
	}
	if len(associated) > 0 {
		groups = append(groups, host.StartGroup{Machines: associated})
	}
	var out []host.StartGroup
	for _, g := range groups {
		g.Machines = slices.DeleteFunc(slices.Clone(g.Machines), func(m *host.Machine) bool {
			now, there := w.machine[m.ID]
			return !there || !takesPart(action, now.State)
		})
		if len(g.Machines) > 0 {
			out = append(out, g)
		}
	}
	return out, nil
}

// takesPart: the states in which an action changes a machine.
func takesPart(action string, state host.PowerState) bool {
	switch action {
	case cimi.ActionStart:
		return state == host.Stopped || state == host.Paused || state == host.Suspended
	case cimi.ActionStop:
		return state != host.Stopped
	case cimi.ActionRestart:
		return state == host.Started || state == host.Stopped
	}
	return state == host.Started
}

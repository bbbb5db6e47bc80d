package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// subject is a resource that an operation is about.
type subject struct {
	held
	id   string
	kind string
	r    cimi.Resource // as it is shown
}

// act is an operation beyond the uniform ones. One table says of which kinds
// it is, when it is offered and what it does, so that what is shown and what
// is taken are the same.
type act struct {
	rel string
	on  []string // kinds
	// place is what the href adds to the resource's own id.
	place string
	// can tells whether this cloud has the operation at all: for metadata.
	can func(p *Provider) bool
	// offered tells whether it is available now; nil is always.
	offered func(p *Provider, w *world, s subject) bool
	// run does it; nil where GET does.
	run func(p *Provider, ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error)
}

func actTable() []act {
	powered := func(p *Provider) bool { _, ok := p.host.(host.Power); return ok }
	pausing := func(p *Provider) bool { _, ok := p.host.(host.Pauser); return ok }
	suspending := func(p *Provider) bool { _, ok := p.host.(host.Suspender); return ok }
	making := func(p *Provider) bool { return p.maker() != nil }
	always := func(*Provider) bool { return true }
	live := func(p *Provider) bool { return p.host.Capabilities().Live }
	patching := func(p *Provider) bool { _, ok := p.host.(host.Patcher); return ok }
	patchable := func(p *Provider, w *world, s subject) bool {
		k, ok := p.host.(host.Patcher)
		return ok && k.Patches(s.disk) && p.volumeIdle(w, s)
	}
	outermost := func(_ *Provider, _ *world, s subject) bool { return s.parent == nil }
	in := func(states ...string) func(*Provider, *world, subject) bool {
		return func(_ *Provider, _ *world, s subject) bool { return slices.Contains(states, stateOf(s.r)) }
	}
	idle := in(cimi.StateStopped)
	power := func(rel string, can func(*Provider) bool, states ...string) act {
		return act{rel: rel, on: []string{"machines"}, can: can, offered: in(states...), run: (*Provider).powerMachine}
	}
	// Not all machines of a System need be in the same state (5.13.1.2): it is
	// enough that one of them can take part.
	system := func(rel string, can func(*Provider) bool, states ...string) act {
		return act{rel: rel, on: []string{"systems"}, can: can, run: (*Provider).powerSystem,
			offered: func(p *Provider, w *world, s subject) bool {
				return slices.ContainsFunc(w.machinesOf(s.system), func(m machineAt) bool {
					return slices.Contains(states, string(m.State)) && p.passing.of("machines/"+m.ID) == ""
				})
			}}
	}
	switched := []string{"networks", "segments", "networkServices", "networkPorts"}
	able := []string{"endpoints", "interfaces"}
	return []act{
		power(cimi.ActionStart, powered, cimi.StateStopped, cimi.StatePaused, cimi.StateSuspended),
		power(cimi.ActionStop, powered, cimi.StateStarted, cimi.StatePaused, cimi.StateSuspended, cimi.StateStopping, cimi.StateFailed),
		power(cimi.ActionRestart, powered, cimi.StateStarted, cimi.StateStopped),
		power(cimi.ActionPause, pausing, cimi.StateStarted),
		power(cimi.ActionSuspend, suspending, cimi.StateStarted),
		system(cimi.ActionStart, powered, cimi.StateStopped, cimi.StatePaused, cimi.StateSuspended),
		system(cimi.ActionStop, powered, cimi.StateStarted, cimi.StatePaused, cimi.StateSuspended, cimi.StateFailed),
		system(cimi.ActionRestart, powered, cimi.StateStarted, cimi.StateStopped),
		system(cimi.ActionPause, pausing, cimi.StateStarted),
		system(cimi.ActionSuspend, suspending, cimi.StateStarted),
		{rel: cimi.ActionExport, on: []string{"systems"}, can: always, run: (*Provider).exportSystem,
			offered: func(_ *Provider, w *world, s subject) bool {
				return s.parent == nil && allStopped(w.machinesOf(s.system))
			}},
		{rel: cimi.RelExportLive, on: []string{"systems"}, can: live, offered: outermost, run: (*Provider).exportLive},
		{rel: cimi.RelBlocks, on: []string{"volumes"}, place: "/blocks", can: always, offered: (*Provider).volumeIdle},
		{rel: cimi.RelDelta, on: []string{"volumes"}, can: patching, offered: patchable, run: (*Provider).writeDelta},
		{rel: cimi.RelProve, on: []string{"volumes"}, can: patching, offered: patchable, run: (*Provider).proveDelta},
		{rel: cimi.ActionExport, on: []string{"systemTemplates"}, can: always, run: (*Provider).exportTemplate},
		{rel: cimi.ActionCapture, on: []string{"machines"}, place: "/capture", can: making, offered: idle, run: (*Provider).captureMachine},
		{rel: cimi.ActionSnapshot, on: []string{"machines"}, place: "/snapshot", can: making, offered: idle, run: (*Provider).snapshotMachine},
		{rel: cimi.ActionRestore, on: []string{"machines"}, can: making, offered: idle, run: (*Provider).restoreMachine},
		{rel: cimi.ActionConnectVolume, on: []string{"machines"}, can: making, offered: idle, run: (*Provider).connectVolume},
		{rel: cimi.ActionSnapshot, on: []string{"volumes"}, place: "/snapshot", can: making, offered: (*Provider).volumeIdle, run: (*Provider).snapshotVolume},
		{rel: cimi.ActionRestore, on: []string{"volumes"}, can: making, offered: (*Provider).volumeIdle, run: (*Provider).restoreVolume},
		{rel: cimi.ActionStart, on: switched, can: always, offered: in(cimi.StateStopped), run: (*Provider).switchState},
		{rel: cimi.ActionStop, on: switched, can: always, offered: in(cimi.StateStarted), run: (*Provider).switchState},
		{rel: cimi.ActionEnable, on: able, can: always, offered: in(cimi.StateDisabled), run: (*Provider).switchState},
		{rel: cimi.ActionDisable, on: able, can: always, offered: in(cimi.StateEnabled), run: (*Provider).switchState},
		{rel: cimi.ActionStart, on: []string{"meters"}, can: always, offered: meterRuns(false), run: (*Provider).startMeter},
		{rel: cimi.ActionStop, on: []string{"meters"}, can: always, offered: meterRuns(true), run: (*Provider).stopMeter},
		{rel: cimi.ActionStop, on: []string{"jobs"}, can: always, offered: in(cimi.JobRunning, cimi.JobQueued), run: (*Provider).stopJob},
		{rel: cimi.ActionAddRM, on: []string{"services"}, can: making, offered: isRecovery, run: (*Provider).addRecoverable},
		{rel: cimi.ActionRemoveRM, on: []string{"services"}, can: making, offered: isRecovery, run: (*Provider).removeRecoverable},
		{rel: cimi.ActionForceSync, on: []string{"services"}, can: making, offered: isReliability, run: (*Provider).forceSync},
		{rel: cimi.ActionSwapBackup, on: []string{"services"}, can: making, offered: isReliability, run: (*Provider).swapBackup},
	}
}

func stateOf(r cimi.Resource) string {
	s, _ := cimi.Value(r, "state").(string)
	return s
}

func allStopped(ms []machineAt) bool {
	return !slices.ContainsFunc(ms, func(m machineAt) bool { return m.State != host.Stopped })
}

// operations are those that a resource offers now (4.2).
func (p *Provider) operations(w *world, s subject) []cimi.Operation {
	var out []cimi.Operation
	if p.editable(s) {
		out = append(out, operation(cimi.RelEdit, s.id))
	}
	if p.deletable(w, s) == nil {
		out = append(out, operation(cimi.RelDelete, s.id))
	}
	for _, a := range p.acts {
		if slices.Contains(a.on, s.kind) && a.can(p) && (a.offered == nil || a.offered(p, w, s)) {
			out = append(out, operation(a.rel, s.id+a.place))
		}
	}
	return out
}

// editable: a resource that is at rest, and that is no record.
func (p *Provider) editable(s subject) bool {
	switch s.kind {
	case "samples", "events":
		return false
	case "resourceMetadata":
		return strings.Contains(s.id, "/own-")
	}
	switch stateOf(s.r) {
	case cimi.StateCreating, cimi.StateDeleting:
		return false
	}
	return true
}

// Invoke runs an operation of a resource or collection (4.2.1.5).
func (p *Provider) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	id = plainID(id)
	if unknown := unknownAttributes(a); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes: %s", strings.Join(unknown, ", "))
	}
	acc, err := p.invoke(ctx, id, a)
	return acc, asError(err)
}

func (p *Provider) invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	kind, rest, _ := strings.Cut(id, "/")
	key, place, _ := strings.Cut(rest, "/")
	if key == "" || kindByID[kind].item == "" || memberOrTop(id) {
		return p.invokeCollection(ctx, id, a)
	}
	resource := kind + "/" + key
	if place != "" {
		place = "/" + place
	}
	s, w, done, err := p.subjectOf(ctx, resource)
	if err != nil {
		return nil, err
	}
	// What is asked of a host's resource is judged in the world it was looked
	// at in, and done after.
	var found, able *act
	for i, x := range p.acts {
		if x.rel != a.Action || !slices.Contains(x.on, kind) || place != "" && place != x.place {
			continue
		}
		if found = &p.acts[i]; x.can(p) && (x.offered == nil || x.offered(p, w, s)) {
			able = found
		}
	}
	done()
	switch {
	case found == nil:
		return nil, cimi.Errorf(http.StatusBadRequest, "a %s has no operation %.120q", s.r.TypeName(), a.Action)
	case !found.can(p):
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "this cloud does not offer %s of a %s", a.Action, s.r.TypeName())
	case found.run == nil:
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s of a %s is read with GET", a.Action, s.r.TypeName())
	case able == nil:
		return nil, cimi.Errorf(http.StatusConflict, "%s: %s is not available now (state %s)", resource, a.Action, stateOf(s.r))
	}
	return able.run(p, ctx, s, a)
}

// memberOrTop tells whether an id names a collection.
func memberOrTop(id string) bool {
	if _, ok := kindByID[id]; ok {
		return true
	}
	i := strings.LastIndexByte(id, '/')
	if i < 0 {
		return false
	}
	_, ok := memberItem(id[:i], id[i+1:])
	return ok && strings.Count(id, "/") == 2
}

// subjectOf reads a resource to be operated on; done ends the look at the world.
func (p *Provider) subjectOf(ctx context.Context, id string) (s subject, w *world, done func(), err error) {
	w, done, err = p.look(ctx)
	if err != nil {
		return s, nil, nil, err
	}
	kind, key, _ := strings.Cut(id, "/")
	s.id, s.kind = id, kind
	if s.r, err = p.readIn(ctx, w, id); err != nil || s.r == nil {
		done()
		return s, nil, nil, orNotFound(err, id)
	}
	s.held, _ = w.find(kind, key)
	return s, w, done, nil
}

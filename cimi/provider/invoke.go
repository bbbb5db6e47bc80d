package provider

import (
	"context"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// Invoke runs an operation of a resource or collection (4.2.1.5).
func (p *Provider) Invoke(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	id = plainID(id)
	if unknown := cimi.UnknownAttributes(a, ourExtension); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes: %s", strings.Join(unknown, ", "))
	}
	verb := a.Action[strings.LastIndexByte(a.Action, '/')+1:]
	kind, key, _ := strings.Cut(id, "/")
	switch {
	case verb == "import" && (id == "systems" || id == "systemTemplates"):
		r, err := parseImport(a)
		if err != nil {
			return nil, err
		}
		open, err := p.openSource(a.Source, r)
		if err != nil {
			return nil, err
		}
		if id == "systems" {
			return p.importSystem(ctx, open, r)
		}
		return p.importTemplate(ctx, open, r)
	case verb == "stop" && kind == "jobs":
		t := p.jobs.get(id)
		if t == nil {
			return nil, notFound(id)
		}
		if err := p.jobs.stop(ctx, t); err != nil {
			return nil, asError(err)
		}
		return &cimi.Accepted{Done: true, Job: id}, nil
	}
	w, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	if verb == "export" && kind == "systems" {
		s, ok := w.system[key]
		if !ok {
			return nil, notFound(id)
		}
		return p.exportSystem(ctx, s, a)
	}
	if power, ok := p.host.(host.Power); ok && (kind == "systems" || kind == "machines") && (verb == "start" || verb == "stop") {
		return p.power(ctx, w, power, kind, key, verb, a)
	}
	if r, err := p.read(ctx, id); err != nil || r == nil {
		if _, _, err := p.entries(ctx, id); err != nil {
			return nil, asError(err)
		}
	}
	return nil, cimi.Errorf(http.StatusBadRequest, "%s does not offer the operation %.120q", id, a.Action)
}

// power starts or stops a Machine, or the Machines of a System, those within
// nested Systems included (5.13.1.2).
func (p *Provider) power(ctx context.Context, w *world, power host.Power, kind, key, verb string, a *cimi.Action) (*cimi.Accepted, error) {
	var machines []*host.Machine
	if kind == "machines" {
		if m, ok := w.machine[key]; ok {
			machines = append(machines, m.Machine)
		}
	} else if s, ok := w.system[key]; ok {
		for m := range s.AllMachines() {
			machines = append(machines, m)
		}
	}
	if len(machines) == 0 {
		return nil, notFound(kind + "/" + key)
	}
	t, err := p.jobs.start(ctx, a.Action, kind+"/"+key, func(ctx context.Context, t *task) error {
		for i, m := range machines {
			var err error
			if verb == "start" {
				err = power.Start(ctx, m.ID)
			} else {
				err = power.Stop(ctx, m.ID, cimi.BoolValue(a.Force))
			}
			if err != nil {
				return err
			}
			t.affect("", "machines/"+m.ID)
			t.progress("", int64(i+1), int64(len(machines)))
		}
		return nil
	})
	if err != nil {
		return nil, asError(err)
	}
	return &cimi.Accepted{Job: t.job.ID}, nil
}

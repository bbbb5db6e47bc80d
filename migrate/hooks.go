package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/migrate/hook"
	"github.com/cimimove/cimimove/migrate/journal"
	"github.com/cimimove/cimimove/ovf"
)

// around are the steps whose hooks run with a step of the saga: import is
// part of the transfer, as the destination pulls.
func around(when string, s Step) []Step {
	switch {
	case s != StepTransfer:
		return []Step{s}
	case when == "before":
		return []Step{StepTransfer, StepImport}
	}
	return []Step{StepImport, StepTransfer}
}

// runHooks runs the hooks before or after a step, each once: those that the
// journal knows to have ended are not run again. One that was running when the
// process died is.
func (r *run) runHooks(ctx context.Context, when string, s Step) error {
	for _, step := range around(when, s) {
		for i, h := range r.hooks {
			if h.On != when+" "+string(step) {
				continue
			}
			if err := r.hook(ctx, h, Step(fmt.Sprintf("hook %d, %s", i+1, h.On)), step); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) hook(ctx context.Context, h hook.Hook, name, step Step) error {
	if r.done(name) || r.steps[name] != nil && r.steps[name].State == journal.Broken && h.Continue {
		return nil
	}
	if err := r.begin(ctx, name, nil, nil); err != nil {
		return err
	}
	doc, err := r.document(h.On)
	if err != nil {
		return err
	}
	r.feed.emit(Event{Run: r.id, System: r.System, Phase: string(name)})
	err = r.timed(name, func() error { return h.Do(ctx, doc, r.environment(h.On)...) })
	if err == nil {
		return r.end(ctx, name, journal.Ended, nil)
	}
	if ctx.Err() != nil {
		return &Error{Step: step, Object: r.System, Class: ClassInterrupt, Err: context.Cause(ctx)}
	}
	if endErr := r.end(ctx, name, journal.Broken, nil); endErr != nil {
		return also(err, endErr)
	}
	if h.Continue {
		r.findings = append(r.findings, ovf.Finding{ID: RuleHook, Severity: ovf.Warning, Object: r.System, Message: err.Error()})
		return nil
	}
	return &Error{Step: step, Object: r.System, Class: ClassOther, Err: err}
}

// document is what hooks get: the plan, and how far the run is.
func (r *run) document(on string) ([]byte, error) {
	doc := map[string]json.RawMessage{}
	if len(r.PlanDoc) > 0 {
		if err := json.Unmarshal(r.PlanDoc, &doc); err != nil {
			return nil, err
		}
	}
	var in importNotes
	if err := r.notes(StepImport, &in); err != nil {
		return nil, err
	}
	for k, v := range map[string]string{"run": r.id, "hook": on, "destinationId": in.System} {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		doc[k] = b
	}
	return json.Marshal(doc)
}

// environment is the same for scripts without a JSON parser.
func (r *run) environment(on string) []string {
	var machines []string
	for _, m := range r.Shape.Machines {
		machines = append(machines, m.Name)
	}
	return []string{"CIMIMOVE_HOOK=" + on, "CIMIMOVE_RUN=" + r.id, "CIMIMOVE_SYSTEM=" + r.System, "CIMIMOVE_NAME=" + r.Name,
		"CIMIMOVE_FROM=" + r.src.Name, "CIMIMOVE_TO=" + r.dst.Name, "CIMIMOVE_MACHINES=" + strings.Join(machines, "\n")}
}

// hookNames are what the journal keeps of hooks: their commands and URLs may
// hold secrets and are given again when a run is resumed.
func hookNames(hooks []hook.Hook) []string {
	var out []string
	for _, h := range hooks {
		out = append(out, h.String())
	}
	return out
}

// sameHooks refuses to go on without the hooks that something began with.
func sameHooks(what string, began []string, given []hook.Hook) error {
	if names := hookNames(given); !slices.Equal(names, began) {
		return &Error{Class: ClassUsage, Object: what, Err: errors.New("it has the hooks " + list(began) + "; given are " + list(names) + ": they are not kept, as they may hold secrets"),
			Advice: "give the same --hook and --hooks again"}
	}
	return nil
}

package systemtemplate

import (
	"fmt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// ToEnvelope makes the descriptor of a SystemTemplate. Where the template
// keeps its descriptor, that one comes back: byte for byte when nothing was
// edited, else with edits only where the template differs from the View of it.
// A template native to CIMI gets a new descriptor (see Build). opts must be
// those of FromEnvelope. Errors: *ovf.DescriptorError for the kept descriptor,
// *RefusedError for what OVF cannot say.
func ToEnvelope(t *cimi.SystemTemplate, opts Options) (*ovf.Envelope, []ovf.Finding, error) {
	kept, err := descriptorOf(t)
	if err != nil {
		return nil, nil, invalid(t, err)
	}
	want, findings, err := Parse(t)
	if err != nil {
		return nil, nil, err
	}
	if kept == nil {
		env, more, err := Build(want, opts)
		return env, append(findings, more...), err
	}
	env, err := ovf.Parse(kept)
	if err != nil {
		return nil, nil, fmt.Errorf("system template %q: the kept descriptor: %w", t.Name, err)
	}
	env, more, err := Rewrite(env, want, opts)
	return env, append(findings, more...), err
}

// Rewrite compares a System with the View of its kept descriptor and edits
// what differs, in a copy. Resources are matched by OVFID: one without is
// appended, and of an id that no resource has the element is removed, with
// its Startup item and the Disks and Files that nothing uses any more. An edit
// goes to the Item that supplies the value (DSP0243 9.8). Startup, ranges and
// properties that want leaves out stay as they are.
func Rewrite(env *ovf.Envelope, want *View, opts Options) (*ovf.Envelope, []ovf.Finding, error) {
	if opts.Configuration == "" {
		opts.Configuration = want.Configuration
	}
	// Values of properties are edits; they are no part of what is kept.
	opts.Properties = nil
	out := env.Clone()
	base, _, err := Read(out, opts)
	if err != nil {
		return nil, nil, err
	}
	if _, ok := out.Content(); !ok && (len(want.System.Children) > 0 || want.System.Name != "" || want.System.Description != "") {
		return nil, nil, &ovf.DescriptorError{Object: "Envelope", Offset: -1, Clause: "7.2",
			Message: "the kept descriptor has neither VirtualSystem nor VirtualSystemCollection: there is nothing to edit"}
	}
	e := newEditor(out, base, opts)
	if err := e.rewrite(want); err != nil {
		return nil, nil, err
	}
	if err := e.settle(want); err != nil {
		return nil, nil, err
	}
	if out.Edited() && opts.Signed {
		e.findings.add(SignatureVoid, "descriptor", "")
	}
	return out, e.findings.list, nil
}

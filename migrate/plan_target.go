package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// target is what a plan knows of the destination.
type target struct {
	entry    *cimi.CloudEntryPoint
	metadata map[string]*cimi.ResourceMetadata // by type; empty where it tells nothing
}

// readTarget reads what the destination says of itself.
func readTarget(ctx context.Context, e Endpoint) (target, error) {
	t := target{metadata: map[string]*cimi.ResourceMetadata{}}
	var err error
	if t.entry, err = e.Provider.EntryPoint(ctx); err != nil {
		return t, err
	}
	all, err := listIfThere(ctx, e.Provider, cimi.HrefOf(t.entry.Metadata))
	if err != nil {
		return t, err
	}
	for _, r := range all {
		if m, ok := r.(*cimi.ResourceMetadata); ok {
			name := m.TypeURI[strings.LastIndexByte(m.TypeURI, '/')+1:]
			t.metadata[name] = m
		}
	}
	return t, nil
}

// extension tells whether resources of a type have an attribute of this
// project: only what metadata lists may be sent (5.3).
func (t target) extension(typeName, attribute string) bool {
	m := t.metadata[typeName]
	return m != nil && slices.ContainsFunc(m.Attributes, func(a cimi.AttributeMetadata) bool {
		return a.Name == attribute && a.Namespace == cimi.ExtensionNamespace
	})
}

func (t target) keepsDescriptor() bool { return t.extension("System", cimi.OVFDescriptor) }

// freeBytes is the space left for disks; not ok where the cloud does not tell.
func (t target) freeBytes() (int64, bool) {
	if t.entry == nil {
		return 0, false
	}
	v := t.entry.ExtraValue(cimi.FreeCapacity)
	if v == nil {
		return 0, false
	}
	var kilobytes int64
	if _, err := fmt.Sscan(fmt.Sprint(v), &kilobytes); err != nil || kilobytes < 0 {
		return 0, false
	}
	return kilobytes * 1000, true
}

// Space is what the disks need at the destination, in bytes. Free is -1 where
// the cloud does not tell.
type Space struct {
	Capacity int64 `json:"capacityBytes"`
	// Populated is how much of it is known to hold content.
	Populated int64 `json:"populatedBytes,omitempty"`
	Free      int64 `json:"freeBytes"`
}

// planSpace looks whether the disks fit. Disks are thin: only what is known to
// hold content is certain not to fit.
func (p *Plan) planSpace(context.Context, *cimi.System) error {
	s := Space{Capacity: p.Bytes, Free: -1}
	for _, d := range p.Disks {
		s.Populated += d.PopulatedBytes
	}
	if free, ok := p.target.freeBytes(); ok {
		s.Free = free
		switch {
		case s.Populated > free:
			p.find(RuleSpace, ovf.Error, p.opts.Destination.Name, fmt.Sprintf("the disks hold at least %d bytes, %d are free", s.Populated, free), "")
		case s.Capacity > free:
			p.find(RuleSpace, ovf.Warning, p.opts.Destination.Name, fmt.Sprintf("the disks are thin and have %d bytes at most, %d are free", s.Capacity, free), "")
		}
	}
	p.Space = s
	return nil
}

// planLimits compares with the ranges that the destination's ResourceMetadata
// gives (5.5.14): its limits and quotas.
func (p *Plan) planLimits(context.Context, *cimi.System) error {
	for _, m := range p.Machines {
		p.within("Machine", "cpu", "machine "+m.Name, m.CPU)
		p.within("Machine", "memory", "machine "+m.Name, m.MemoryKiB)
	}
	for _, d := range p.shape.Disks {
		if d.Kept {
			continue
		}
		p.within("Volume", "capacity", "disk "+d.Name, d.Capacity)
	}
	return nil
}

func (p *Plan) within(typeName, attribute, object string, value int64) {
	m := p.target.metadata[typeName]
	if m == nil || value == 0 {
		return
	}
	for _, scopes := range m.VScope {
		s, ok := scopes[attribute]
		if !ok {
			continue
		}
		switch {
		case s.Maximum != nil && value > *s.Maximum:
			p.find(RuleQuota, ovf.Error, object, fmt.Sprintf("%s is %d, the destination allows at most %d", attribute, value, *s.Maximum), "")
		case s.Minimum != nil && value < *s.Minimum:
			p.find(RuleQuota, ovf.Error, object, fmt.Sprintf("%s is %d, the destination allows no less than %d", attribute, value, *s.Minimum), "")
		}
	}
}

// maxName bounds the name of a System: longer ones are cut by clouds.
const maxName = 255

// cut is a name as clouds take it.
func cut(name string) string {
	if len(name) <= maxName {
		return name
	}
	name = name[:maxName]
	for !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	return name
}

// planNameForm refuses names that no cloud takes.
func (p *Plan) planNameForm(context.Context, *cimi.System) error {
	var why error
	switch {
	case strings.TrimSpace(p.Name) == "":
		why = errors.New("is empty")
	case len(p.Name) > maxName:
		why = fmt.Errorf("has %d bytes, at most %d are taken", len(p.Name), maxName)
	case strings.ContainsFunc(p.Name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		why = errors.New("has control characters")
	}
	if why != nil {
		p.find(RuleName, ovf.Error, fmt.Sprintf("name %.40q", p.Name), why.Error(), "--name NAME gives another")
	}
	return nil
}

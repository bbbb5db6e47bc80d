// Package edit changes descriptors as people ask for it: names, networks,
// values of properties, the configuration, processors and memory, controllers,
// MAC addresses, files. The descriptor differs afterwards only where it was
// edited; Diff shows where.
package edit

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/cimimove/cimimove/ovf"
)

// MACPolicy says what becomes of MAC addresses.
type MACPolicy string

const (
	KeepMAC       MACPolicy = "keep"       // the default; duplicates are findings
	RegenerateMAC MACPolicy = "regenerate" // a new locally administered address for each adapter
	StripMAC      MACPolicy = "strip"      // the platform gives one
)

// Rules of findings.
const (
	RuleMAC        = "EDIT-MAC-001"  // two adapters have one address
	RuleCores      = "EDIT-CPU-001"  // cores per socket do not fit the number of processors
	RuleRange      = "EDIT-HW-001"   // a quantity leaves its range
	RuleController = "EDIT-CTL-001"  // a drive gets another address
	RuleFile       = "EDIT-FILE-001" // a removed file takes its disk and devices along
)

// Options of Apply; the zero value changes nothing.
type Options struct {
	// Name of the outermost content.
	Name string
	// Networks renames networks; "*" stands for all that are not named.
	Networks map[string]string
	// Properties sets values, by key as in the environment (class.key.instance)
	// or by plain key where that is unique.
	Properties map[string]string
	// Configuration is picked: its Items and values stay, the others go.
	Configuration string
	// CPUs and MemoryBytes of every virtual system; 0 leaves them.
	CPUs        int
	MemoryBytes int64
	// Controllers turns controllers of one bus into those of another: ide, scsi,
	// sata, nvme.
	Controllers map[string]string
	// MAC policy; empty is KeepMAC. Random is where new addresses come from; nil
	// is crypto/rand.
	MAC    MACPolicy
	Random io.Reader
	// Add are new entries of References; Remove names files by id or href.
	Add    []ovf.File
	Remove []string
}

// Apply edits env in place. The findings tell what comes along with an edit;
// the error, mostly an *ovf.DescriptorError, names what cannot be done, and env
// is then half edited: work on a Clone.
func Apply(env *ovf.Envelope, opts Options) ([]ovf.Finding, error) {
	e := &editor{env: env, opts: opts}
	for _, step := range []func() error{e.configuration, e.name, e.networks, e.properties, e.processors, e.memory, e.controllers, e.addresses, e.files} {
		if err := step(); err != nil {
			return e.findings, err
		}
	}
	return e.findings, nil
}

type editor struct {
	env      *ovf.Envelope
	opts     Options
	findings []ovf.Finding
}

func (e *editor) find(id, object, format string, args ...any) {
	e.findings = append(e.findings, ovf.Finding{ID: id, Severity: ovf.Warning, Object: object, Message: fmt.Sprintf(format, args...)})
}

func refuse(object, format string, args ...any) error {
	return &ovf.DescriptorError{Object: object, Offset: -1, Message: fmt.Sprintf(format, args...)}
}

// sections are all hardware sections.
func (e *editor) sections(visit func(c ovf.Content, h ovf.VirtualHardware) error) error {
	for _, c := range e.env.VirtualSystems() {
		for _, h := range c.Hardware() {
			if err := visit(c, h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *editor) name() error {
	if e.opts.Name == "" {
		return nil
	}
	c, ok := e.env.Content()
	if !ok {
		return refuse("name", "the package has no content to be named")
	}
	return c.SetName(e.opts.Name)
}

func (e *editor) networks() error {
	to := maps.Clone(e.opts.Networks)
	other, all := to["*"]
	delete(to, "*")
	for _, from := range slices.Sorted(maps.Keys(to)) {
		if _, ok := e.env.Network(from); !ok {
			var names []string
			for _, n := range e.env.Networks() {
				names = append(names, n.Name)
			}
			return refuse("network "+from, "the package has no such network; it has %q", names)
		}
	}
	if all {
		for _, n := range e.env.Networks() {
			if _, named := to[n.Name]; !named {
				to[n.Name] = other
			}
		}
	}
	// By way of names that nothing has, so that two networks can swap theirs.
	from := slices.Sorted(maps.Keys(to))
	for i, name := range from {
		if err := e.env.RenameNetwork(name, fmt.Sprintf("cimimove-renamed-%d", i)); err != nil {
			return err
		}
	}
	for i, name := range from {
		if err := e.env.RenameNetwork(fmt.Sprintf("cimimove-renamed-%d", i), to[name]); err != nil {
			return err
		}
	}
	return nil
}

func (e *editor) configuration() error {
	if e.opts.Configuration == "" {
		return nil
	}
	id, err := e.env.Configuration(e.opts.Configuration)
	if err != nil {
		return err
	}
	err = e.sections(func(_ ovf.Content, h ovf.VirtualHardware) error { return pick(h, id) })
	if err != nil {
		return err
	}
	for c := range e.env.Contents() {
		for _, p := range c.Properties() {
			if v := p.ValueIn(id); v != p.Value {
				p.SetAttr("value", v)
			}
			for _, v := range p.Values {
				v.Remove()
			}
		}
	}
	for _, s := range e.env.Sections() {
		if s.Kind == "DeploymentOptionSection" {
			s.Remove()
		}
	}
	return nil
}

// pick leaves the Items of one configuration, those with one InstanceID combined.
func pick(h ovf.VirtualHardware, id string) error {
	first := map[string]ovf.Item{}
	for _, it := range h.EffectiveItems(id) {
		first[it.InstanceID] = it
	}
	for _, it := range h.Items() {
		if !it.In(id) {
			it.Remove()
			continue
		}
		it.RemoveAttr("configuration")
		if it.Marker() || it.InstanceID == "" {
			continue
		}
		combined := first[it.InstanceID]
		if !combined.Same(it.Element) {
			it.Remove()
			continue
		}
		for _, name := range combined.FieldNames() {
			if all := combined.Fields(name); len(all) == 1 && it.Field(name) != all[0] {
				if err := it.SetField(name, all[0]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

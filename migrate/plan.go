package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// Plan says what a migration would do. It is the document of the plan command.
type Plan struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	// System and ID are the name and id at the source, Name that at the destination.
	System string `json:"system"`
	ID     string `json:"id"`
	Name   string `json:"name"`
	Via    Via    `json:"via"`
	Why    string `json:"why"`
	Verify Verify `json:"verify"`
	// Skip: a System of that name is there, and if-exists says to leave it.
	Skip     bool             `json:"skip,omitempty"`
	Machines []MachineShape   `json:"machines"`
	Disks    []PlannedDisk    `json:"disks"`
	Networks []PlannedNetwork `json:"networks"`
	// Bytes is the capacity of all disks.
	Bytes    int64         `json:"bytes"`
	Findings []ovf.Finding `json:"findings"`

	opts   Options
	shape  *Shape
	before []string // ids of Systems of that name at the destination
}

// PlannedDisk is a disk that will move.
type PlannedDisk struct {
	Name          string `json:"name"`
	ID            string `json:"id,omitempty"` // in the descriptor
	CapacityBytes int64  `json:"capacityBytes"`
	Storage       string `json:"storage,omitempty"`
}

// PlannedNetwork is a network of the System and what it becomes.
type PlannedNetwork struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	// New: it is created with the System.
	New bool `json:"new"`
}

// Findings of a plan.
const (
	RuleNetwork      = "PLAN-NET-001"     // a network's target is not at the destination
	RuleUnmapped     = "PLAN-NET-002"     // a network is created with the System
	RuleUnusedNet    = "PLAN-NET-003"     // a mapping names no network of the System
	RuleExists       = "PLAN-EXISTS-001"  // the name is taken
	RuleWay          = "PLAN-WAY-001"     // the way is not offered
	RuleRelay        = "PLAN-RELAY-001"   // how the destination reaches the relay
	RulePower        = "PLAN-POWER-001"   // machines run
	RuleStart        = "PLAN-START-001"   // machines cannot be started at the destination
	RuleImport       = "PLAN-IMPORT-001"  // the destination offers no import
	RuleExport       = "PLAN-EXPORT-001"  // the source offers no export
	RuleSize         = "DISK-SIZE-001"    // a destination disk is larger, the rest zero
	RuleConfig       = "VERIFY-CONF-001"  // the configuration differs
	RuleVerification = "VERIFY-DISK-001"  // a disk could not be verified
	RuleLeft         = "PLAN-CLEAN-001"   // something could not be removed
	RuleDigest       = "VERIFY-CLOUD-001" // the source cloud's digest is another
)

// NewPlan looks at both clouds and writes nothing. When the migration must be
// refused, the error is an *Error of class 5 and the Plan, where it got so
// far, says why.
func NewPlan(ctx context.Context, o Options) (*Plan, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, &Error{Step: StepPlan, Class: ClassUsage, Err: err}
	}
	s, err := FindSystem(ctx, o.Source, Source, o.System)
	if err != nil {
		return nil, err
	}
	shape, err := readShape(ctx, o.Source.Provider, s)
	if err != nil {
		return nil, at(StepDiscover, Source, s.Name, err)
	}
	p := &Plan{Source: o.Source.Name, Destination: o.Destination.Name, System: s.Name, ID: s.ID, Name: o.Name,
		Verify: o.Verify, Machines: append([]MachineShape{}, shape.Machines...), Disks: []PlannedDisk{}, Networks: []PlannedNetwork{},
		Findings: []ovf.Finding{}, opts: o, shape: shape}
	def(&p.Name, s.Name)
	for _, d := range shape.Disks {
		id := d.OVFID
		def(&id, d.Name)
		p.Disks = append(p.Disks, PlannedDisk{Name: d.Name, ID: d.OVFID, CapacityBytes: d.Capacity * 1000, Storage: lookup(o.Storage, id)})
		p.Bytes += d.Capacity * 1000
	}
	for _, f := range []func(context.Context, *cimi.System) error{p.planWay, p.planName, p.planNetworks, p.planPower} {
		if err := f(ctx, s); err != nil {
			return p, at(StepPlan, "", s.Name, err)
		}
	}
	return p, p.verdict()
}

func (p *Plan) find(rule string, severity ovf.Severity, object, message, hint string) {
	p.Findings = append(p.Findings, ovf.Finding{ID: rule, Severity: severity, Object: object, Message: message, Hint: hint})
}

// verdict refuses when a finding does.
func (p *Plan) verdict() error {
	if p.Skip {
		return nil
	}
	o := p.opts
	var refusing []ovf.Finding
	for _, f := range p.Findings {
		refuses := f.Severity == ovf.Error || f.Severity == ovf.Warning && o.Strict
		if slices.Contains(o.Allow, f.ID) {
			refuses = false
		}
		if refuses || slices.Contains(o.Deny, f.ID) {
			refusing = append(refusing, f)
		}
	}
	if len(refusing) == 0 {
		return nil
	}
	f := refusing[0]
	message := f.Message + " (" + f.ID + ")"
	if n := len(refusing) - 1; n > 0 {
		message += fmt.Sprintf("; and %d more findings", n)
	}
	side := Destination
	if f.ID == RuleExport {
		side = Source
	}
	return refuse(StepPlan, side, f.Object, errors.New(message), f.Hint)
}

// planName decides about Systems of the same name at the destination.
func (p *Plan) planName(ctx context.Context, _ *cimi.System) error {
	o := p.opts
	_, href, err := systemsOf(ctx, o.Destination)
	if errors.Is(err, ErrNoSystems) {
		return nil // planWay has said so
	}
	if err != nil {
		return at(StepPlan, Destination, o.Destination.Name, err)
	}
	for n := 2; ; n++ {
		there, err := byName(ctx, o.Destination, href, p.Name)
		if err != nil {
			return at(StepPlan, Destination, o.Destination.Name, err)
		}
		p.before = nil
		for _, s := range there {
			p.before = append(p.before, s.ID)
		}
		if len(there) == 0 {
			return nil
		}
		switch o.IfExists {
		case ExistsSkip:
			p.Skip = true
			p.find(RuleExists, ovf.Info, p.Name, "is there already; nothing is done", "")
			return nil
		case ExistsReplace:
			p.find(RuleExists, ovf.Warning, p.Name, fmt.Sprintf("is there already (%s) and is deleted when the new one is verified", strings.Join(p.before, ", ")), "")
			return nil
		case ExistsRename:
			base := o.Name
			def(&base, p.System)
			p.Name = fmt.Sprintf("%s-%d", base, n)
		default:
			p.find(RuleExists, ovf.Error, p.Name, fmt.Sprintf("a System of that name is there already: %s", strings.Join(p.before, ", ")),
				"--name NAME gives another, --if-exists skip, replace or rename decides")
			return nil
		}
	}
}

// planNetworks maps the System's networks to the destination's.
func (p *Plan) planNetworks(ctx context.Context, _ *cimi.System) error {
	o := p.opts
	var names []string
	if len(o.Nets) > 0 {
		cep, err := o.Destination.Provider.EntryPoint(ctx)
		if err != nil {
			return at(StepPlan, Destination, o.Destination.Name, err)
		}
		there, err := listAll(ctx, o.Destination.Provider, cimi.HrefOf(cep.Networks))
		if err != nil {
			return at(StepPlan, Destination, o.Destination.Name, err)
		}
		for _, r := range there {
			names = append(names, r.Base().Name, r.Base().ID)
		}
	}
	used := map[string]bool{}
	for _, n := range p.shape.Networks {
		name := n.OVFID
		def(&name, n.Name)
		target := lookup(o.Nets, name)
		if target == "" && n.Name != name {
			target = lookup(o.Nets, n.Name)
		}
		used[name], used[n.Name] = true, true
		switch {
		case target == "":
			p.Networks = append(p.Networks, PlannedNetwork{Name: name, Target: name, New: true})
			p.find(RuleUnmapped, ovf.Info, "network "+name, "is created with the System", "--net "+name+"=TARGET connects it to a network of the destination")
		case !slices.Contains(names, target):
			p.find(RuleNetwork, ovf.Error, "network "+name, fmt.Sprintf("the destination has no network %s", target), candidates(everySecond(names)))
			fallthrough
		default:
			p.Networks = append(p.Networks, PlannedNetwork{Name: name, Target: target})
		}
	}
	for name := range o.Nets {
		if name != "*" && !used[name] {
			p.find(RuleUnusedNet, ovf.Error, "network "+name, "the System has no network of that name", candidates(networkNames(p.Networks)))
		}
	}
	return nil
}

// everySecond leaves the names of a list of names and ids.
func everySecond(s []string) []string {
	var out []string
	for i := 0; i < len(s); i += 2 {
		out = append(out, s[i])
	}
	return out
}

func networkNames(nets []PlannedNetwork) []string {
	var out []string
	for _, n := range nets {
		out = append(out, n.Name)
	}
	return out
}

// planPower looks whether machines run: they are stopped for the export.
func (p *Plan) planPower(_ context.Context, _ *cimi.System) error {
	var running []string
	for _, m := range p.shape.Machines {
		if runs(m.State) {
			running = append(running, m.Name)
		}
	}
	if len(running) > 0 {
		p.find(RulePower, ovf.Warning, p.System, "runs and is stopped for the move: "+strings.Join(running, ", "), "")
	}
	return nil
}

// runs: an absent state means that the cloud does not tell.
func runs(state string) bool {
	switch state {
	case cimi.StateStarted, cimi.StateStarting, cimi.StatePaused, cimi.StateMixed:
		return true
	}
	return false
}

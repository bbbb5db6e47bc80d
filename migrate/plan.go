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
	// Ways are all ways with the reason why each is taken or not.
	Ways []Way `json:"ways"`
	// Stage is where the package waits, on that way.
	Stage  string `json:"stage,omitempty"`
	Verify Verify `json:"verify"`
	// Skip: a System of that name is there, and if-exists says to leave it.
	Skip     bool             `json:"skip,omitempty"`
	Machines []PlannedMachine `json:"machines"`
	Disks    []PlannedDisk    `json:"disks"`
	Networks []PlannedNetwork `json:"networks"`
	// Bytes is the capacity of all disks.
	Bytes int64 `json:"bytes"`
	// Credentials of the System, which do not move.
	Credentials []string          `json:"credentials,omitempty"`
	Properties  []PlannedProperty `json:"properties,omitempty"`
	EULAs       []PlannedEULA     `json:"eulas,omitempty"`
	MAC         string            `json:"mac"`
	Quiesce     Quiesce           `json:"quiesce"`
	SourceAfter SourceAfter       `json:"sourceAfter"`
	Space       Space             `json:"space"`
	// ParallelDisks is how many disks move at the same time.
	ParallelDisks int      `json:"parallelDisks"`
	Estimate      Estimate `json:"estimate"`
	// Warm is there when the disks are copied while the machines run.
	Warm     *WarmPlan     `json:"warm,omitempty"`
	Resume   Resumption    `json:"resume"`
	Findings []ovf.Finding `json:"findings"`

	opts     Options // its Providers refuse every change
	src, dst Endpoint
	shape    *Shape
	env      *ovf.Envelope // the descriptor that the source keeps; nil for none
	target   target
	before   []string  // ids of Systems of that name at the destination
	assembly *assembly // on the way by resources
	// refuseEULAs and refuseMissing: the package is deployed for the first time,
	// so nobody has accepted its licences or given its properties yet.
	refuseEULAs, refuseMissing bool
}

// Document is the plan to be shown and not to be started: without what only
// carrying it out needs, so that many can be kept.
func (p *Plan) Document() *Plan {
	d := *p
	d.opts, d.src, d.dst, d.shape, d.env, d.target, d.before, d.assembly = Options{}, Endpoint{}, Endpoint{}, nil, nil, target{}, nil, nil
	return &d
}

// PlannedDisk is a disk that will move.
type PlannedDisk struct {
	Name          string `json:"name"`
	ID            string `json:"id,omitempty"` // in the descriptor
	CapacityBytes int64  `json:"capacityBytes"`
	Storage       string `json:"storage,omitempty"`
	Format        string `json:"format,omitempty"` // URI of the descriptor
	Blank         bool   `json:"blank,omitempty"`  // without content
	// PopulatedBytes is how much is known to hold content.
	PopulatedBytes int64 `json:"populatedBytes,omitempty"`
}

// PlannedNetwork is a network of the System and what it becomes.
type PlannedNetwork struct {
	Name   string `json:"name"`
	Target string `json:"target"`
	// New: it is created with the System.
	New bool `json:"new"`
}

// NewPlan looks at both clouds and writes nothing. When the migration must be
// refused, the error is an *Error of class 5 and the Plan, where it got so
// far, says why.
func NewPlan(ctx context.Context, o Options) (*Plan, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, &Error{Step: StepPlan, Class: ClassUsage, Err: err}
	}
	src, dst := o.Source, o.Destination
	o.Source, o.Destination = readOnly(src), readOnly(dst)
	s, err := FindSystem(ctx, o.Source, Source, o.System)
	if err != nil {
		return nil, err
	}
	shape, err := readShape(ctx, o.Source.Provider, s)
	if err != nil {
		return nil, at(StepDiscover, Source, s.Name, err)
	}
	p := &Plan{Source: o.Source.Name, Destination: o.Destination.Name, System: s.Name, ID: s.ID, Name: o.Name,
		Verify: o.Verify, Machines: []PlannedMachine{}, Disks: []PlannedDisk{}, Networks: []PlannedNetwork{}, Findings: []ovf.Finding{}, Ways: []Way{},
		MAC: o.MAC, Quiesce: o.Quiesce, SourceAfter: o.SourceAfter, opts: o, src: src, dst: dst, shape: shape}
	for _, m := range shape.Machines {
		p.Machines = append(p.Machines, PlannedMachine{MachineShape: m})
	}
	def(&p.Name, s.Name)
	for _, d := range shape.Disks {
		id := d.OVFID
		def(&id, d.Name)
		p.Disks = append(p.Disks, PlannedDisk{Name: d.Name, ID: d.OVFID, CapacityBytes: d.Capacity * 1000, Storage: lookup(o.Storage, id)})
		p.Bytes += d.Capacity * 1000
	}
	if p.target, err = readTarget(ctx, o.Destination); err != nil {
		return p, at(StepPlan, Destination, o.Destination.Name, err)
	}
	for _, e := range []Endpoint{src, dst} {
		if e.Insecure {
			p.find(RuleInsecure, ovf.Warning, e.Name, "its certificate is not checked, as was asked for: nothing tells whether it is the one that is meant", "--ca-file or --tls-pin trusts just that one")
		}
	}
	for _, f := range []func(context.Context, *cimi.System) error{
		p.planName, p.planNameForm, p.planNetworks, p.planMAC, p.planTwice, p.planPower, p.planDescriptor, p.planWay, p.planWarm, p.planLosses, p.planCIMI,
		p.planAssembly, p.planConfigurations, p.planLimits, p.planSpace, p.planAfter,
	} {
		if err := f(ctx, s); err != nil {
			return p, at(StepPlan, "", s.Name, err)
		}
	}
	p.planParallel()
	p.planResume()
	p.planEstimate()
	p.planDowntime()
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
	switch f.ID {
	case RuleExport, RulePower, RuleAfter, RuleWarmSource, RuleLocalDisk:
		side = Source
	case RuleProperty, RulePropertyFixed, RulePropertyValue, RulePropertyMissing, RuleDescriptor, RuleConfiguration:
		side = PackageSide
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

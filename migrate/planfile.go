package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/cimimove/cimimove/ovf"
)

// ErrWorldChanged: the clouds are not as they were when the plan was made.
var ErrWorldChanged = errors.New("the plan is out of date")

// SavedPlan is a plan that was agreed on, to be carried out later: what was
// asked for, what would be done, and what that was concluded from. It holds no
// secrets: of property values only the keys.
type SavedPlan struct {
	Version int `json:"version"`
	// Plan is the document as it was shown.
	Plan    json.RawMessage `json:"plan"`
	Options savedOptions    `json:"options"`
	// Facts are what the plan rests on, by name.
	Facts map[string]string `json:"facts"`
}

type savedOptions struct {
	Source        string            `json:"source"`
	Destination   string            `json:"destination"`
	System        string            `json:"system"` // id
	Name          string            `json:"name,omitempty"`
	Nets          map[string]string `json:"nets,omitempty"`
	Storage       map[string]string `json:"storage,omitempty"`
	Controllers   map[string]string `json:"controllers,omitempty"`
	MAC           string            `json:"mac"`
	PropertyKeys  []string          `json:"propertyKeys,omitempty"`
	Configuration string            `json:"configuration,omitempty"`
	Via           Via               `json:"via"`
	Verify        Verify            `json:"verify"`
	IfExists      IfExists          `json:"ifExists"`
	OnFailure     OnFailure         `json:"onFailure"`
	PowerOn       bool              `json:"powerOn,omitempty"`
	Allow         []string          `json:"allow,omitempty"`
	Deny          []string          `json:"deny,omitempty"`
	Strict        bool              `json:"strict,omitempty"`
	AcceptEULAs   bool              `json:"acceptEulas,omitempty"`
	Quiesce       Quiesce           `json:"quiesce"`
	SourceAfter   SourceAfter       `json:"sourceAfter"`
	StopTimeout   time.Duration     `json:"stopTimeout,omitempty"`
	Hooks         []string          `json:"hooks,omitempty"` // their names
	Stage         string            `json:"stage,omitempty"`
	Relay         RelayOptions      `json:"relay"`
	ParallelDisks int               `json:"parallelDisks,omitempty"`
	Warm          bool              `json:"warm,omitempty"`
}

const savedVersion = 1

// Save writes the plan for LoadPlan.
func (p *Plan) Save(w io.Writer) error {
	doc, err := json.Marshal(p)
	if err != nil {
		return err
	}
	o := p.opts
	saved := SavedPlan{Version: savedVersion, Plan: doc, Facts: p.facts(), Options: savedOptions{
		Source: p.Source, Destination: p.Destination, System: p.ID, Name: o.Name, Nets: o.Nets, Storage: o.Storage, Controllers: o.Controllers, MAC: o.MAC,
		PropertyKeys: slices.Sorted(maps.Keys(o.Properties)), Configuration: o.Configuration, Via: o.Via, Verify: o.Verify, IfExists: o.IfExists,
		OnFailure: o.OnFailure, PowerOn: o.PowerOn, Allow: o.Allow, Deny: o.Deny, Strict: o.Strict, AcceptEULAs: o.AcceptEULAs,
		Quiesce: o.Quiesce, SourceAfter: o.SourceAfter, StopTimeout: o.StopTimeout, Hooks: hookNames(o.Hooks), Stage: o.Stage, Relay: o.Relay, ParallelDisks: o.ParallelDisks, Warm: o.Warm}}
	b, err := json.MarshalIndent(saved, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, '\n'))
	return err
}

// maxSavedPlan bounds what LoadPlan reads.
const maxSavedPlan = 64 << 20

// LoadPlan reads what Save has written. What is none is an *Error of class 2.
func LoadPlan(name string, r io.Reader) (*SavedPlan, error) {
	bad := func(err error) error { return &Error{Step: StepPlan, Object: name, Class: ClassUsage, Err: err} }
	b, err := io.ReadAll(io.LimitReader(r, maxSavedPlan+1))
	if err != nil {
		return nil, bad(err)
	}
	if len(b) > maxSavedPlan {
		return nil, bad(fmt.Errorf("more than %d bytes: no plan is that large", maxSavedPlan))
	}
	s := &SavedPlan{}
	if err := json.Unmarshal(b, s); err != nil {
		return nil, bad(fmt.Errorf("not a saved plan: %w", err))
	}
	if s.Version != savedVersion || s.Options.System == "" || s.Facts == nil {
		return nil, bad(fmt.Errorf("not a saved plan of version %d", savedVersion))
	}
	return s, nil
}

// Source and Destination are the endpoints of the plan, for a Dialer.
func (s *SavedPlan) Source() string      { return s.Options.Source }
func (s *SavedPlan) Destination() string { return s.Options.Destination }

// Again plans anew what was saved and refuses, with class 5, when the clouds
// have changed so that the plan would be another. Property values and
// hooks are not in a saved plan and are given again.
func (e *Engine) Again(ctx context.Context, s *SavedPlan, src, dst Endpoint, again ResumeOptions) (*Plan, error) {
	o := s.Options
	if err := sameHooks("the saved plan", o.Hooks, again.Hooks); err != nil {
		return nil, err
	}
	if given := slices.Sorted(maps.Keys(again.Properties)); !slices.Equal(given, o.PropertyKeys) {
		return nil, &Error{Step: StepPlan, Class: ClassUsage, Object: "saved plan",
			Err: fmt.Errorf("it has values of the properties %s, given are %s: values are never saved", list(o.PropertyKeys), list(given)), Advice: "give the same properties with --prop or --props"}
	}
	p, err := e.Plan(ctx, Options{Source: src, Destination: dst, System: o.System, Name: o.Name, Nets: o.Nets, Storage: o.Storage, Controllers: o.Controllers, MAC: o.MAC,
		Properties: again.Properties, Configuration: o.Configuration, Via: o.Via, Verify: o.Verify, IfExists: o.IfExists, OnFailure: o.OnFailure,
		PowerOn: o.PowerOn, Allow: o.Allow, Deny: o.Deny, Strict: o.Strict, AcceptEULAs: o.AcceptEULAs, Quiesce: o.Quiesce,
		SourceAfter: o.SourceAfter, StopTimeout: o.StopTimeout, Hooks: again.Hooks, Stage: o.Stage, Relay: o.Relay, ParallelDisks: o.ParallelDisks, Warm: o.Warm})
	if p == nil {
		return nil, err
	}
	// What has changed explains more than what follows from it.
	if changed := changes(s.Facts, p.facts()); len(changed) > 0 {
		return p, refuse(StepPlan, "", p.System, fmt.Errorf("%w: %s", ErrWorldChanged, strings.Join(changed, "; ")), "look at a new plan, and save it again")
	}
	return p, err
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// facts are what a plan rests on: what is at the source, what is in the way at
// the destination, and what was concluded. Free space, rates and the like
// change all the time and are none.
func (p *Plan) facts() map[string]string {
	f := map[string]string{"system": p.ID, "name": p.Name, "way": string(p.Via), "skip": fmt.Sprint(p.Skip),
		"Systems of that name": strings.Join(p.before, ", ")}
	// A cloud may have several of one name, in any order.
	named := map[string][]string{}
	note := func(name, fact string) { named[name] = append(named[name], fact) }
	for _, m := range p.Machines {
		note("machine "+m.Name, plain(m))
	}
	for _, d := range p.shape.Disks {
		note("disk "+d.Name, plain(d))
	}
	for _, n := range p.Networks {
		note("network "+n.Name, plain(n))
	}
	if p.env != nil {
		sum := sha256.Sum256(p.env.Bytes())
		f["descriptor"] = hex.EncodeToString(sum[:])
	}
	for _, x := range p.Findings {
		if x.Severity != ovf.Info && x.ID != RuleSpace {
			f["finding "+x.ID+" "+x.Object] = string(x.Severity)
		}
	}
	for name, facts := range named {
		slices.Sort(facts)
		f[name] = strings.Join(facts, ", ")
	}
	return f
}

func plain(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("migrate: a fact is plain data: " + err.Error())
	}
	return string(b)
}

// changes lists facts that differ, in order.
func changes(was, is map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(was)) {
		now, ok := is[k]
		switch {
		case !ok:
			out = append(out, k+" is gone")
		case now != was[k]:
			out = append(out, fmt.Sprintf("%s was %s, is %s", k, was[k], now))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(is)) {
		if _, ok := was[k]; !ok {
			out = append(out, k+" is new")
		}
	}
	return out
}

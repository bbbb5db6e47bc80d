package migrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// PlannedEULA is a licence in the package. SHA256 is of its text, so that a
// report says which one was accepted.
type PlannedEULA struct {
	System   string `json:"system"`
	SHA256   string `json:"sha256"`
	Accepted bool   `json:"accepted"`
}

// readDescriptor reads the descriptor that the source keeps of a System
// (extension attribute ovfDescriptor); nil where it keeps none.
func readDescriptor(ctx context.Context, p cimi.Provider, s *cimi.System) (*ovf.Envelope, error) {
	href := s.ExtraString(cimi.OVFDescriptor)
	if href == "" {
		return nil, nil
	}
	content, err := p.Open(ctx, href)
	if cimi.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer content.Close()
	if content.Size() > ova.MaxDescriptor {
		return nil, fmt.Errorf("descriptor of %s: %d bytes, at most %d are read", s.Name, content.Size(), ova.MaxDescriptor)
	}
	b, err := io.ReadAll(io.NewSectionReader(content, 0, ova.MaxDescriptor))
	if err != nil {
		return nil, err
	}
	env, err := ovf.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("descriptor of %s: %w", s.Name, err)
	}
	return env, nil
}

// planDescriptor looks at what only the descriptor tells: properties,
// licences, firmware, controllers and what the destination will not keep.
func (p *Plan) planDescriptor(ctx context.Context, s *cimi.System) error {
	env, err := readDescriptor(ctx, p.opts.Source.Provider, s)
	switch {
	case ctx.Err() != nil:
		return err
	case err != nil:
		p.find(RuleDescriptor, ovf.Warning, s.Name, "its descriptor cannot be read, so properties, licences and devices are not checked: "+err.Error(), "")
	}
	p.env = env
	p.planControllers()
	has, _ := s.ExtraValue(cimi.OVFProperties).(map[string]any)
	p.planProperties(p.valuesOf(has))
	if env == nil {
		return nil
	}
	p.planFormats()
	p.planEULAs()
	p.planHardware()
	return nil
}

// valuesOf are property values as text.
func (p *Plan) valuesOf(has map[string]any) map[string]string {
	out := map[string]string{}
	for k, v := range has {
		out[k] = fmt.Sprint(v)
	}
	return out
}

// planFormats tells what the disks are stored as.
func (p *Plan) planFormats() {
	for i := range p.Disks {
		d, ok := p.env.Disk(p.Disks[i].ID)
		if !ok {
			continue
		}
		p.Disks[i].Format, p.Disks[i].Blank = d.Format, d.Blank()
		if d.PopulatedSize > 0 {
			p.Disks[i].PopulatedBytes = min(d.PopulatedSize, max(p.Disks[i].CapacityBytes, 0))
		}
	}
}

func (p *Plan) planEULAs() {
	for x := range p.env.Contents() {
		for _, e := range x.Eulas() {
			sum := sha256.Sum256([]byte(e.License))
			p.EULAs = append(p.EULAs, PlannedEULA{System: x.ID, SHA256: hex.EncodeToString(sum[:]), Accepted: p.opts.AcceptEULAs})
			severity := ovf.Info
			if !p.opts.AcceptEULAs && p.refuseEULAs {
				severity = ovf.Error
			}
			p.find(systemtemplate.Licence, severity, x.ID, "a licence agreement goes with it, SHA-256 "+hex.EncodeToString(sum[:8]),
				"cimimove inspect --output json shows it; --accept-eulas accepts it")
		}
	}
}

// planLosses lists what the destination keeps neither in the descriptor nor as
// an extension attribute (mapping.md). What is kept is no loss.
func (p *Plan) planLosses(context.Context, *cimi.System) error {
	if p.env == nil {
		return nil
	}
	// Resource by resource no descriptor goes along.
	lacks := systemtemplate.Lacks{Extensions: !p.target.keepsDescriptor() || p.Via == ViaResources}
	_, findings, err := systemtemplate.Read(p.env, systemtemplate.Options{Configuration: p.opts.Configuration, Lacks: lacks})
	if err != nil {
		p.find(RuleDescriptor, ovf.Error, p.System, "its descriptor cannot be deployed: "+err.Error(), "")
		return nil
	}
	for _, f := range findings {
		if f.Severity != ovf.Info && f.ID != systemtemplate.Licence {
			p.Findings = append(p.Findings, f)
		}
	}
	return nil
}

// planCIMI lists what a package cannot carry of a System: its Credentials,
// whose secrets nobody can read, and services (mapping.md, "CIMI to OVF").
func (p *Plan) planCIMI(ctx context.Context, s *cimi.System) error {
	src := p.opts.Source.Provider
	credentials, err := listIfThere(ctx, src, cimi.HrefOf(s.Credentials))
	if err != nil {
		return at(StepPlan, Source, s.Name, err)
	}
	for _, c := range credentials {
		p.Credentials = append(p.Credentials, c.Base().Name)
		p.find(systemtemplate.ResourceDropped, ovf.Warning, "credential "+c.Base().Name, "its secret cannot be read (DSP0263 5.14.9), so it does not move",
			"create it at the destination, and give it to the machines that need it")
	}
	for _, c := range []struct{ kind, href string }{{"network service", cimi.HrefOf(s.NetworkServices)}, {"service", cimi.HrefOf(s.Services)}, {"meter", cimi.HrefOf(s.Meters)}} {
		all, err := listIfThere(ctx, src, c.href)
		if err != nil {
			return at(StepPlan, Source, s.Name, err)
		}
		for _, r := range all {
			p.find(systemtemplate.ResourceDropped, ovf.Warning, strings.TrimSpace(c.kind+" "+r.Base().Name), "a package cannot carry it, so it does not move", "")
		}
	}
	return nil
}

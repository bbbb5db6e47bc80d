package memory

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// maxPackage bounds what an import takes, in bytes.
const maxPackage = 16 << 20

// Invoke runs import on the Systems, export on a System, start and stop on a Machine.
func (p *Provider) Invoke(_ context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.resources[id]
	if r == nil && p.items[id] == "" {
		return nil, notFound(id)
	}
	switch m, _ := r.(*cimi.Machine); {
	case id == "systems" && a.Action == cimi.ActionImport:
		return p.startImport(a)
	case m != nil && a.Action == cimi.ActionStart:
		return p.setState(m, cimi.StateStarted)
	case m != nil && a.Action == cimi.ActionStop:
		return p.setState(m, cimi.StateStopped)
	}
	if s, ok := r.(*cimi.System); ok && a.Action == cimi.ActionExport {
		return p.export(s, a)
	}
	return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s does not offer %s", id, a.Action)
}

func (p *Provider) setState(m *cimi.Machine, state string) (*cimi.Accepted, error) {
	if m.State == state {
		return nil, cimi.Errorf(http.StatusConflict, "%s is %s already", m.ID, state)
	}
	m.State = state
	return &cimi.Accepted{Job: p.job(state, m.ID, m.ID), Done: true}, nil
}

// startImport fetches a package in the background.
func (p *Provider) startImport(a *cimi.Action) (*cimi.Accepted, error) {
	if a.Source == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "source: missing")
	}
	s := &cimi.System{State: cimi.StateCreating}
	id := p.add("systems", s)
	j := &cimi.Job{State: cimi.JobRunning, Action: a.Action, Progress: cimi.Int(0), TargetResource: cimi.RefTo[cimi.Unknown]("systems"),
		AffectedResources: []cimi.Ref[cimi.Unknown]{{Href: "systems"}, {Href: id}}}
	job := p.add("jobs", j)
	p.running.Add(1)
	go func() {
		defer p.running.Done()
		time.Sleep(p.Delay)
		pkg, name, err := fetchPackage(a.Source)
		p.mu.Lock()
		defer p.mu.Unlock()
		j.Progress = cimi.Int(100)
		if err != nil {
			p.remove(id)
			j.AffectedResources = j.AffectedResources[:1]
			j.State, j.StatusMessage, j.ReturnCode = cimi.JobFailed, err.Error(), cimi.Int(cimi.ReturnCode(3))
			j.SetExtra(cimi.OVFFindings, []any{map[string]any{"id": "OVF-PKG-001", "severity": "error"}})
			return
		}
		if v := a.Properties["ovf.name"]; v != "" {
			name = v
		}
		s.Name, s.State = name, cimi.StateStopped
		s.SetExtra(cimi.OVFID, name)
		p.bytes["packages/"+id] = pkg
		machines := id + "/machines"
		p.items[machines] = "Machine"
		s.Machines = cimi.RefTo[cimi.Collection](machines)
		m := p.add("machines", &cimi.Machine{Common: cimi.Common{Name: name, Parent: cimi.RefTo[cimi.Unknown](id)}, State: cimi.StateStopped, CPU: cimi.Int(1), Memory: cimi.Int(1024)})
		p.members[machines] = append(p.members[machines], m)
		j.State = cimi.JobSuccess
	}()
	out := cimi.Clone(s)
	return &cimi.Accepted{Job: job, Location: id, Resource: out}, nil
}

// fetchPackage reads an OVA and gives the name of its descriptor.
func fetchPackage(source string) ([]byte, string, error) {
	resp, err := http.Get(source)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("%s: %s", source, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPackage))
	if err != nil {
		return nil, "", err
	}
	h, err := tar.NewReader(bytes.NewReader(b)).Next()
	if err != nil {
		return nil, "", fmt.Errorf("%s: not an OVA: %w", source, err)
	}
	name, ok := strings.CutSuffix(h.Name, ".ovf")
	if !ok {
		return nil, "", fmt.Errorf("%s: the first member is %s, not a descriptor", source, h.Name)
	}
	return b, name, nil
}

// export gives the package a System came with, under a Location of its own.
func (p *Provider) export(s *cimi.System, a *cimi.Action) (*cimi.Accepted, error) {
	if a.Format != "" && a.Format != "application/ovf" {
		return nil, cimi.Errorf(http.StatusBadRequest, "format: expected application/ovf, got %s", a.Format)
	}
	pkg, ok := p.bytes["packages/"+s.ID]
	if !ok {
		return nil, cimi.Errorf(http.StatusConflict, "%s has no package", s.ID)
	}
	p.next++
	location := fmt.Sprintf("exports/%d.ova", p.next)
	p.bytes[location] = pkg
	p.ready[location] = time.Now().Add(p.Delay)
	job := p.job(a.Action, s.ID, s.ID)
	return &cimi.Accepted{Job: job, Location: location}, nil
}

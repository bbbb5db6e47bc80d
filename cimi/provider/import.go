package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// opener opens the package of an import when its Job runs.
type opener func(ctx context.Context) (ovf.Package, error)

// importSystem is the import action of the Systems (5.13.2.1), answered at
// once: the Job, and the System that is being created.
func (p *Provider) importSystem(ctx context.Context, open opener, r *importRequest) (*cimi.Accepted, error) {
	open = r.rearrange(open)
	key := host.NewID()
	opts := r.options
	opts.ID = key
	s := &cimi.System{State: cimi.StateCreating}
	s.ID, s.Name, s.Parent = "systems/"+key, opts.Name, ref("systems")
	s.Created = now()
	s.Updated = s.Created
	s.Description, s.Properties = r.description, maps.Clone(r.properties)
	if r.run != "" {
		if s.Properties == nil {
			s.Properties = map[string]string{}
		}
		s.Properties[runMark] = r.run
	}
	// The name is shown from the beginning, so that the next one finds it taken.
	s.Name = cmp.Or(s.Name, r.unique)
	p.naming.Lock()
	if err := p.nameFree(ctx, r); err != nil {
		p.naming.Unlock()
		return nil, err
	}
	created := p.passing.create(s)
	p.naming.Unlock()
	started := make(chan struct{})
	t, err := p.jobs.start(ctx, r.action(), "systems", func(ctx context.Context, t *task) error {
		<-started
		defer created()
		// Before the host lists the System: whoever finds it finds the mark.
		over := &cimi.System{}
		over.Properties, over.Description = s.Properties, s.Description
		if !cimi.Empty(over) {
			c := &change{}
			c.overlayQuietly(p, s.ID, over)
			if err := p.commit(c); err != nil {
				return err
			}
		}
		err := p.runImport(ctx, t, open, opts)
		c := &change{}
		if err != nil {
			c.overlay(p, s.ID, nil)
		} else {
			c.modelEvent(p, s, "create", "")
		}
		return errors.Join(err, p.commit(c))
	})
	if err != nil {
		created()
		return nil, err
	}
	acc := &cimi.Accepted{Job: t.job.ID, Location: s.ID, Resource: cimi.Clone(s)}
	close(started)
	return acc, nil
}

// action is that of the Job: a System made from a template is added.
func (r *importRequest) action() string {
	if r.added {
		return cimi.RelAdd
	}
	return cimi.ActionImport
}

func (p *Provider) runImport(ctx context.Context, t *task, open opener, opts host.ImportOptions) (err error) {
	pkg, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pkg.Close()) }()
	if err := t.splitByDisk(pkg); err != nil {
		return err
	}
	opts.Progress = func(d host.DiskProgress) { t.progress(d.Disk, d.Done, d.Total) }
	opts.Finding = t.find
	s, err := p.host.Import(ctx, pkg, opts)
	if err != nil {
		return err
	}
	t.affect("", "systems/"+s.ID)
	for d := range s.AllDisks() {
		t.affect(d.OVFID, "volumes/"+d.ID)
	}
	return nil
}

// splitByDisk makes a nested Job for each disk with content, and sets how much
// each counts.
func (t *task) splitByDisk(pkg ovf.Package) error {
	var parts []string
	for _, d := range pkg.Envelope().Disks() {
		if !d.Blank() {
			parts = append(parts, d.ID)
		}
	}
	if err := t.split(parts); err != nil {
		return err
	}
	for _, d := range pkg.Envelope().Disks() {
		if size, err := d.CapacityBytes(); err == nil && !d.Blank() {
			t.progress(d.ID, 0, size)
		}
	}
	return nil
}

// ImportPackage imports a package in process; see PackageImporter.
func (p *Provider) ImportPackage(ctx context.Context, collection string, pkg ovf.Package, a *cimi.Action) (*cimi.Accepted, error) {
	r, err := parseImport(a)
	if err != nil {
		return nil, errors.Join(err, pkg.Close())
	}
	open := func(context.Context) (ovf.Package, error) { return pkg, nil }
	var acc *cimi.Accepted
	switch plainID(collection) {
	case "systems":
		acc, err = p.importSystem(ctx, open, r)
	case "systemTemplates":
		acc, err = p.importTemplate(ctx, open, r)
	default:
		err = notFound(collection)
	}
	if err != nil {
		return nil, errors.Join(err, pkg.Close())
	}
	return acc, nil
}

// importRequest is an import Action, taken apart. It holds secrets and is
// never stored.
type importRequest struct {
	options               host.ImportOptions
	user, password, token string
	run                   string
	// unique is the name that no other System may have but the besides.
	unique  string
	besides []string
	// properties and description are the new System's; added tells that it is
	// made from a template.
	properties  map[string]string
	description string
	// controllers are the buses that disks change, by the one they come with.
	controllers map[string]string
	added       bool
}

// runMark is a property that an import leaves on the System it makes: the run
// of a migration finds its own by it after a crash (AC-33).
const runMark = "cimimove.run"

// parseImport reads the properties of an import (mapping.md, "Import and
// export"). A property that means nothing is refused.
func parseImport(a *cimi.Action) (*importRequest, error) {
	r := &importRequest{options: host.ImportOptions{Networks: map[string]string{}, Storage: map[string]string{}, Properties: map[string]string{}},
		controllers: map[string]string{}}
	for key, v := range a.Properties {
		switch key {
		case "http.user":
			r.user = v
		case "http.password":
			r.password = v
		case "http.token":
			r.token = v
		case cimi.UniqueName:
			r.unique = v
		case cimi.Besides:
			r.besides = besides(v)
		case "ovf.name":
			r.options.Name = v
		case "ovf.configuration":
			r.options.Configuration = v
		case runMark:
			// What arrives before it breaks off is kept for the run, too.
			r.run, r.options.Resume = v, v
		case cimi.ParallelDisks:
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 {
				return nil, cimi.Errorf(http.StatusBadRequest, "%s: expected a number of disks, got %.40q", key, v)
			}
			r.options.ParallelDisks = n
		case "ovf.mac":
			if v != "keep" && v != "regenerate" && v != "strip" {
				return nil, cimi.Errorf(http.StatusBadRequest, "ovf.mac: expected keep, regenerate or strip, got %.40q", v)
			}
			r.options.MAC = v
		default:
			if !parseMapped(r, key, v) {
				return nil, cimi.Errorf(http.StatusBadRequest, "property %.80q means nothing to an import", key)
			}
		}
	}
	if err := edit.CheckControllers(r.controllers); err != nil {
		return nil, cimi.Errorf(http.StatusBadRequest, "ovf.controller: %w", err)
	}
	return r, nil
}

func parseMapped(r *importRequest, key, v string) bool {
	for prefix, m := range map[string]map[string]string{"ovf.property.": r.options.Properties, "ovf.network.": r.options.Networks,
		"ovf.storage.": r.options.Storage, "ovf.controller.": r.controllers} {
		if name, ok := strings.CutPrefix(key, prefix); ok && name != "" {
			m[name] = v
			return true
		}
	}
	return false
}

func (r *importRequest) authorize(req *http.Request) error {
	switch {
	case r.token != "":
		req.Header.Set("Authorization", "Bearer "+r.token)
	case r.user != "":
		req.SetBasicAuth(r.user, r.password)
	}
	return nil
}

// errSourceRefused: the address or file is none that this cloud may reach.
var errSourceRefused = fmt.Errorf("not allowed here: %w", fetch.ErrRefused)

// Package memory is a small cloud that lives in memory: an honest
// cimi.Provider for tests. What it offers works: collections, templates by
// value and by reference, updates, queries, Jobs, and the import and export of
// packages, which it keeps as they came. It runs nothing and holds no disks.
package memory

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cimimove/cimimove/cimi"
)

// Provider is the cloud. Its methods may be called concurrently.
type Provider struct {
	mu        sync.Mutex
	next      int
	resources map[string]cimi.Resource
	members   map[string][]string // collection id -> ids of its entries, in order
	items     map[string]string   // collection id -> type of its entries
	bytes     map[string][]byte
	ready     map[string]time.Time // when bytes can be read
	running   sync.WaitGroup
	// Delay is how long an import or export takes.
	Delay time.Duration
}

var _ cimi.Provider = (*Provider)(nil)

// top are the collections of the entry point.
func top() map[string]string {
	return map[string]string{
		"systems": "System", "systemTemplates": "SystemTemplate", "machines": "Machine", "machineTemplates": "MachineTemplate",
		"machineConfigs": "MachineConfiguration", "machineImages": "MachineImage", "credentials": "Credential",
		"volumes": "Volume", "volumeTemplates": "VolumeTemplate", "volumeConfigs": "VolumeConfiguration", "volumeImages": "VolumeImage",
		"networks": "Network", "jobs": "Job", "resourceMetadata": "ResourceMetadata",
	}
}

// New makes an empty cloud.
func New() *Provider {
	p := &Provider{resources: map[string]cimi.Resource{}, members: map[string][]string{}, items: top(),
		bytes: map[string][]byte{}, ready: map[string]time.Time{}, Delay: 5 * time.Millisecond}
	for _, t := range []string{"CloudEntryPoint", "System", "Machine", "Disk", "MachineImage", "MachineConfiguration", "Volume", "Job"} {
		m := cimi.Describe(t)
		m.AddExtension(cimi.OVFID, "string", false)
		m.AddExtension(cimi.OVFProperties, "map", true)
		p.add("resourceMetadata", m)
	}
	return p
}

// Close waits for what runs.
func (p *Provider) Close() error {
	p.running.Wait()
	return nil
}

// EntryPoint lists the collections.
func (p *Provider) EntryPoint(context.Context) (*cimi.CloudEntryPoint, error) {
	ref := func(id string) *cimi.Ref[cimi.Collection] { return cimi.RefTo[cimi.Collection](id) }
	return &cimi.CloudEntryPoint{
		Common: cimi.Common{ID: "cloudEntryPoint", Name: "memory"}, BaseURI: "",
		Metadata: ref("resourceMetadata"), Systems: ref("systems"), SystemTemplates: ref("systemTemplates"),
		Machines: ref("machines"), MachineTemplates: ref("machineTemplates"), MachineConfigs: ref("machineConfigs"),
		MachineImages: ref("machineImages"), Credentials: ref("credentials"), Volumes: ref("volumes"),
		VolumeTemplates: ref("volumeTemplates"), VolumeConfigs: ref("volumeConfigs"), VolumeImages: ref("volumeImages"),
		Networks: ref("networks"), Jobs: ref("jobs"),
	}, nil
}

// add stores a new resource in a collection; p.mu is held, or p is new.
func (p *Provider) add(collection string, r cimi.Resource) string {
	p.next++
	b := r.Base()
	b.ID = fmt.Sprintf("%s/%d", strings.ReplaceAll(collection, "/", "-"), p.next)
	now := cimi.TimeOf(time.Now())
	b.Created, b.Updated = now, now
	b.Operations = operations(r)
	p.resources[b.ID] = r
	p.members[collection] = append(p.members[collection], b.ID)
	return b.ID
}

func operations(r cimi.Resource) []cimi.Operation {
	id := r.Base().ID
	ops := []cimi.Operation{{Rel: cimi.RelEdit, Href: id}, {Rel: cimi.RelDelete, Href: id}}
	switch r.(type) {
	case *cimi.Job, *cimi.ResourceMetadata:
		return nil
	case *cimi.System:
		ops = append(ops, cimi.Operation{Rel: cimi.ActionExport, Href: id})
	case *cimi.Machine:
		ops = append(ops, cimi.Operation{Rel: cimi.ActionStart, Href: id}, cimi.Operation{Rel: cimi.ActionStop, Href: id})
	}
	return ops
}

func notFound(id string) error { return cimi.Errorf(http.StatusNotFound, "%s: no such resource", id) }

// Get reads one resource, or a collection whole.
func (p *Provider) Get(ctx context.Context, id string, opts cimi.ReadOptions) (cimi.Resource, error) {
	p.mu.Lock()
	r, ok := p.resources[id]
	if ok {
		r = cimi.Clone(r)
	}
	p.mu.Unlock()
	if !ok {
		c, err := p.List(ctx, id, cimi.ListOptions{ReadOptions: opts})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	cimi.Public(r)
	return p.represent(ctx, r, opts)
}

func (p *Provider) represent(ctx context.Context, r cimi.Resource, opts cimi.ReadOptions) (cimi.Resource, error) {
	err := cimi.Expand(ctx, r, opts.Expand, func(ctx context.Context, href string) (cimi.Resource, error) {
		return p.Get(ctx, href, cimi.ReadOptions{})
	})
	return cimi.Select(r, opts.Select), err
}

// List reads one page of a collection.
func (p *Provider) List(ctx context.Context, collection string, opts cimi.ListOptions) (*cimi.Collection, error) {
	p.mu.Lock()
	item, ok := p.items[collection]
	all := make([]cimi.Resource, 0, len(p.members[collection]))
	secret := hasSecrets(item)
	for _, id := range p.members[collection] {
		r := p.resources[id]
		if secret { // what is not shown is not to be found out by $filter either
			r = cimi.Clone(r)
			cimi.Public(r)
		}
		all = append(all, r)
	}
	page, n, err := cimi.ApplyQuery(all, opts)
	page = slices.Clone(page)
	for i, r := range page { // the page alone: a collection may be large
		page[i] = cimi.Clone(r)
	}
	p.mu.Unlock()
	if !ok {
		return nil, notFound(collection)
	}
	if err != nil {
		return nil, err
	}
	c := cimi.NewCollection(collection, item, page...)
	c.Count = cimi.Int(int64(n))
	if item != "Job" && item != "ResourceMetadata" {
		c.Operations = []cimi.Operation{{Rel: cimi.RelAdd, Href: collection}}
	}
	if collection == "systems" {
		c.Operations = append(c.Operations, cimi.Operation{Rel: cimi.ActionImport, Href: collection})
	}
	r, err := p.represent(ctx, c, opts.ReadOptions)
	if err != nil {
		return nil, err
	}
	return r.(*cimi.Collection), nil
}

func hasSecrets(item string) bool {
	return item != "" && slices.ContainsFunc(cimi.Attributes(item), func(a *cimi.Attribute) bool { return a.WriteOnly })
}

// Update replaces the writable attributes.
func (p *Provider) Update(_ context.Context, id string, r cimi.Resource, opts cimi.UpdateOptions) (*cimi.Accepted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, ok := p.resources[id]
	if !ok {
		return nil, notFound(id)
	}
	n := cimi.Clone(old)
	public := cimi.Clone(old)
	cimi.Public(public)
	if opts.IfMatch != "" && opts.IfMatch != cimi.ETag(public) {
		return nil, cimi.Errorf(http.StatusPreconditionFailed, "%s has changed", id)
	}
	if err := cimi.Update(n, r, opts.Select, func(name string) bool { return name == cimi.OVFProperties }); err != nil {
		return nil, err
	}
	n.Base().Updated = cimi.TimeOf(time.Now())
	p.resources[id] = n
	job := p.job("edit", id, id)
	out := cimi.Clone(n)
	cimi.Public(out)
	return &cimi.Accepted{Job: job, Done: true, Resource: out}, nil
}

// Delete removes a resource and, of a System, its children.
func (p *Provider) Delete(_ context.Context, id string) (*cimi.Accepted, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.resources[id]
	if !ok {
		return nil, notFound(id)
	}
	if operations(r) == nil {
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s cannot be deleted", id)
	}
	p.remove(id)
	return &cimi.Accepted{Job: p.job("delete", id, id), Done: true}, nil
}

func (p *Provider) remove(id string) {
	if s, ok := p.resources[id].(*cimi.System); ok {
		for _, m := range slices.Clone(p.members[cimi.HrefOf(s.Machines)]) {
			p.remove(m)
		}
		delete(p.items, cimi.HrefOf(s.Machines))
	}
	if m, ok := p.resources[id].(*cimi.Machine); ok && m.Disks != nil {
		for _, d := range slices.Clone(p.members[m.Disks.Href]) {
			p.remove(d)
		}
		delete(p.items, m.Disks.Href)
		delete(p.members, m.Disks.Href)
	}
	delete(p.resources, id)
	for c, ids := range p.members {
		p.members[c] = slices.DeleteFunc(ids, func(s string) bool { return s == id })
	}
}

// job makes a finished Job; p.mu is held.
func (p *Provider) job(action, target string, affected ...string) string {
	j := &cimi.Job{State: cimi.JobSuccess, Action: action, Progress: cimi.Int(100), ReturnCode: cimi.Int(0),
		TargetResource: cimi.RefTo[cimi.Unknown](target), TimeOfStatusChange: cimi.TimeOf(time.Now())}
	for _, a := range affected {
		j.AffectedResources = append(j.AffectedResources, cimi.Ref[cimi.Unknown]{Href: a})
	}
	return p.add("jobs", j)
}

// Open reads an export's package.
func (p *Provider) Open(_ context.Context, href string) (cimi.Content, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, ok := p.bytes[href]
	if !ok {
		return nil, notFound(href)
	}
	if wait := time.Until(p.ready[href]); wait > 0 {
		return nil, &cimi.Error{Status: http.StatusServiceUnavailable, Message: href + ": not ready yet", RetryAfter: 1}
	}
	sum := sha256.Sum256(b)
	return &content{Reader: bytes.NewReader(b), version: hex.EncodeToString(sum[:])}, nil
}

type content struct {
	*bytes.Reader
	version string
}

func (c *content) Close() error    { return nil }
func (c *content) Ranged() bool    { return true }
func (c *content) Version() string { return c.version }

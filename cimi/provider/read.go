package provider

import (
	"bytes"
	"context"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf/disk"
)

// Get reads one resource, or a collection.
func (p *Provider) Get(ctx context.Context, id string, opts cimi.ReadOptions) (cimi.Resource, error) {
	id = plainID(id)
	r, err := p.read(ctx, id)
	if err != nil {
		return nil, asError(err)
	}
	if r == nil {
		c, err := p.List(ctx, id, cimi.ListOptions{ReadOptions: opts})
		if err != nil {
			return nil, err
		}
		return c, nil
	}
	cimi.Public(r)
	if len(opts.Expand) > 0 {
		if err := cimi.Expand(ctx, r, opts.Expand, p.target); err != nil {
			return nil, asError(err)
		}
	}
	return cimi.Select(r, opts.Select), nil
}

// read gives a resource as it is shown, with its secrets; nil when there is
// none under that id.
func (p *Provider) read(ctx context.Context, id string) (cimi.Resource, error) {
	if id == entryPoint {
		return p.EntryPoint(ctx)
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	return p.readIn(ctx, w, id)
}

// readIn is read in a world that is being looked at.
func (p *Provider) readIn(ctx context.Context, w *world, id string) (cimi.Resource, error) {
	first, key, ok := strings.Cut(id, "/")
	k, known := kindByID[first]
	if !ok || !known || key == "" || strings.Contains(key, "/") {
		return nil, nil
	}
	if k.held() {
		if h, ok := w.find(k.id, key); ok {
			return p.show(w, h), nil
		}
		if r := p.passing.creating(id); r != nil {
			return r, nil
		}
	}
	switch k.id {
	case "jobs":
		return p.jobs.read(ctx, id)
	case "eventLogs":
		return p.readLog(ctx, w, id)
	case "events":
		return p.readEvent(ctx, id)
	case "samples":
		return p.readSample(ctx, id)
	case "resourceMetadata":
		if m := p.metadata(key); m != nil {
			return m, nil
		}
	}
	if !k.stored() {
		return nil, nil
	}
	r, err := p.db.get(ctx, id)
	if err != nil || r == nil {
		return nil, err
	}
	p.decorate(r)
	return r, nil
}

// there tells whether a resource exists.
func (p *Provider) there(ctx context.Context, w *world, id string) (bool, error) {
	if id == entryPoint {
		return true, nil
	}
	first, key, _ := strings.Cut(id, "/")
	if _, ok := w.find(first, key); ok {
		return true, nil
	}
	r, err := p.readIn(ctx, w, id)
	return r != nil, err
}

func orNotFound(err error, id string) error {
	if err != nil {
		return err
	}
	return notFound(id)
}

// Open reads bytes: an export's package, the kept descriptor of a System or
// SystemTemplate, the content of an image, blocks of a Volume.
func (p *Provider) Open(ctx context.Context, href string) (cimi.Content, error) {
	href = plainID(href)
	if strings.HasPrefix(href, "exports/") {
		return p.exports.open(ctx, href)
	}
	if encoded, ok := cutReach(href); ok {
		return p.reach(ctx, encoded)
	}
	kind, rest, _ := strings.Cut(href, "/")
	key, what, _ := strings.Cut(rest, "/")
	switch {
	case kind == "systems" && what == "descriptor":
		return p.openDescriptor(ctx, key, href)
	case kind == "systemTemplates" && (what == "descriptor" || what == "package"):
		return p.openTemplateContent(ctx, kind+"/"+key, what, href)
	case what == "content" && (kind == "volumeImages" || kind == "machineImages"):
		return p.openImage(ctx, kind, key, href)
	case kind == "volumes" && strings.HasPrefix(what, "blocks/"):
		return p.openBlocks(ctx, key, strings.TrimPrefix(what, "blocks/"), href)
	}
	return nil, notFound(href)
}

func (p *Provider) openDescriptor(ctx context.Context, key, href string) (cimi.Content, error) {
	s, err := p.host.System(ctx, key)
	if err != nil {
		return nil, asError(err)
	}
	if len(s.Descriptor) == 0 || s.Holder != "" && s.Holder != host.HoldsTemplate {
		return nil, notFound(href)
	}
	return memory{bytes.NewReader(s.Descriptor)}, nil
}

// openImage opens the content of an image that the host holds: the bytes of its
// disk, or, of a machine that has not just one, the package.
func (p *Provider) openImage(ctx context.Context, kind, key, href string) (cimi.Content, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	h, ok := w.find(kind, key)
	done()
	if !ok {
		return nil, notFound(href)
	}
	if kind == "machineImages" && len(h.root.Disks) != 1 {
		x, err := p.host.Export(ctx, h.root.ID, host.ExportOptions{})
		if err != nil {
			return nil, asError(err)
		}
		return exportContent{x}, nil
	}
	d := h.disk
	if d == nil && len(h.root.Disks) > 0 {
		d = h.root.Disks[0]
	}
	if d == nil {
		return nil, notFound(href)
	}
	img, err := p.host.OpenDisk(ctx, d.ID)
	if err != nil {
		return nil, asError(err)
	}
	return rawContent{img, d.ContentDigest}, nil
}

// memory is Content held in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error    { return nil }
func (memory) Ranged() bool    { return true }
func (memory) Version() string { return "" }

type exportContent struct{ host.Export }

func (exportContent) Ranged() bool { return true }

// rawContent is a disk's content as Content.
type rawContent struct {
	disk.Image
	version string
}

func (rawContent) Ranged() bool      { return true }
func (c rawContent) Version() string { return c.version }

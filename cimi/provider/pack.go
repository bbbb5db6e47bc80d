package provider

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ova"
)

// reopen opens the package that a template keeps, with another descriptor.
func (p *Provider) reopen(ctx context.Context, kept string, env *ovf.Envelope) (ovf.Package, error) {
	x, err := p.host.Export(ctx, kept, host.ExportOptions{Descriptor: env.Bytes()})
	if err != nil {
		return nil, err
	}
	pkg, err := ova.Open(ctx, x, x.Size(), "template", ova.Options{})
	if err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return pkg, nil
}

// packTemplate makes the package of a template: with the content that is kept
// of it, or of a descriptor alone.
func (p *Provider) packTemplate(ctx context.Context, kept string, env *ovf.Envelope) (host.Export, error) {
	if kept != "" {
		return p.host.Export(ctx, kept, host.ExportOptions{Descriptor: env.Bytes()})
	}
	return packDescriptor(env.Bytes())
}

// described is the export of a descriptor alone. Its state is the descriptor.
type described struct {
	*ova.Layout
	state []byte
}

type describedState struct {
	Envelope []byte `json:"envelope"`
}

func packDescriptor(envelope []byte) (*described, error) {
	l, err := ova.NewLayout(ova.LayoutSpec{Name: "template", Descriptor: "system.ovf", Envelope: envelope})
	if err != nil {
		return nil, err
	}
	state, err := json.Marshal(describedState{envelope})
	return &described{l, state}, err
}

// unpackDescriptor makes the same package from its state again.
func unpackDescriptor(state []byte) (*described, error) {
	var s describedState
	if err := json.Unmarshal(state, &s); err != nil {
		return nil, fmt.Errorf("the state of an earlier export: %w", err)
	}
	return packDescriptor(s.Envelope)
}

func (d *described) Close() error            { return nil }
func (d *described) State() ([]byte, error)  { return d.state, nil }
func (d *described) Findings() []ovf.Finding { return nil }
func (d *described) Version() string {
	sum := sha256.Sum256(d.state)
	return hex.EncodeToString(sum[:16])
}

// exportPackage answers an export action: with a Location where the package
// can be fetched from, or by a PUT to a destination (5.13.1.2). key is the
// System of the host that it goes with, "" for none.
func (p *Provider) exportPackage(ctx context.Context, a *cimi.Action, target, key string, build func(context.Context, *task) (host.Export, error)) (*cimi.Accepted, error) {
	p.exports.expire(ctx)
	if a.Destination != "" {
		dest, err := p.parseDestination(a)
		if err != nil {
			return nil, err
		}
		return p.async(ctx, cimi.ActionExport, target, func(ctx context.Context, t *task) error {
			x, err := build(ctx, t)
			if err != nil {
				return err
			}
			return errors.Join(p.put(ctx, dest, x, func(done, total int64) { t.progress("", done, total) }), x.Close())
		})
	}
	place := p.exports.reserve(key)
	acc, err := p.async(ctx, cimi.ActionExport, target, func(ctx context.Context, t *task) error {
		x, err := build(ctx, t)
		if err == nil {
			if err = p.exports.freeze(ctx, place, x); err != nil {
				err = errors.Join(err, x.Close())
			}
		}
		if err != nil {
			return errors.Join(err, p.exports.remove(context.WithoutCancel(ctx), place))
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, p.exports.remove(ctx, place))
	}
	acc.Location = place.id
	return acc, nil
}

// exportSystem is the export action of a System (5.13.1.2).
func (p *Provider) exportSystem(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.exportAs(ctx, s, a, host.ExportOptions{})
}

// exportLive is the same of machines that may run (cimi.RelExportLive).
func (p *Provider) exportLive(ctx context.Context, s subject, a *cimi.Action) (*cimi.Accepted, error) {
	return p.exportAs(ctx, s, a, host.ExportOptions{Live: true, Untracked: a.Properties[cimi.ExportUntracked] == "true"})
}

func (p *Provider) exportAs(ctx context.Context, s subject, a *cimi.Action, opts host.ExportOptions) (*cimi.Accepted, error) {
	if a.Format != "" && a.Format != "application/ovf" {
		return nil, cimi.Errorf(400, "format: expected application/ovf, got %.80q", a.Format)
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	opts.Using = w.using(s.root)
	done()
	key := s.system.ID
	return p.exportPackage(ctx, a, s.id, key, func(ctx context.Context, t *task) (host.Export, error) {
		x, err := p.host.Export(ctx, key, opts)
		if err != nil {
			return nil, err
		}
		for _, f := range x.Findings() {
			t.find(f)
		}
		at, err := points(x)
		if err != nil {
			return nil, errors.Join(err, x.Close())
		}
		t.tell(cimi.ExportPoints, at)
		return x, nil
	})
}

// using are the other Systems some of whose parts one uses.
func (w *world) using(root *host.System) []string {
	var out []string
	add := func(o *host.System) {
		if o != nil && o.ID != root.ID && !contains(out, o.ID) {
			out = append(out, o.ID)
		}
	}
	for s := range root.All() {
		for _, id := range s.Associated {
			kind, key := cutID(id)
			add(w.rootOf(kind, key))
		}
	}
	for _, m := range w.machinesOf(root) {
		for _, a := range m.Attachments {
			add(w.disk[a.DiskID].root)
		}
		for _, n := range m.NICs {
			add(w.network[n.Network].root)
		}
	}
	return out
}

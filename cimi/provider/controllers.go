package provider

import (
	"context"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
)

// rearrange opens a package whose disks are on the controllers that an import
// asks for: the descriptor that the host gets, and keeps, says so.
func (r *importRequest) rearrange(open opener) opener {
	if len(r.controllers) == 0 {
		return open
	}
	return func(ctx context.Context) (ovf.Package, error) {
		pkg, err := open(ctx)
		if err != nil {
			return nil, err
		}
		x := rearranged{env: pkg.Envelope().Clone()}
		if x.findings, err = edit.Apply(x.env, edit.Options{Controllers: r.controllers}); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w: %w", pkg.Name(), err, host.ErrUnsupported), pkg.Close())
		}
		if o, ok := pkg.(ovf.Opener); ok {
			return &rearrangedOpener{o, x}, nil
		}
		return &rearrangedStream{pkg, x}, nil
	}
}

// rearranged is what differs of a package whose descriptor was edited.
type rearranged struct {
	env      *ovf.Envelope
	findings []ovf.Finding
}

// also are the findings of the edit with those of the package itself.
func (x rearranged) also(pkg ovf.Package) []ovf.Finding {
	if r, ok := pkg.(ovf.Reporter); ok {
		return append(r.Findings(), x.findings...)
	}
	return x.findings
}

type rearrangedStream struct {
	ovf.Package
	with rearranged
}

func (p *rearrangedStream) Envelope() *ovf.Envelope { return p.with.env }
func (p *rearrangedStream) Findings() []ovf.Finding { return p.with.also(p.Package) }

type rearrangedOpener struct {
	ovf.Opener
	with rearranged
}

func (p *rearrangedOpener) Envelope() *ovf.Envelope { return p.with.env }
func (p *rearrangedOpener) Findings() []ovf.Finding { return p.with.also(p.Opener) }

// OnThisMachine says what the package says: whether reading again costs nothing.
func (p *rearrangedOpener) OnThisMachine() bool {
	here, ok := p.Opener.(interface{ OnThisMachine() bool })
	return ok && here.OnThisMachine()
}

package provider

import (
	"context"
	"net/http"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// forgets tells whether something is kept of imports or exports.
func (p *Provider) forgets() bool {
	_, ok := p.host.(host.Forgetter)
	return ok || p.host.Capabilities().Live
}

// forgetKept removes what is kept of imports that broke off, or an export that
// nobody reads any more (cimi.RelForget).
func (p *Provider) forgetKept(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	if id != "systems" || !p.forgets() {
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s keeps nothing of imports", id)
	}
	if at := a.Properties[cimi.ExportLocation]; at != "" {
		x := p.exports.byName(at[max(0, strings.LastIndex(at, "exports/")):])
		if x == nil {
			return &cimi.Accepted{Done: true}, nil // already
		}
		return &cimi.Accepted{Done: true}, p.exports.remove(ctx, x)
	}
	f, ok := p.host.(host.Forgetter)
	if !ok || a.Properties[runMark] == "" {
		return nil, cimi.Errorf(http.StatusBadRequest, "property %s is missing: it names the run", runMark)
	}
	if err := f.Forget(ctx, a.Properties[runMark]); err != nil {
		return nil, err
	}
	return &cimi.Accepted{Done: true}, nil
}

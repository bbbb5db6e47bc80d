package provider

import (
	"context"
	"net/http"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// forgetArrivals removes what is kept of imports that broke off (cimi.RelForget).
func (p *Provider) forgetArrivals(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	f, ok := p.host.(host.Forgetter)
	switch {
	case !ok || id != "systems":
		return nil, cimi.Errorf(http.StatusMethodNotAllowed, "%s keeps nothing of imports", id)
	case a.Properties[runMark] == "":
		return nil, cimi.Errorf(http.StatusBadRequest, "property %s is missing: it names the run", runMark)
	}
	if err := f.Forget(ctx, a.Properties[runMark]); err != nil {
		return nil, err
	}
	return &cimi.Accepted{Done: true}, nil
}

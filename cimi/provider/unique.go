package provider

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// besides are the ids in a list of them; clients know them as URLs of several
// forms, whose last segment is the same.
func besides(list string) []string {
	var out []string
	for _, id := range strings.Fields(list) {
		out = append(out, path.Base(id))
	}
	return out
}

// nameFree refuses an import whose name has to be unique and is not. Who calls
// holds p.naming until the System is shown as being created.
func (p *Provider) nameFree(ctx context.Context, r *importRequest) error {
	if r.unique == "" {
		return nil
	}
	o := cimi.ListOptions{}
	if !strings.ContainsAny(r.unique, `'"\`) {
		o.Filter = []string{"name='" + r.unique + "'"}
	}
	c, err := p.List(ctx, "systems", o)
	if err != nil {
		return err
	}
	for _, x := range c.Items {
		b := x.Base()
		own := r.run != "" && b.Properties[runMark] == r.run
		if b.Name == r.unique && !own && !slices.Contains(r.besides, path.Base(b.ID)) {
			return cimi.Errorf(http.StatusConflict, "a System of the name %.80q is there already: %s", r.unique, b.ID)
		}
	}
	return nil
}

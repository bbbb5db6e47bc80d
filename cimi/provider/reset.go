package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// reset gives what the host holds the values that a new resource has without
// them, where $select names an attribute and the body r does not hold it
// (4.2.1.3.1). What the host can be without is gone from next already.
func (p *Provider) reset(ctx context.Context, id string, next, r cimi.Resource, opts cimi.UpdateOptions) error {
	if opts.Whole {
		return nil
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return err
	}
	kind, key, _ := strings.Cut(id, "/")
	_, held := w.find(kind, key)
	done()
	if !held {
		return nil
	}
	listed := func(attr string) bool {
		return slices.Contains(opts.Select, attr) && cimi.Value(r, attr) == nil
	}
	for _, attr := range []string{"capacity", "parent"} {
		if listed(attr) && writable(next, attr) {
			return cimi.Errorf(http.StatusBadRequest, "%s: there is no value to reset it to", attr)
		}
	}
	if listed("name") {
		next.Base().Name = orName("", strings.TrimSuffix(kind, "s"), key)
	}
	if m, ok := next.(*cimi.Machine); ok {
		if listed("cpu") {
			m.CPU = cimi.Int(defaultCPUs)
		}
		if listed("memory") {
			m.Memory = cimi.Int(defaultMemory / 1024)
		}
	}
	return nil
}

// writable tells whether consumers may write an attribute.
func writable(r cimi.Resource, attr string) bool {
	a := cimi.AttributeNamed(r.TypeName(), attr)
	return a != nil && a.ConsumerWritable
}

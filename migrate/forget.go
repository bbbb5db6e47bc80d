package migrate

import (
	"context"

	"github.com/cimimove/cimimove/cimi"
)

// forgetArrivals has the destination remove what it keeps of imports of this run that
// broke off, where it keeps anything.
func (r *run) forgetArrivals(ctx context.Context) error {
	if r.Chunk == 0 {
		return nil
	}
	_, systems, err := systemsOf(ctx, r.dst)
	if err != nil {
		return err
	}
	a := &cimi.Action{Action: cimi.RelForget, Common: cimi.Common{Properties: map[string]string{runProperty: r.id}}}
	if _, err := r.dst.Provider.Invoke(ctx, systems, a); err != nil && !cimi.IsUnsupported(err) && !cimi.IsNotFound(err) {
		return err
	}
	return nil
}

package migrate

import (
	"context"
	"errors"
	"fmt"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// ErrReadOnly: something would have been changed while a migration is planned.
var ErrReadOnly = errors.New("nothing is changed while a migration is planned")

// readOnly is the cloud as plans and dry runs have it: every change is refused
// before it leaves this process, so that the code that plans can be the code
// that migrates.
func readOnly(e Endpoint) Endpoint {
	r := reading{e.Provider}
	if _, ok := e.importer(); ok {
		e.Provider = readingImporter{r}
	} else {
		e.Provider = r
	}
	return e
}

type reading struct{ cimi.Provider }

// Version is that of the cloud.
func (r reading) Version() cimi.Version { return versionOf(r.Provider, nil) }

func refuseWrite(verb, id string) error { return fmt.Errorf("%s of %s: %w", verb, id, ErrReadOnly) }

func (reading) Create(_ context.Context, collection string, _ cimi.Resource) (*cimi.Accepted, error) {
	return nil, refuseWrite("create", collection)
}

func (reading) Update(_ context.Context, id string, _ cimi.Resource, _ cimi.UpdateOptions) (*cimi.Accepted, error) {
	return nil, refuseWrite("update", id)
}

func (reading) Delete(_ context.Context, id string) (*cimi.Accepted, error) {
	return nil, refuseWrite("delete", id)
}

func (reading) Invoke(_ context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	return nil, refuseWrite(a.Action, id)
}

// MayChange asks, and changes nothing.
func (r reading) MayChange(ctx context.Context, id string) error {
	return cimi.MayChange(ctx, r.Provider, id)
}

type readingImporter struct{ reading }

func (readingImporter) ImportPackage(_ context.Context, collection string, pkg ovf.Package, _ *cimi.Action) (*cimi.Accepted, error) {
	return nil, errors.Join(refuseWrite("import", collection), pkg.Close())
}

package migrate

import (
	"context"

	"github.com/cimimove/cimimove/cimi"
)

// absent is a source that cannot be opened, of a run whose package is staged
// already: the second half does not need it, unless something is to be done
// there.
type absent struct{ why error }

func (a absent) EntryPoint(context.Context) (*cimi.CloudEntryPoint, error) { return nil, a.why }

func (a absent) Get(context.Context, string, cimi.ReadOptions) (cimi.Resource, error) {
	return nil, a.why
}

func (a absent) List(context.Context, string, cimi.ListOptions) (*cimi.Collection, error) {
	return nil, a.why
}

func (a absent) Create(context.Context, string, cimi.Resource) (*cimi.Accepted, error) {
	return nil, a.why
}

func (a absent) Update(context.Context, string, cimi.Resource, cimi.UpdateOptions) (*cimi.Accepted, error) {
	return nil, a.why
}

func (a absent) Delete(context.Context, string) (*cimi.Accepted, error) { return nil, a.why }

func (a absent) Invoke(context.Context, string, *cimi.Action) (*cimi.Accepted, error) {
	return nil, a.why
}

func (a absent) Open(context.Context, string) (cimi.Content, error) { return nil, a.why }

func (absent) Close() error { return nil }

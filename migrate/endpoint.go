package migrate

import (
	"context"
	"net/url"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
)

// Endpoint is a cloud that takes part.
type Endpoint struct {
	// Name is what the user called it; it goes to journal and reports.
	Name string
	// Location is the same whatever the user calls the cloud, so that two runs
	// never move one System; empty where there is nothing but Name.
	Location string
	// URL of the Cloud Entry Point, empty for a cloud in this process.
	URL      string
	Provider cimi.Provider
	// Login gives the credentials that Provider uses, for a cloud that is to
	// fetch from this one itself; nil where there are none.
	Login func() (user, password, token string)
	// Shared: others use the Provider too, and a run does not close it.
	Shared bool
	// Insecure: its certificate is not checked.
	Insecure bool
	// Limits hold back what is moved from and to it.
	Limits EndpointLimits
}

// PackageImporter is implemented by Providers in this process that take a
// package without a URI. The action is an import (DSP0263 5.13.2.1) into the
// collection, whose Source is empty. The Provider closes the package, at once
// on error, else when the Job has ended.
type PackageImporter interface {
	ImportPackage(ctx context.Context, collection string, pkg ovf.Package, a *cimi.Action) (*cimi.Accepted, error)
}

// importer tells whether packages can be handed over in process.
func (e Endpoint) importer() (PackageImporter, bool) {
	i, ok := e.Provider.(PackageImporter)
	return i, ok
}

// host is the host name in the URL, empty for a cloud in this process.
func (e Endpoint) host() string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// Dialer opens an endpoint by the name a journal or runbook has of it. Who
// calls closes the Provider.
type Dialer func(ctx context.Context, name string, side Side) (Endpoint, error)

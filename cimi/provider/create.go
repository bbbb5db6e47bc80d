package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// Create adds to a collection (4.2.1.1).
func (p *Provider) Create(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	collection = plainID(collection)
	if unknown := unknownAttributes(r); len(unknown) > 0 {
		return nil, cimi.Errorf(http.StatusBadRequest, "unknown attributes: %s", strings.Join(unknown, ", "))
	}
	acc, err := p.create(ctx, collection, r)
	return acc, asError(err)
}

// unknownAttributes are those that no version of the standard has, and that
// are none of our extensions.
func unknownAttributes(r cimi.Resource) []string {
	in1 := cimi.UnknownAttributesIn(r, cimi.V1, ourExtension)
	return slices.DeleteFunc(cimi.UnknownAttributesIn(r, cimi.V2, ourExtension), func(n string) bool { return !slices.Contains(in1, n) })
}

func (p *Provider) create(ctx context.Context, collection string, r cimi.Resource) (*cimi.Accepted, error) {
	if err := checkProperties(r); err != nil {
		return nil, err
	}
	if acc, err, is := p.createImageOf(ctx, collection, r); is {
		return acc, err
	}
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	_, item, err := p.sources(ctx, w, collection)
	if err == nil {
		err = p.addable(w, collection)
	}
	done()
	if err != nil {
		return nil, err
	}
	if !takes(item, r) {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s takes a %s, the request holds a %s", collection, wanted(item), r.TypeName())
	}
	switch r := r.(type) {
	case *cimi.SystemCreate:
		return p.createSystem(ctx, collection, r)
	case *cimi.MachineCreate:
		return p.createMachine(ctx, collection, r)
	case *cimi.VolumeCreate:
		return p.createVolume(ctx, collection, r)
	case *cimi.NetworkCreate:
		return p.createNetwork(ctx, collection, r)
	case *cimi.ProtocolSegmentCreate:
		return p.createSegment(ctx, collection, r)
	case *cimi.ProtocolEndpointCreate:
		return p.createEndpoint(ctx, collection, r)
	case *cimi.NetworkInterfaceCreate:
		return p.createInterface(ctx, collection, r)
	case *cimi.NetworkServiceCreate:
		return p.createNetworkService(ctx, collection, r)
	case *cimi.SystemService:
		return p.createService(ctx, collection, r)
	case *cimi.Disk:
		return p.createDisk(ctx, collection, r)
	case *cimi.CredentialCreate:
		return p.createCredential(ctx, collection, r)
	case *cimi.Credential:
		t := &cimi.CredentialTemplate{UserName: r.UserName, Password: r.Password, Key: r.Key, Parameters: r.Parameters}
		return p.createCredential(ctx, collection, &cimi.CredentialCreate{Common: r.Common, CredentialTemplate: cimi.RefBy(t)})
	case *cimi.MeterCreate:
		return p.createMeter(ctx, collection, r)
	case *cimi.EventLogCreate:
		return p.createLog(ctx, collection, r)
	case *cimi.AddressCreate, *cimi.NetworkPortCreate, *cimi.ForwardingGroupCreate:
		return p.createNetwork1(ctx, collection, r)
	}
	return p.createPlain(ctx, kindByItem[item], r)
}

// templated are the types that are created from a template (4.2.1.1).
func templated(item string) bool {
	return cimi.Known(item+"Create") && item != "NetworkConfiguration"
}

// wanted is the type of request that adds an entry of a type.
func wanted(item string) string {
	if item == "locatedVolume" {
		item = "Volume"
	}
	if templated(item) {
		return item + "Create"
	}
	return item
}

// takes: a Credential is taken as it is too, since nothing but its values makes it.
func takes(item string, r cimi.Resource) bool {
	return r.TypeName() == wanted(item) || item == "Credential" && r.TypeName() == item
}

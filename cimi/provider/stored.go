package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

func ourExtension(name string) bool { return slices.Contains(cimi.ExtensionAttributes(), name) }

// decorate adds what a stored resource shows besides what is stored.
func (p *Provider) decorate(r cimi.Resource) {
	b := r.Base()
	if b.ResourceMetadata == nil {
		b.ResourceMetadata = cimi.RefTo[cimi.ResourceMetadata]("resourceMetadata/" + r.TypeName())
	}
	if b.Parent == nil { // the first layout of the store had none
		kind, _, _ := strings.Cut(b.ID, "/")
		b.Parent = ref(kind)
	}
	id := b.ID
	switch r := r.(type) {
	case *cimi.NetworkService:
		r.Endpoints, r.Segments, r.Meters, r.EventLog = collection(id+"/endpoints"), collection(id+"/segments"), collection(id+"/meters"), p.logOf(id)
	case *cimi.ProtocolSegment:
		r.Endpoints, r.Meters, r.EventLog = collection(id+"/endpoints"), collection(id+"/meters"), p.logOf(id)
	case *cimi.ProtocolEndpoint:
		r.Meters, r.EventLog = collection(id+"/meters"), p.logOf(id)
	case *cimi.SystemService:
		r.Machines, r.Volumes, r.Systems = collection(id+"/machines"), collection(id+"/volumes"), collection(id+"/systems")
	case *cimi.Meter:
		r.Samples = collection(id + "/samples")
	case *cimi.NetworkPort:
		r.Meters, r.EventLog = collection(id+"/meters"), p.logOf(id)
	}
	if state := p.passing.of(id); state != "" {
		setState(r, state)
	}
	kind, _, _ := strings.Cut(id, "/")
	b.Operations = p.operations(nil, subject{id: id, kind: kind, r: r})
}

// adopt gives a new resource what the Provider decides of it.
func adopt(kind, parent string, r cimi.Resource) {
	b := r.Base()
	b.ID, b.Parent = kind+"/"+host.NewID(), ref(parent)
	if kind == "resourceMetadata" {
		b.ID = kind + "/own-" + host.NewID()
	}
	b.Created = now()
	b.Updated, b.Operations, b.Erased = b.Created, nil, nil
}

// createPlain adds a resource that is created from its own representation:
// templates, configurations, images elsewhere, metadata.
func (p *Provider) createPlain(ctx context.Context, k kind, r cimi.Resource) (*cimi.Accepted, error) {
	r = cimi.Clone(r)
	if err := p.checkStored(r); err != nil {
		return nil, err
	}
	adopt(k.id, k.id, r)
	c := &change{}
	c.put(k.id, r)
	c.modelEvent(p, r, "create", "")
	return p.accept(ctx, c, cimi.RelAdd, k.id, r.Base().ID, nil)
}

// checkStored refuses what can never be used.
func (p *Provider) checkStored(r cimi.Resource) error {
	if err := checkProperties(r); err != nil {
		return err
	}
	switch r := r.(type) {
	case *cimi.MachineConfiguration:
		if cimi.IntValue(r.CPU) < 0 || cimi.IntValue(r.Memory) < 0 {
			return cimi.Errorf(http.StatusBadRequest, "cpu and memory: expected no negative number")
		}
		for _, d := range r.Disks {
			if cimi.IntValue(d.Capacity) < 0 {
				return cimi.Errorf(http.StatusBadRequest, "disks: capacity: expected no negative number")
			}
		}
	case *cimi.VolumeConfiguration:
		if cimi.IntValue(r.Capacity) < 0 {
			return cimi.Errorf(http.StatusBadRequest, "capacity: expected no negative number")
		}
	case *cimi.MachineImage:
		if r.Type == "" {
			r.Type = "IMAGE"
		}
		if !slices.Contains([]string{"IMAGE", "SNAPSHOT", "PARTIAL_SNAPSHOT"}, r.Type) {
			return cimi.Errorf(http.StatusBadRequest, "type: expected IMAGE, SNAPSHOT or PARTIAL_SNAPSHOT, got %.40q (T21)", r.Type)
		}
		if r.Type == "IMAGE" && r.RelatedImage != nil || r.Type == "SNAPSHOT" && r.RelatedImage != nil {
			return cimi.Errorf(http.StatusBadRequest, "relatedImage: not for consumers to set (T21)")
		}
		r.State = cimi.StateAvailable
	case *cimi.VolumeImage:
		r.State = cimi.StateAvailable
	case *cimi.ResourceMetadata:
		if r.TypeURI == "" || r.Name == "" {
			return cimi.Errorf(http.StatusBadRequest, "typeURI and name: missing (T6)")
		}
	case *cimi.EventLogTemplate:
		if r.Persistence != "" && persistences[r.Persistence] == 0 {
			return cimi.Errorf(http.StatusBadRequest, "persistence: expected one of hourly, daily, weekly, monthly, yearly, got %.40q", r.Persistence)
		}
	}
	return nil
}

// maxProperties bounds the properties of a resource; metadata tells it.
const maxProperties = 256

func checkProperties(r cimi.Resource) error {
	if n := len(r.Base().Properties); n > maxProperties {
		return cimi.Errorf(http.StatusBadRequest, "properties: %d, expected at most %d (MaxPropertyItems)", n, maxProperties)
	}
	return nil
}

// createCredential makes a Credential from its template (5.14.10.1).
func (p *Provider) createCredential(ctx context.Context, collection string, r *cimi.CredentialCreate) (*cimi.Accepted, error) {
	c := &change{}
	made, err := p.addCredential(ctx, c, collection, r.CredentialTemplate, r)
	if err != nil {
		return nil, err
	}
	c.modelEvent(p, made, "create", "")
	return p.accept(ctx, c, cimi.RelAdd, collection, made.ID, nil)
}

func (p *Provider) addCredential(ctx context.Context, c *change, collection string, from *cimi.Ref[cimi.CredentialTemplate], request cimi.Resource) (*cimi.Credential, error) {
	t, err := template(ctx, p, "credentialTemplate", from)
	if err != nil {
		return nil, err
	}
	r := &cimi.Credential{UserName: t.UserName, Password: t.Password, Key: t.Key, Parameters: t.Parameters}
	named(&r.Common, request)
	if err := checkProperties(r); err != nil {
		return nil, err
	}
	adopt("credentials", collection, r)
	c.put("credentials", r)
	if collection != "credentials" {
		c.link(p, collection, r.ID, extra{})
	}
	return r, nil
}

package server

import (
	"context"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
)

// The dialect of 1.x, below cimi/1/: the same resources under other URIs. A
// collection whose items are wrappers in 1.x has the id COLLECTION/as/WRAPPER
// there, its items COLLECTION/as/WRAPPER/ID.

const path1 = "cimi/1/"

// view1 is the id of a collection's 1.x form.
func view1(collection, wrapper string) string { return collection + "/as/" + wrapper }

type viewID struct {
	collection, wrapper, member string
}

func (q *request) view(id string) (v viewID, ok bool) {
	if q.version != cimi.V1 {
		return v, false
	}
	v.collection, v.member, ok = strings.Cut(id, "/as/")
	v.wrapper, v.member, _ = strings.Cut(v.member, "/")
	return v, ok && cimi.Wrapped(v.wrapper) != ""
}

// getView reads a collection of wrappers, or one of them.
func (q *request) getView(v viewID) error {
	if v.member == "" {
		c, err := q.list(v.collection)
		if err != nil {
			return err
		}
		out := cimi.NewCollection(view1(v.collection, v.wrapper), v.wrapper)
		out.Count = c.Count
		for _, item := range c.Items {
			w, err := q.wrap(v, item)
			if err != nil {
				return err
			}
			out.Items = append(out.Items, w)
		}
		if c.Operation(cimi.RelAdd) != nil || c.Operation(cimi.ActionInsert) != nil {
			out.Operations = []cimi.Operation{{Rel: cimi.RelAdd, Href: out.ID}}
		}
		o := q.readOptions()
		o.Expand = nil // done
		return q.represent(out, o)
	}
	c, item, err := q.member(v)
	if err != nil {
		return err
	}
	w, err := q.wrap(v, item)
	if err != nil {
		return err
	}
	if c.Operation(cimi.ActionRemove) != nil {
		w.Base().Operations = []cimi.Operation{{Rel: cimi.RelDelete, Href: w.Base().ID}}
	}
	o := q.readOptions()
	o.Expand = nil
	return q.represent(w, o)
}

// member finds one entry of the collection.
func (q *request) member(v viewID) (*cimi.Collection, cimi.Resource, error) {
	c, err := q.p.List(q.Context(), v.collection, cimi.ListOptions{Filter: []string{"id='" + strings.ReplaceAll(v.member, "'", "") + "'"}})
	if err != nil {
		return nil, nil, err
	}
	for _, item := range c.Items {
		if item.Base().ID == v.member {
			return c, item, nil
		}
	}
	return nil, nil, cimi.Errorf(http.StatusNotFound, "no such resource: %s in %s", v.member, v.collection)
}

func (q *request) wrap(v viewID, item cimi.Resource) (cimi.Resource, error) {
	expand := q.readOptions().Expand
	all := slices.Contains(expand, "*") || slices.Contains(expand, strings.ToLower(cimi.Wrapped(v.wrapper)[:1])+cimi.Wrapped(v.wrapper)[1:]) ||
		v.wrapper == "MachineVolume" && slices.Contains(expand, "volume") || v.wrapper == "MachineSnapshot" && slices.Contains(expand, "snapshot")
	w := cimi.Wrap(v.wrapper, view1(v.collection, v.wrapper)+"/"+item.Base().ID, item, all)
	if n, ok := w.(*cimi.MachineNetworkInterface); ok {
		if err := q.connect(n, item); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// connect finds MAC address and network of an interface: those of its
// Ethernet endpoint and of the segment's network.
func (q *request) connect(n *cimi.MachineNetworkInterface, item cimi.Resource) error {
	i, ok := item.(*cimi.NetworkInterface)
	if !ok || i.Endpoints == nil || i.Endpoints.Href == "" {
		return nil
	}
	for e, err := range cimi.All(q.Context(), q.p, i.Endpoints.Href, cimi.ListOptions{}) {
		if cimi.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		p, ok := e.(*cimi.ProtocolEndpoint)
		if !ok || p.Protocol != "Ethernet" {
			continue
		}
		n.MACAddress = p.Address
		if id := q.networkOf(q.Context(), cimi.HrefOf(p.Parent)); id != "" {
			n.Network = cimi.RefTo[cimi.Network](id)
		}
		return nil
	}
	return nil
}

// networkOf climbs from an endpoint's parent to its Network.
func (q *request) networkOf(ctx context.Context, id string) string {
	for range 6 {
		if id == "" || id == "." {
			return ""
		}
		r, err := q.p.Get(ctx, id, cimi.ReadOptions{})
		if err != nil {
			return ""
		}
		switch parent := cimi.HrefOf(r.Base().Parent); {
		case r.TypeName() == "Network":
			return id
		case parent != "":
			id = parent
		default:
			id = path.Dir(id)
		}
	}
	return ""
}

// postView adds to a collection of wrappers: a …Create request makes a new
// resource there, a wrapper inserts one that is there (2.0: insert).
func (q *request) postView(v viewID) error {
	b, err := q.body()
	if err != nil {
		return err
	}
	r, err := q.decode(b, v.wrapper)
	if err != nil {
		return err
	}
	if r.TypeName() != v.wrapper {
		acc, err := q.p.Create(q.Context(), v.collection, r)
		if err != nil {
			return err
		}
		return q.accepted(acc, true)
	}
	item, _ := cimi.Unwrap(r)
	id := item.Base().ID
	if id == "" {
		return cimi.Errorf(http.StatusBadRequest, "%s: the reference is missing", v.wrapper)
	}
	acc, err := q.invokeMember(v, cimi.ActionInsert, item)
	if err != nil {
		return err
	}
	if acc.Location == "" {
		acc.Location = view1(v.collection, v.wrapper) + "/" + id
	}
	acc.Resource = nil
	if acc.Done { // what was made is the entry
		if _, item, err := q.member(viewID{v.collection, v.wrapper, id}); err == nil {
			if acc.Resource, err = q.wrap(v, item); err != nil {
				return err
			}
		}
	}
	return q.accepted(acc, true)
}

func (q *request) deleteView(v viewID) error {
	_, item, err := q.member(v)
	if err != nil {
		return err
	}
	acc, err := q.invokeMember(v, cimi.ActionRemove, item)
	if err != nil {
		return err
	}
	return q.accepted(acc, false)
}

// invokeMember runs insert or remove with a reference to the resource.
func (q *request) invokeMember(v viewID, action string, item cimi.Resource) (*cimi.Accepted, error) {
	a := &cimi.Action{Action: action}
	id := item.Base().ID
	switch v.wrapper {
	case "SystemSystem":
		a.System = cimi.RefTo[cimi.System](id)
	case "SystemMachine":
		a.Machine = cimi.RefTo[cimi.Machine](id)
	case "SystemVolume":
		a.Volume = cimi.RefTo[cimi.Volume](id)
	case "SystemCredential":
		a.Credential = cimi.RefTo[cimi.Credential](id)
	case "SystemAddress":
		a.Address = cimi.RefTo[cimi.Address](id)
	case "SystemNetworkPort", "NetworkNetworkPort":
		a.NetworkPort = cimi.RefTo[cimi.NetworkPort](id)
	case "SystemForwardingGroup":
		a.ForwardingGroup = cimi.RefTo[cimi.ForwardingGroup](id)
	case "SystemNetwork":
		a.Network = cimi.RefTo[cimi.Network](id)
	case "MachineVolume":
		a.Volume = cimi.RefTo[cimi.Volume](id)
		if l, ok := item.(*cimi.LocatedVolume); ok && action == cimi.ActionInsert {
			a.InitialLocation = l.InitialLocation
		}
	case "MachineSnapshot":
		a.MachineImage = cimi.RefTo[cimi.MachineImage](id)
	case "VolumeVolumeImage":
		a.VolumeImage = cimi.RefTo[cimi.VolumeImage](id)
	default:
		a.NetworkInterface = cimi.RefTo[cimi.NetworkInterface](id)
	}
	return q.p.Invoke(q.Context(), v.collection, a)
}

// select1 names what a whole update in 1.x replaces: what 1.x cannot say stays.
func (q *request) select1(r cimi.Resource) []string {
	var names []string
	for _, a := range cimi.Attributes(r.TypeName()) {
		if a.In(cimi.V1) && !(a.WriteOnly && cimi.Value(r, a.Name) == nil) {
			names = append(names, a.Name)
		}
	}
	return append(append(names, cimi.ExtensionAttributes()...), q.o.Extensions...)
}

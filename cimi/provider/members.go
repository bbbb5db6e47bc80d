package provider

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/host"
)

// collectionOperations are those that a collection offers (5.5.12).
func (p *Provider) collectionOperations(w *world, id string) []cimi.Operation {
	var out []cimi.Operation
	if p.addable(w, id) == nil {
		out = append(out, operation(cimi.RelAdd, id))
	}
	if p.insertable(w, id) == nil {
		out = append(out, operation(cimi.RelInsert, id), operation(cimi.RelRemove, id))
	}
	if id == "systems" || id == "systemTemplates" {
		out = append(out, operation(cimi.ActionImport, id))
	}
	if id == "systems" {
		out = append(out, operation(cimi.RelReach, reachID))
		if p.forgets() {
			out = append(out, operation(cimi.RelForget, id))
		}
	}
	return out
}

// ownerOf takes the id of a collection of a resource apart.
func ownerOf(collection string) (owner, kind, key, attr string) {
	i := strings.LastIndexByte(collection, '/')
	if i < 0 {
		return "", "", "", collection
	}
	owner, attr = collection[:i], collection[i+1:]
	kind, key, _ = strings.Cut(owner, "/")
	return owner, kind, key, attr
}

var errNoMaker = cimi.Errorf(http.StatusMethodNotAllowed, "this cloud makes no part by itself: import a package, or create a System")

// addable says why nothing can be added to a collection; nil when it can.
func (p *Provider) addable(w *world, id string) error {
	owner, kind, key, attr := ownerOf(id)
	if owner == "" {
		switch attr {
		case "jobs", "events", "samples", "disks", "services":
			return cimi.Errorf(http.StatusMethodNotAllowed, "%s: nothing can be added", id)
		case "machines", "volumes", "networks":
			if p.maker() == nil {
				return errNoMaker
			}
		case "interfaces": // they belong to machines: see machines/…/interfaces
			return cimi.Errorf(http.StatusMethodNotAllowed, "interfaces are added to a Machine's")
		}
		return nil
	}
	switch kind + " " + attr {
	case "systems systems", "systems machines", "systems volumes", "systems networks":
		if p.maker() == nil {
			return errNoMaker
		}
		return nil
	case "systems credentials", "systems networkServices", "systems services", "networks segments", "networks services", "segments endpoints",
		"systems addresses", "systems networkPorts", "systems forwardingGroups", "networks networkPorts":
		return nil
	case "networks subnetworks":
		if p.maker() == nil {
			return errNoMaker
		}
		return nil
	case "machines disks", "machines volumes", "machines interfaces":
		if p.maker() == nil {
			return errNoMaker
		}
		if m := w.machine[key]; m.Machine == nil || m.State != host.Stopped {
			return cimi.Errorf(http.StatusConflict, "%s: %w: stop the machine first", owner, host.ErrBusy)
		}
		return nil
	}
	if attr == "meters" {
		if _, ok := p.host.(host.Gauge); ok && (kind == "systems" || kind == "machines" || kind == "volumes") {
			return nil
		}
	}
	return cimi.Errorf(http.StatusMethodNotAllowed, "%s: nothing can be added", id)
}

// insertable says why no existing resource can be inserted into a collection,
// or removed from it; nil when it can.
func (p *Provider) insertable(w *world, id string) error {
	_, kind, key, attr := ownerOf(id)
	no := cimi.Errorf(http.StatusMethodNotAllowed, "%s: nothing can be inserted or removed", id)
	switch kind + " " + attr {
	case "systems machines", "systems volumes", "systems networks", "systems systems":
		if p.maker() == nil {
			return errNoMaker
		}
		return nil
	case "machines volumes":
		if p.maker() == nil {
			return errNoMaker
		}
		if m := w.machine[key]; m.Machine == nil || m.State != host.Stopped {
			return cimi.Errorf(http.StatusConflict, "machines/%s: %w: stop the machine first", key, host.ErrBusy)
		}
		return nil
	case "systems credentials", "systems networkServices", "networks services", "networks subnetworks", "segments endpoints",
		"interfaces endpoints", "networkServices endpoints", "networkServices segments", "services volumes", "services systems",
		"systems addresses", "systems networkPorts", "systems forwardingGroups", "networks networkPorts":
		return nil
	case "networks segments":
		return nil
	}
	return no
}

// insertedRef is the resource that an insert or remove names (5.5.12.2).
func insertedRef(a *cimi.Action, item string) string {
	switch item {
	case "System":
		return cimi.HrefOf(a.System)
	case "Machine", "RecoverableMachine":
		return cimi.HrefOf(a.Machine)
	case "Volume", "locatedVolume":
		return cimi.HrefOf(a.Volume)
	case "Network":
		return cimi.HrefOf(a.Network)
	case "Credential":
		return cimi.HrefOf(a.Credential)
	case "ProtocolSegment":
		return cimi.HrefOf(a.ProtocolSegment)
	case "ProtocolEndpoint":
		return cimi.HrefOf(a.ProtocolEndpoint)
	case "NetworkService":
		return cimi.HrefOf(a.NetworkService)
	case "Address":
		return cimi.HrefOf(a.Address)
	case "NetworkPort":
		return cimi.HrefOf(a.NetworkPort)
	case "ForwardingGroup":
		return cimi.HrefOf(a.ForwardingGroup)
	}
	return ""
}

// invokeCollection runs an operation of a collection: import, insert, remove.
func (p *Provider) invokeCollection(ctx context.Context, id string, a *cimi.Action) (*cimi.Accepted, error) {
	w, done, err := p.look(ctx)
	if err != nil {
		return nil, err
	}
	_, item, err := p.sources(ctx, w, id)
	insertable := error(nil)
	if err == nil {
		insertable = p.insertable(w, id)
	}
	done()
	if err != nil {
		return nil, err
	}
	switch a.Action {
	case cimi.ActionImport:
		if id != "systems" && id != "systemTemplates" {
			return nil, cimi.Errorf(http.StatusBadRequest, "%s imports nothing", id)
		}
		r, err := parseImport(a)
		if err != nil {
			return nil, err
		}
		open, err := p.openSource(a.Source, r)
		if err != nil {
			return nil, err
		}
		if id == "systems" {
			return p.importSystem(ctx, open, r)
		}
		return p.importTemplate(ctx, open, r)
	case cimi.RelForget:
		return p.forgetKept(ctx, id, a)
	case cimi.ActionInsert, cimi.ActionRemove:
		if insertable != nil {
			return nil, insertable
		}
		member := plainID(insertedRef(a, item))
		if member == "" {
			return nil, cimi.Errorf(http.StatusBadRequest, "the reference to the %s is missing", strings.TrimPrefix(item, "located"))
		}
		if a.Action == cimi.ActionInsert {
			return p.insert(ctx, id, item, member, a)
		}
		return p.removeEntry(ctx, id, member, a)
	}
	return nil, cimi.Errorf(http.StatusBadRequest, "%s has no operation %.120q", id, a.Action)
}

// insert adds a reference to an existing resource to a collection (5.5.12.2).
func (p *Provider) insert(ctx context.Context, collection, item, member string, a *cimi.Action) (*cimi.Accepted, error) {
	owner, kind, key, attr := ownerOf(collection)
	r, err := p.read(ctx, member)
	if err != nil || r == nil {
		return nil, orBad(err, "%s: no such resource", member)
	}
	if want := strings.Replace(item, "locatedVolume", "Volume", 1); r.TypeName() != want {
		return nil, cimi.Errorf(http.StatusBadRequest, "%s: expected a %s, it is a %s", member, want, r.TypeName())
	}
	if held, err := p.holds(ctx, collection, member); err != nil || held {
		if err == nil {
			err = cimi.Errorf(http.StatusConflict, "%s: %s is there already", collection, member)
		}
		return nil, err
	}
	c := &change{}
	switch {
	case kind == "machines" && attr == "volumes":
		if err := p.attach(ctx, key, strings.TrimPrefix(member, "volumes/"), a.InitialLocation); err != nil {
			return nil, err
		}
	case kind == "systems" && slices.Contains([]string{"machines", "volumes", "networks", "systems"}, attr):
		if err := p.associate(ctx, key, member); err != nil {
			return nil, err
		}
	case kind == "segments" && attr == "endpoints":
		if err := p.putEndpoint(ctx, c, owner, member); err != nil {
			return nil, err
		}
	case kind == "interfaces" && attr == "endpoints":
		if err := p.connectCard(ctx, c, key, member); err != nil {
			return nil, err
		}
	case kind == "networks" && attr == "segments":
		if err := p.putSegment(ctx, c, owner, member); err != nil {
			return nil, err
		}
	case kind == "networks" && attr == "subnetworks" && p.within(member, owner):
		return nil, cimi.Errorf(http.StatusConflict, "%s contains %s already", member, owner)
	default:
		c.link(p, collection, member, extra{})
	}
	return p.acceptCollection(ctx, c, a.Action, collection, member)
}

// holds tells whether a resource is an entry of a collection.
func (p *Provider) holds(ctx context.Context, collection, member string) (bool, error) {
	q, err := cimi.ParseQuery(cimi.ListOptions{Filter: []string{"id='" + strings.ReplaceAll(member, "'", "") + "'"}})
	if err != nil {
		return false, err
	}
	c, err := p.collect(ctx, collection, q)
	return err == nil && len(c.Items) > 0, err
}

// removeEntry takes an entry out of a collection; the resource stays (5.5.12.3).
func (p *Provider) removeEntry(ctx context.Context, collection, member string, a *cimi.Action) (*cimi.Accepted, error) {
	_, kind, key, attr := ownerOf(collection)
	held, err := p.holds(ctx, collection, member)
	if err != nil || !held {
		return nil, orBad(err, "%s is no entry of %s", member, collection)
	}
	c := &change{}
	switch {
	case kind == "machines" && attr == "volumes":
		err = p.detachVolume(ctx, key, strings.TrimPrefix(member, "volumes/"))
	case kind == "systems" && slices.Contains([]string{"machines", "volumes", "networks", "systems"}, attr):
		err = p.dissociate(ctx, key, member)
	case kind == "segments" && attr == "endpoints":
		err = p.takeEndpoint(ctx, c, member)
	case kind == "interfaces" && attr == "endpoints":
		err = p.disconnectCard(ctx, c, key)
	case kind == "networks" && attr == "segments":
		err = p.takeSegment(ctx, c, member)
	default:
		err = p.unlinkChild(ctx, c, collection, member)
	}
	if err != nil {
		return nil, err
	}
	return p.acceptCollection(ctx, c, a.Action, collection, member)
}

// acceptCollection answers a change of a collection with it.
func (p *Provider) acceptCollection(ctx context.Context, c *change, action, collection, member string) (*cimi.Accepted, error) {
	c.event(p, event{target: first(collection), typ: eventModel, outcome: "Success", severity: "low",
		content: map[string]any{"resName": collection, "resource": first(collection), "resType": cimi.TypeURI(typeOfID(collection)),
			"change": "update", "detail": lastWord(action) + " " + member}})
	j, err := p.done(c, action, collection, member)
	if err != nil {
		return nil, err
	}
	col, err := p.List(ctx, collection, cimi.ListOptions{Last: 1000})
	if err != nil {
		return nil, err
	}
	return &cimi.Accepted{Job: j.ID, Done: true, Resource: col}, nil
}

// first is the resource that a collection belongs to.
func first(collection string) string {
	owner, _, _, _ := ownerOf(collection)
	return owner
}

// unlinkChild takes an entry out that a link makes. A child goes back to the
// collection of the entry point: it must still exist outside (5.5.12).
func (p *Provider) unlinkChild(ctx context.Context, c *change, collection, member string) error {
	c.unlink(p, collection, member)
	r, err := p.db.get(ctx, member)
	if err != nil || r == nil {
		return err
	}
	if plainID(cimi.HrefOf(r.Base().Parent)) == collection {
		kind, _, _ := strings.Cut(member, "/")
		r.Base().Parent = ref(kind)
		c.put(kind, r)
	}
	return nil
}

// within tells whether a network is a subnetwork of another, however deep.
func (p *Provider) within(outer, inner string) bool {
	seen := map[string]bool{}
	var walk func(id string) bool
	walk = func(id string) bool {
		if id == inner {
			return true
		}
		if seen[id] {
			return false
		}
		seen[id] = true
		for _, l := range p.links.of(id + "/subnetworks") {
			if walk(l.member) {
				return true
			}
		}
		return false
	}
	return walk(outer)
}

// moveStored brings a stored resource to the collection that next names as its parent.
func (p *Provider) moveStored(ctx context.Context, c *change, id string, was, next cimi.Resource) error {
	kind, _, _ := strings.Cut(id, "/")
	from, to := plainID(cimi.HrefOf(was.Base().Parent)), plainID(cimi.HrefOf(next.Base().Parent))
	if to == "" || to == entryPoint {
		to = kind
		if from == "" {
			from = kind
		}
	}
	if from == to {
		return nil
	}
	if to != kind {
		owner, _, _, attr := ownerOf(to)
		item, ok := memberItem(owner, attr)
		if !ok || item != was.TypeName() {
			return cimi.Errorf(http.StatusBadRequest, "parent: %.200q is no collection of a %s", to, was.TypeName())
		}
		w, done, err := p.look(ctx)
		if err != nil {
			return err
		}
		there, err := p.there(ctx, w, owner)
		insertable := p.insertable(w, to)
		done()
		if err != nil || !there {
			return orBad(err, "parent: %s: no such resource", owner)
		}
		if insertable != nil {
			return insertable
		}
		c.link(p, to, id, extra{})
	}
	if from != kind {
		c.unlink(p, from, id)
	}
	next.Base().Parent = ref(to)
	return nil
}

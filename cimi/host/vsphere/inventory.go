package vsphere

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// inventory is what a datacenter holds at one moment.
type inventory struct {
	machines []mo.VirtualMachine
	apps     []mo.VirtualApp
	networks map[string]string                         // names by key: reference, and of port groups their key too
	byName   map[string][]types.ManagedObjectReference // networks and port groups

	byID  map[string]*mo.VirtualMachine // by id of ours
	byApp map[string]*mo.VirtualApp
}

var (
	machineProperties = []string{"name", "parent", "resourcePool", "runtime", "config", "snapshot"}
	appProperties     = []string{"name", "parent", "parentFolder", "vAppConfig"}
	groupProperties   = []string{"name", "key", "tag"}
	networkProperties = []string{"name"}
)

// view shows what the datacenter holds of some kinds, until it is destroyed.
func (h *Host) view(ctx context.Context, kinds ...string) (*view.ContainerView, error) {
	v, err := view.NewManager(h.conn.Client).CreateContainerView(ctx, h.place.datacenter.Reference(), kinds, true)
	return v, explain(err)
}

// look reads the datacenter.
func (h *Host) look(ctx context.Context) (*inventory, error) {
	v, err := h.view(ctx, "VirtualMachine", "VirtualApp", "Network", "OpaqueNetwork", "DistributedVirtualPortgroup")
	if err != nil {
		return nil, err
	}
	defer v.Destroy(context.WithoutCancel(ctx))
	i := &inventory{networks: map[string]string{}, byName: map[string][]types.ManagedObjectReference{}, byID: map[string]*mo.VirtualMachine{}, byApp: map[string]*mo.VirtualApp{}}
	var groups []mo.DistributedVirtualPortgroup
	var all []types.ObjectContent
	if err := v.Retrieve(ctx, []string{"VirtualMachine"}, machineProperties, &all,
		types.PropertySpec{Type: "VirtualApp", PathSet: appProperties}, types.PropertySpec{Type: "DistributedVirtualPortgroup", PathSet: groupProperties}); err != nil {
		return nil, explain(err)
	}
	for kind, dst := range map[string]any{"VirtualMachine": &i.machines, "VirtualApp": &i.apps, "DistributedVirtualPortgroup": &groups} {
		if err := mo.LoadObjectContent(ofKind(all, kind), dst); err != nil {
			return nil, explain(err)
		}
	}
	// Port groups are Networks too: of two sets of properties that hold for one
	// object in one call it is not said which counts.
	var networks []mo.Network
	if err := v.Retrieve(ctx, []string{"Network"}, networkProperties, &networks); err != nil {
		return nil, explain(err)
	}
	for _, n := range networks {
		if n.Self.Type == "DistributedVirtualPortgroup" {
			continue // a Network too, read above
		}
		n.Name = unescaped(n.Name)
		i.networks[n.Self.Value] = n.Name
		i.byName[n.Name] = append(i.byName[n.Name], n.Self)
	}
	for _, g := range groups {
		g.Name = unescaped(g.Name)
		i.networks[g.Self.Value], i.networks[g.Key] = g.Name, g.Name
		if !strings.Contains(g.Name, "-DVUplinks-") && !slices.ContainsFunc(g.Tag, func(t types.Tag) bool { return t.Key == uplinks }) {
			i.byName[g.Name] = append(i.byName[g.Name], g.Self)
		}
	}
	for k := range i.machines {
		if vm := &i.machines[k]; vm.Config != nil && !vm.Config.Template {
			i.byID[machineID(vm)] = vm
		}
	}
	for k := range i.apps {
		i.byApp[appID(&i.apps[k])] = &i.apps[k]
	}
	return i, nil
}

func ofKind(all []types.ObjectContent, kind string) (out []types.ObjectContent) {
	for _, c := range all {
		if c.Obj.Type == kind {
			out = append(out, c)
		}
	}
	return out
}

// machineID is the id of a machine: its instance UUID, which the vCenter keeps
// unique, and which we choose for the machines that we make.
func machineID(vm *mo.VirtualMachine) string {
	if id := idOf(vm.Config.InstanceUuid); id != "" {
		return id
	}
	return vm.Self.Value
}

func appID(a *mo.VirtualApp) string {
	if a.VAppConfig != nil {
		if id := idOf(a.VAppConfig.InstanceUuid); id != "" {
			return id
		}
	}
	return a.Self.Value
}

// idOf is a UUID as an id, empty where it is none.
func idOf(uuid string) string {
	id := strings.ToLower(strings.ReplaceAll(uuid, "-", ""))
	if b, err := hex.DecodeString(id); err != nil || len(b) != 16 {
		return ""
	}
	return id
}

// uuidOf is an id as a UUID, empty where it cannot be one.
func uuidOf(id string) string {
	if idOf(id) != id {
		return ""
	}
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// machine reads one machine by id; nil when there is none.
func (h *Host) machine(ctx context.Context, id string) (*mo.VirtualMachine, error) {
	ref := &types.ManagedObjectReference{Type: "VirtualMachine", Value: id}
	if uuid := uuidOf(id); uuid != "" {
		var err error
		if ref, err = h.findUUID(ctx, uuid); err != nil || ref == nil {
			return nil, err
		}
	} else if !strings.HasPrefix(id, "vm-") {
		return nil, nil
	}
	var vm mo.VirtualMachine
	err := property.DefaultCollector(h.conn.Client).RetrieveOne(ctx, *ref, machineProperties, &vm)
	if isFault[*types.ManagedObjectNotFound](err) {
		return nil, nil
	}
	if err != nil {
		return nil, explain(err)
	}
	if vm.Config == nil || vm.Config.Template {
		return nil, nil
	}
	return &vm, nil
}

// findUUID finds the machine with an instance UUID in the datacenter; nil when
// there is none.
func (h *Host) findUUID(ctx context.Context, uuid string) (*types.ManagedObjectReference, error) {
	ref, err := object.NewSearchIndex(h.conn.Client).FindByUuid(ctx, h.place.datacenter, uuid, true, types.NewBool(true))
	if err != nil {
		return nil, explain(err)
	}
	if ref == nil {
		return nil, nil
	}
	out := ref.Reference()
	return &out, nil
}

// Inventory names have three characters escaped, which are parts of paths there.
var (
	unescaper = strings.NewReplacer("%2f", "/", "%2F", "/", "%5c", "\\", "%5C", "\\", "%25", "%")
	escaper   = strings.NewReplacer("/", "%2f", "\\", "%5c", "%", "%25")
)

func unescaped(name string) string { return unescaper.Replace(name) }
func escaped(name string) string   { return escaper.Replace(name) }

// uplinks marks a switch's port group towards the wire, which takes no cards.
const uplinks = "SYSTEM/DVS.UPLINKPG"

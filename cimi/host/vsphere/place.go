package vsphere

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
)

// place is where in a vCenter a Host works.
type place struct {
	conn       *connection
	finder     *find.Finder
	datacenter *object.Datacenter
	pool       *object.ResourcePool
	folder     *object.Folder
	datastore  *object.Datastore // of disks that are not mapped
	records    *object.Datastore
	network    string   // of cards whose network has no counterpart; may be empty
	disk       string   // thin, thick, eager
	versions   []string // of virtual hardware, newest first
	vApps      bool     // the pool takes vApps
}

// findPlace finds what a URI names, and the rest where it serves best.
func findPlace(ctx context.Context, conn *connection, u *url.URL) (*place, error) {
	p := &place{conn: conn, finder: find.NewFinder(conn.Client, false), network: u.Query().Get("network"), disk: u.Query().Get("disk")}
	for key := range u.Query() {
		if !slices.Contains([]string{"datastore", "records", "pool", "folder", "network", "disk", "spool"}, key) {
			return nil, fmt.Errorf("%q means nothing in the URL; it may have datastore, records, pool, folder, network, disk, spool", key)
		}
	}
	switch p.disk {
	case "":
		p.disk = "thin"
	case "thin", "thick", "eager":
	default:
		return nil, fmt.Errorf("disk %q is none of thin, thick, eager", p.disk)
	}
	var err error
	if p.datacenter, err = p.finder.DatacenterOrDefault(ctx, strings.Trim(u.Path, "/")); err != nil {
		return nil, p.candidates(ctx, "datacenter", err)
	}
	p.finder.SetDatacenter(p.datacenter)
	if err := p.findPool(ctx, u.Query().Get("pool")); err != nil {
		return nil, err
	}
	if p.folder, err = p.finder.FolderOrDefault(ctx, u.Query().Get("folder")); err != nil {
		return nil, p.candidates(ctx, "folder", err)
	}
	if err := p.findDatastores(ctx, u.Query().Get("datastore"), u.Query().Get("records")); err != nil {
		return nil, err
	}
	if p.network != "" {
		if _, err := p.finder.Network(ctx, p.network); err != nil {
			return nil, p.candidates(ctx, "network", err)
		}
	}
	return p, nil
}

// candidates adds to an error of the finder what there is to choose from.
func (p *place) candidates(ctx context.Context, what string, err error) error {
	var none *find.NotFoundError
	var many *find.MultipleFoundError
	var noDefault *find.DefaultNotFoundError
	var manyDefault *find.DefaultMultipleFoundError
	if !errors.As(err, &none) && !errors.As(err, &many) && !errors.As(err, &noDefault) && !errors.As(err, &manyDefault) {
		return explain(err)
	}
	var names []string
	switch what {
	case "datacenter":
		all, _ := p.finder.DatacenterList(ctx, "*")
		names = paths(all, func(o *object.Datacenter) string { return o.InventoryPath })
	case "datastore":
		all, _ := p.finder.DatastoreList(ctx, "*")
		names = paths(all, func(o *object.Datastore) string { return o.InventoryPath })
	case "resource pool":
		all, _ := p.finder.ResourcePoolList(ctx, "*")
		names = paths(all, func(o *object.ResourcePool) string { return o.InventoryPath })
	case "network":
		names = p.networkNames(ctx)
	case "folder":
		all, _ := p.finder.FolderList(ctx, "*")
		names = paths(all, func(o *object.Folder) string { return o.InventoryPath })
	}
	if len(names) == 0 {
		return fmt.Errorf("%s: %w: %w", what, err, host.ErrNotFound)
	}
	return fmt.Errorf("%s: %w; there are: %s: %w", what, err, strings.Join(names, ", "), host.ErrNotFound)
}

func paths[T any](all []T, path func(T) string) []string {
	var out []string
	for _, o := range all {
		out = append(out, path(o))
	}
	slices.Sort(out)
	return out
}

func (p *place) networkNames(ctx context.Context) []string {
	all, err := p.finder.NetworkList(ctx, "*")
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range all {
		if _, isSwitch := n.(*object.DistributedVirtualSwitch); !isSwitch {
			out = append(out, n.GetInventoryPath()[strings.LastIndexByte(n.GetInventoryPath(), '/')+1:])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// findPool takes a resource pool, or the one of a cluster or host; without a
// name the only one, else that of the first cluster or host that runs.
func (p *place) findPool(ctx context.Context, name string) error {
	pool, err := p.finder.ResourcePoolOrDefault(ctx, name)
	if err != nil {
		var all []*object.ComputeResource
		if name == "" {
			all, _ = p.finder.ComputeResourceList(ctx, "*")
		} else {
			all, _ = p.finder.ComputeResourceList(ctx, name)
		}
		if len(all) == 0 || name != "" && len(all) > 1 {
			return p.candidates(ctx, "resource pool", err)
		}
		if pool, err = all[0].ResourcePool(ctx); err != nil {
			return explain(err)
		}
	}
	p.pool = pool
	var owner mo.ResourcePool
	pc := property.DefaultCollector(p.conn.Client)
	if err := pc.RetrieveOne(ctx, pool.Reference(), []string{"owner"}, &owner); err != nil {
		return explain(err)
	}
	if owner.Owner.Type == "ClusterComputeResource" {
		var cluster mo.ClusterComputeResource
		if err := pc.RetrieveOne(ctx, owner.Owner, []string{"configurationEx", "environmentBrowser"}, &cluster); err != nil {
			return explain(err)
		}
		if c, ok := cluster.ConfigurationEx.(*types.ClusterConfigInfoEx); ok && c.DrsConfig.Enabled != nil {
			p.vApps = *c.DrsConfig.Enabled
		}
		return p.findVersions(ctx, cluster.EnvironmentBrowser)
	}
	var single mo.ComputeResource
	if err := pc.RetrieveOne(ctx, owner.Owner, []string{"environmentBrowser"}, &single); err != nil {
		return explain(err)
	}
	p.vApps = true
	return p.findVersions(ctx, single.EnvironmentBrowser)
}

// findVersions asks which versions of virtual hardware run there.
func (p *place) findVersions(ctx context.Context, browser *types.ManagedObjectReference) error {
	if browser == nil {
		return nil
	}
	res, err := methods.QueryConfigOptionDescriptor(ctx, p.conn, &types.QueryConfigOptionDescriptor{This: *browser})
	if err != nil {
		return explain(err)
	}
	for _, d := range res.Returnval {
		if d.CreateSupported {
			p.versions = append(p.versions, d.Key)
		}
	}
	slices.SortFunc(p.versions, func(a, b string) int { return hardware(b) - hardware(a) })
	return nil
}

// hardware is the number of a version of virtual hardware: 21 of vmx-21.
func hardware(version string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(version), "vmx-"))
	return n
}

// findDatastores takes those for disks and for records: without a name the one
// with the most space for disks, and for records the first by name, since they
// must be found again whatever else changes.
func (p *place) findDatastores(ctx context.Context, name, records string) (err error) {
	var all []mo.Datastore
	if name == "" || records == "" {
		if all, err = p.datastores(ctx, nil); err != nil {
			return err
		}
		p.datastore, p.records = p.roomiest(all), p.object(all[0])
	}
	if name != "" {
		if p.datastore, err = p.findDatastore(ctx, name); err != nil {
			return err
		}
	}
	if records != "" {
		if p.records, err = p.finder.Datastore(ctx, records); err != nil {
			return p.candidates(ctx, "datastore", err)
		}
	}
	return nil
}

// findDatastore takes a datastore, or the one of a datastore cluster with the
// most space.
func (p *place) findDatastore(ctx context.Context, name string) (*object.Datastore, error) {
	ds, err := p.finder.Datastore(ctx, name)
	if err == nil {
		return ds, nil
	}
	pod, podErr := p.finder.DatastoreCluster(ctx, name)
	if podErr != nil {
		return nil, p.candidates(ctx, "datastore", err)
	}
	var m mo.StoragePod
	if err := property.DefaultCollector(p.conn.Client).RetrieveOne(ctx, pod.Reference(), []string{"childEntity"}, &m); err != nil {
		return nil, explain(err)
	}
	all, err := p.datastores(ctx, m.ChildEntity)
	if err != nil {
		return nil, err
	}
	return p.roomiest(all), nil
}

// datastores are those among refs, all without, that can be written to, by
// name; there is at least one.
func (p *place) datastores(ctx context.Context, refs []types.ManagedObjectReference) ([]mo.Datastore, error) {
	if refs == nil {
		found, err := p.finder.DatastoreList(ctx, "*")
		if err != nil {
			return nil, p.candidates(ctx, "datastore", err)
		}
		for _, ds := range found {
			refs = append(refs, ds.Reference())
		}
	}
	var all []mo.Datastore
	if len(refs) > 0 {
		if err := property.DefaultCollector(p.conn.Client).Retrieve(ctx, refs, []string{"name", "summary", "host"}, &all); err != nil {
			return nil, explain(err)
		}
	}
	all = slices.DeleteFunc(all, func(ds mo.Datastore) bool { return !ds.Summary.Accessible || !writable(ds) })
	slices.SortFunc(all, func(a, b mo.Datastore) int { return strings.Compare(a.Name, b.Name) })
	if len(all) == 0 {
		return nil, fmt.Errorf("no datastore that can be written to: %w", host.ErrNotFound)
	}
	return all, nil
}

func writable(ds mo.Datastore) bool {
	for _, h := range ds.Host {
		if h.MountInfo.AccessMode != string(types.HostMountModeReadOnly) {
			return true
		}
	}
	return len(ds.Host) == 0
}

// roomiest is the one with the most space, of equal ones the first.
func (p *place) roomiest(all []mo.Datastore) *object.Datastore {
	best := all[0]
	for _, ds := range all[1:] {
		if ds.Summary.FreeSpace > best.Summary.FreeSpace {
			best = ds
		}
	}
	return p.object(best)
}

func (p *place) object(m mo.Datastore) *object.Datastore {
	ds := object.NewDatastore(p.conn.Client, m.Self)
	ds.DatacenterPath, ds.InventoryPath = p.datacenter.InventoryPath, p.datacenter.InventoryPath+"/datastore/"+m.Name
	return ds
}

func (h *Host) freeBytes(ctx context.Context) (int64, error) {
	var ds mo.Datastore
	if err := property.DefaultCollector(h.conn.Client).RetrieveOne(ctx, h.place.datastore.Reference(), []string{"summary"}, &ds); err != nil {
		return -1, explain(err)
	}
	return ds.Summary.FreeSpace, nil
}

package migrate_test

import (
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestMACIsTaken: an address that is kept, and that something on the network of
// the destination has already, refuses the plan unless its rule is allowed;
// elsewhere at the destination it is told of. With packages and by resources.
func TestMACIsTaken(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	for _, name := range []string{"office", "plant"} {
		b.add("networks", &cimi.NetworkCreate{Common: cimi.Common{Name: name}, NetworkTemplate: cimi.RefBy(&cimi.NetworkTemplate{InitialState: cimi.StateStarted})})
	}
	src, dst := a.remote(), b.remote()
	office := map[string]string{"front": "office"}
	if rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Name: "first", Nets: office}); err != nil || !rep.Verified {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		nets     map[string]string
		mac      string
		allow    []string
		replace  bool
		severity ovf.Severity // empty: no finding
		refused  bool
	}{
		"same network":                       {office, "keep", nil, false, ovf.Error, true},
		"allowed":                            {office, "keep", []string{migrate.RuleMAC}, false, ovf.Error, false},
		"another network":                    {map[string]string{"front": "plant"}, "keep", nil, false, ovf.Warning, false},
		"a new network":                      {nil, "keep", nil, false, ovf.Warning, false},
		"others given":                       {office, "regenerate", nil, false, "", false},
		"what has it goes when this is done": {office, "keep", nil, true, "", false},
	} {
		for _, via := range []migrate.Via{migrate.ViaRelay, migrate.ViaResources} {
			t.Run(name+", "+string(via), func(t *testing.T) {
				o := migrate.Options{Source: src, Destination: dst, System: "shop", Name: "second", Nets: c.nets, MAC: c.mac, Allow: c.allow, Via: via}
				if c.replace {
					o.Name, o.IfExists = "first", migrate.ExistsReplace
				}
				p, err := migrate.NewPlan(t.Context(), o)
				if c.refused {
					wantClass(t, err, migrate.ClassRefused, migrate.Destination)
				} else if err != nil {
					t.Fatal(err)
				}
				f := finding(p, migrate.RuleMAC, "machine web")
				if (f == nil) != (c.severity == "") || f != nil && f.Severity != c.severity {
					t.Errorf("finding %+v", f)
				}
			})
		}
	}
}

// nestedSystem is a System around another, a machine with a disk in each.
func nestedSystem(t *testing.T) []byte {
	t.Helper()
	machine := func(id, disk string) ovf.DraftContent {
		return ovf.DraftContent{ID: id, Name: id, Hardware: []ovf.DraftHardware{hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, Address: "0"}, hosttest.OnController("3", 0, disk))}}
	}
	return hosttest.Archive(t, ovf.Draft{
		Disks: []ovf.Disk{{ID: "d1", Capacity: "3145728", PopulatedSize: -1}, {ID: "d2", Capacity: "1048576", PopulatedSize: -1}},
		Content: ovf.DraftContent{Collection: true, ID: "outer", Name: "shop", Children: []ovf.DraftContent{machine("front", "d1"),
			{Collection: true, ID: "inner", Name: "back office", Children: []ovf.DraftContent{machine("books", "d2")}}}}})
}

// TestResourcesNested: by resources, Systems within a System arrive where they
// were, over HTTP and in either dialect.
func TestResourcesNested(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, v := range map[string][2]cimi.Version{"2.0": {cimi.V2, cimi.V2}, "1.x": {cimi.V1, cimi.V1}, "1.x to 2.0": {cimi.V1, cimi.V2}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			if _, err := migrate.ImportPackage(t.Context(), hosttest.Package(t, nestedSystem(t)), a.inProcess(), migrate.ImportOptions{}); err != nil {
				t.Fatal(err)
			}
			src, dst := a.bared(v[0], asBare), b.bared(v[1], asBare)
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst})
			if err != nil || !rep.Verified || rep.Via != "resources" || len(rep.Disks) != 2 {
				t.Fatalf("%+v: %v", rep, err)
			}
			outer := only[*cimi.System](t, b, "systems")
			inner := only[*cimi.System](t, b, cimi.HrefOf(outer.Systems))
			if outer.Name != "shop" || inner.Name != "back office" {
				t.Errorf("%s around %s", outer.Name, inner.Name)
			}
			for href, want := range map[string]string{cimi.HrefOf(outer.Machines): "front", cimi.HrefOf(inner.Machines): "books"} {
				if m := only[*cimi.Machine](t, b, href); m.Name != want {
					t.Errorf("machine %s where %s was", m.Name, want)
				}
			}
			checkNoImages(t, a, b)
		})
	}
}

// only is the one resource in a collection.
func only[R cimi.Resource](t *testing.T, c *cloud, href string) R {
	t.Helper()
	col, err := c.p.List(t.Context(), href, cimi.ListOptions{})
	if err != nil || len(col.Items) != 1 {
		t.Fatalf("%s: %+v: %v", href, col, err)
	}
	return col.Items[0].(R)
}

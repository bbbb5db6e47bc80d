package migrate_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/providertest/bare"
	"github.com/cimimove/cimimove/migrate"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// add makes a resource in the cloud, and gives its id.
func (c *cloud) add(collection string, r cimi.Resource) string {
	c.t.Helper()
	acc, err := c.p.Create(c.t.Context(), collection, r)
	if err == nil {
		_, err = cimi.Wait(c.t.Context(), c.p, acc, "", cimi.WaitOptions{MinPoll: time.Millisecond})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	return acc.Location
}

// TestResourcesMapping: networks, places, addresses, names and machine
// configurations are what was asked for and what the destination has, whether
// it makes Systems or not, takes templates by value or not.
func TestResourcesMapping(t *testing.T) {
	ovftest.Slow(t)
	t.Parallel()
	for name, c := range map[string]struct {
		as      bare.Provider
		version cimi.Version
	}{
		"Systems":                         {version: cimi.V2},
		"Systems, 1.x":                    {version: cimi.V1},
		"parts":                           {bare.Provider{NoSystems: true}, cimi.V2},
		"parts, 1.x":                      {bare.Provider{NoSystems: true}, cimi.V1},
		"nothing by value":                {bare.Provider{NoValues: true}, cimi.V2},
		"neither Systems nor values, 1.x": {bare.Provider{NoSystems: true, NoValues: true}, cimi.V1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := newCloud(t), newCloud(t)
			a.load(hosttest.NewSample(t, "shop", 1))
			office := b.add("networks", &cimi.NetworkCreate{Common: cimi.Common{Name: "office"}, NetworkTemplate: cimi.RefBy(&cimi.NetworkTemplate{InitialState: cimi.StateStarted})})
			b.add("volumeConfigs", &cimi.VolumeConfiguration{Common: cimi.Common{Name: "gold"}, Capacity: cimi.Int(1)})
			for _, size := range []struct {
				name        string
				cpu, memory int64
			}{{"tiny", 1, 1 << 17}, {"small", 1, 1 << 18}, {"large", 4, 1 << 20}, {"huge", 64, 1 << 26}} {
				b.add("machineConfigs", &cimi.MachineConfiguration{Common: cimi.Common{Name: size.name}, CPU: cimi.Int(size.cpu), Memory: cimi.Int(size.memory)})
			}
			src := a.bared(cimi.V2, asBare)
			dst := b.bared(c.version, func(p cimi.Provider) cimi.Provider { as := c.as; as.Provider = p; return as })
			rep, err := move(t, newEngine(t, src, dst), migrate.Options{Source: src, Destination: dst, Name: "store", MAC: "regenerate",
				Nets: map[string]string{"front": "office"}, Storage: map[string]string{"disk1": "gold"}})
			if err != nil || !rep.Verified || rep.Name != "store" {
				t.Fatalf("%+v: %v", rep, err)
			}
			checkNoImages(t, a, b)
			if got := b.names("networks"); !slices.Contains(got, "office") || strings.Contains(strings.Join(got, " "), "front") {
				t.Errorf("networks %v", got)
			}
			for collection, want := range map[string]int{"machineTemplates": 0, "volumeTemplates": 0, "networkTemplates": 0, "volumeConfigs": 1, "machineConfigs": 4} {
				if got := b.names(collection); len(got) != want {
					t.Errorf("%s: %v", collection, got)
				}
			}
			on := 0
			for _, e := range b.list("endpoints") {
				if at := cimi.HrefOf(e.Base().Parent); strings.Contains(at, strings.TrimPrefix(office, "networks/")) {
					on++
				}
			}
			if on != 1 {
				t.Errorf("%d cards on the network office", on)
			}
			for _, r := range b.list("machines") {
				m := r.(*cimi.Machine)
				want := map[string][2]int64{"database": {2, 512 << 10}, "web": {1, 256 << 10}}
				if c.as.NoValues {
					want = map[string][2]int64{"database": {4, 1 << 20}, "web": {1, 1 << 18}}
				}
				kind := "web"
				if strings.Contains(m.Name, "database") {
					kind = "database"
				}
				if got := [2]int64{*m.CPU, *m.Memory}; got != want[kind] {
					t.Errorf("machine %s has %v, want %v", m.Name, got, want[kind])
				}
				if prefix := "store-"; c.as.NoSystems && !strings.HasPrefix(m.Name, prefix) {
					t.Errorf("machine %s is not called %s…", m.Name, prefix)
				}
			}
		})
	}
}

func (c *cloud) list(collection string) []cimi.Resource {
	c.t.Helper()
	var out []cimi.Resource
	for r, err := range cimi.All(c.t.Context(), c.p, collection, cimi.ListOptions{}) {
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// TestResourcesNoFit: a destination that makes machines of certain sizes only
// must have one that is large enough.
func TestResourcesNoFit(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	a.load(hosttest.NewSample(t, "shop", 1))
	b.add("machineConfigs", &cimi.MachineConfiguration{Common: cimi.Common{Name: "tiny"}, CPU: cimi.Int(1), Memory: cimi.Int(1 << 20)})
	src := a.bared(cimi.V2, asBare)
	dst := b.bared(cimi.V2, func(p cimi.Provider) cimi.Provider { return bare.Provider{Provider: p, NoValues: true} })
	_, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
	if migrate.ClassOf(err) != migrate.ClassRefused || !strings.Contains(err.Error(), migrate.RuleNoFit) {
		t.Errorf("%v", err)
	}
}

// TestResourcesLosses: what only 1.x has of networks is told of, not dropped.
func TestResourcesLosses(t *testing.T) {
	t.Parallel()
	a, b := newCloud(t), newCloud(t)
	id := a.load(hosttest.NewSample(t, "shop", 1))
	a.add(id+"/addresses", &cimi.AddressCreate{Common: cimi.Common{Name: "public"}, AddressTemplate: cimi.RefBy(&cimi.AddressTemplate{IP: "192.0.2.7"})})
	src, dst := a.bared(cimi.V1, asBare), b.bared(cimi.V1, asBare)
	p, err := migrate.NewPlan(t.Context(), migrate.Options{Source: src, Destination: dst, System: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range p.Findings {
		if f.ID == "MAP-NET-002" && f.Object == "address public" {
			return
		}
	}
	t.Errorf("findings %+v", p.Findings)
}

package ovf_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	govmomi "github.com/vmware/govmomi/ovf"

	"github.com/cimimove/cimimove/ovf"
)

// What govmomi reads of a package with one virtual system has to be what we read.
func TestAgreesWithGovmomi(t *testing.T) {
	compared := 0
	for _, d := range append(corpus(t), govmomiFixtures(t)...) {
		b, err := os.ReadFile(d.path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ovf.Parse(b)
		if err != nil || e.Version() != ovf.V1 || bytes.Contains(b, []byte(" ovf-namespace:id=")) {
			// One fixture uses a prefix that it does not declare; govmomi matches
			// attributes by local name, we by namespace.
			continue
		}
		g, err := govmomi.Unmarshal(bytes.NewReader(b))
		if err != nil || g.VirtualSystem == nil {
			continue
		}
		compared++
		same(t, d.name, "files", len(g.References), len(e.Files()))
		for i := range min(len(g.References), len(e.Files())) {
			same(t, d.name, "href", g.References[i].Href, e.Files()[i].Href)
			same(t, d.name, "file id", strings.TrimSpace(g.References[i].ID), e.Files()[i].ID)
		}
		if g.Disk != nil {
			for i, x := range g.Disk.Disks {
				if i >= len(e.Disks()) {
					t.Errorf("%s: disk %s is not there", d.name, x.DiskID)
					break
				}
				same(t, d.name, "disk", strings.TrimSpace(x.DiskID), e.Disks()[i].ID)
				same(t, d.name, "capacity", strings.TrimSpace(x.Capacity), e.Disks()[i].Capacity)
			}
		}
		if g.Network != nil {
			for i, x := range g.Network.Networks {
				same(t, d.name, "network", x.Name, e.Networks()[i].Name)
			}
		}
		vs := e.VirtualSystems()
		if len(vs) != 1 || len(vs[0].Hardware()) == 0 || len(g.VirtualSystem.VirtualHardware) == 0 {
			continue
		}
		ours := vs[0].Hardware()[0].Items()
		theirs := g.VirtualSystem.VirtualHardware[0].Item
		if len(g.VirtualSystem.VirtualHardware[0].StorageItem) > 0 {
			continue
		}
		same(t, d.name, "items", len(theirs), len(ours))
		for i := range min(len(ours), len(theirs)) {
			g := theirs[i]
			if g.ResourceType != nil {
				same(t, d.name, "resource type", int(*g.ResourceType), ours[i].ResourceType)
			}
			if g.VirtualQuantity != nil && ours[i].VirtualQuantity != nil {
				same(t, d.name, "quantity", uint64(*g.VirtualQuantity), *ours[i].VirtualQuantity)
			}
			if g.AllocationUnits != nil {
				same(t, d.name, "units", strings.TrimSpace(*g.AllocationUnits), ours[i].AllocationUnits)
			}
		}
	}
	t.Logf("%d descriptors compared", compared)
	if compared < 100 {
		t.Errorf("only %d descriptors compared", compared)
	}
}

func same[T comparable](t *testing.T, name, what string, theirs, ours T) {
	t.Helper()
	if theirs != ours {
		t.Errorf("%s: %s: govmomi reads %v, we read %v", name, what, theirs, ours)
	}
}

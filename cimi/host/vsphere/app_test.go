package vsphere_test

import (
	"bytes"
	"context"
	"slices"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestForeignApp: a vApp that others made, with another one in it, is one System
// with its machines in the order they start in; it goes out with that order and
// its delays, and comes in as a vApp of the same, its disks unchanged.
func TestForeignApp(t *testing.T) {
	ovftest.Slow(t)
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	want := map[string]string{} // digests by machine
	for i, name := range []string{"web", "db", "cache"} {
		made(t, v, name)
		data := hosttest.Content(byte(20+i), 2<<20)
		img := raw.New(bytes.NewReader(data), int64(len(data)))
		if err := v.SetDisk(name, 0, img); err != nil {
			t.Fatal(err)
		}
		sum, err := disk.ContentDigest(ctx, img, img.Size(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want[name] = sum.String()
	}
	for _, err := range []error{v.MakeApp("shop", "", vctest.Member{Machine: "web", Order: 2, Delay: 7}, vctest.Member{Machine: "db", Order: 1, Delay: 30}),
		v.MakeApp("behind", "shop", vctest.Member{Machine: "cache", Order: 1})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	h := open(t, v, "")
	defer h.Close()
	if n := len(hosttest.Systems(t, h)); n != 1 {
		t.Errorf("%d Systems, want the vApp alone", n)
	}
	s := shown(t, h, "shop")
	if !s.Collection || len(s.Machines) != 2 || s.Machines[0].Name != "db" || s.Machines[1].Name != "web" || s.Machines[0].StartOrder != 1 || s.Machines[1].StartOrder != 2 ||
		len(s.Systems) != 1 || s.Systems[0].Name != "behind" || len(s.Systems[0].Machines) != 1 || s.Systems[0].Machines[0].Name != "cache" {
		t.Fatalf("the vApp is shown as %+v", s)
	}
	out := hosttest.Exported(t, h, s.ID)
	c, ok := hosttest.Package(t, out).Envelope().Content()
	if !ok || !c.Collection {
		t.Fatal("the package is not of a collection")
	}
	order := map[string]ovf.StartupItem{}
	for _, item := range c.Startup() {
		order[item.ID] = item
	}
	if order["db"].Order != 1 || order["db"].StartDelay != 30 || order["web"].Order != 2 || order["web"].StartDelay != 7 {
		t.Errorf("the package starts in the order %+v", order)
	}

	back, _ := hosttest.Importing(t, h, out, host.ImportOptions{Name: "shop again"})
	found := map[string]string{}
	for m := range back.AllMachines() {
		for _, a := range m.Attachments {
			found[m.Name] = back.Disk(a.DiskID).ContentDigest
		}
	}
	for name, sum := range want {
		if found[name] != sum {
			t.Errorf("%s came back with the digest %q, want %s", name, found[name], sum)
		}
	}
	app := v.App("shop again")
	if app == nil {
		t.Fatalf("no vApp was made; there are %v", v.Inventory())
	}
	var got [][2]int32
	for _, e := range app.EntityConfig {
		got = append(got, [2]int32{e.StartOrder, e.StartDelay})
	}
	if !slices.Contains(got, [2]int32{1, 30}) || !slices.Contains(got, [2]int32{2, 7}) {
		t.Errorf("its machines start in the order and with the delays %v", got)
	}
	groups, err := host.StartPlan(back, back)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, g := range groups {
		for _, m := range g.Machines {
			names = append(names, m.Name)
		}
	}
	if slices.Index(names, "db") > slices.Index(names, "web") {
		t.Errorf("started they come up as %v", names)
	}
	if err := h.Delete(ctx, back.ID); err != nil || v.App("shop again") != nil {
		t.Errorf("deleted, it is there: %v", err)
	}
	if left := hosttest.Systems(t, h); len(left) != 1 || left[0].Name != "shop" {
		t.Errorf("the one of others has not stayed alone: %+v", left)
	}
}

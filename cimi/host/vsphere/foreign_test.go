package vsphere_test

import (
	"bytes"
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/vsphere"
	"github.com/cimimove/cimimove/cimi/host/vsphere/vctest"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/raw"
)

// operator is a client of the vCenter's own, as its people have one.
func operator(t *testing.T, v *vctest.VCenter) *find.Finder {
	t.Helper()
	at, err := url.Parse(v.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	c, err := govmomi.NewClient(context.Background(), &url.URL{Scheme: "https", Host: at.Host, Path: "/sdk", User: url.UserPassword(vctest.User, vctest.Password)}, true)
	if err != nil {
		t.Fatal(err)
	}
	finder := find.NewFinder(c.Client, false)
	dc, err := finder.Datacenter(context.Background(), vctest.Datacenter)
	if err != nil {
		t.Fatal(err)
	}
	return finder.SetDatacenter(dc)
}

// ran waits for a task.
func ran(t *testing.T, task *object.Task, err error) {
	t.Helper()
	if err == nil {
		err = task.Wait(context.Background())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// made is a machine that somebody else has made, off, with one disk.
func made(t *testing.T, v *vctest.VCenter, name string) *object.VirtualMachine {
	t.Helper()
	ctx := context.Background()
	f := operator(t, v)
	folder, err := f.DefaultFolder(ctx)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := f.DefaultResourcePool(ctx)
	if err != nil {
		t.Fatal(err)
	}
	net, err := f.Network(ctx, "VM Network")
	if err != nil {
		t.Fatal(err)
	}
	backing, err := net.EthernetCardBackingInfo(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var devices object.VirtualDeviceList
	scsi, err := devices.CreateSCSIController("pvscsi")
	if err != nil {
		t.Fatal(err)
	}
	devices = append(devices, scsi)
	d := devices.CreateDisk(scsi.(types.BaseVirtualController), types.ManagedObjectReference{}, "")
	d.CapacityInKB, d.CapacityInBytes = 2048, 2<<20
	card, err := devices.CreateEthernetCard("vmxnet3", backing)
	if err != nil {
		t.Fatal(err)
	}
	devices = append(devices, d, card)
	changes, err := devices.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	if err != nil {
		t.Fatal(err)
	}
	task, err := folder.CreateVM(ctx, types.VirtualMachineConfigSpec{Name: name, NumCPUs: 2, MemoryMB: 512, GuestId: "otherGuest64", Firmware: "efi",
		Annotation: "made by hand", Files: &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"}, DeviceChange: changes}, pool, nil)
	ran(t, task, err)
	info, err := task.WaitForResult(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return object.NewVirtualMachine(folder.Client(), info.Result.(types.ManagedObjectReference))
}

func shown(t *testing.T, h host.Host, name string) *host.System {
	t.Helper()
	for _, s := range hosttest.Systems(t, h) {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no System %s is shown", name)
	return nil
}

// TestForeignDescriptor: a machine that others made goes out with the descriptor
// that the vCenter makes of it, untouched but for its files; where that makes
// none, what is lost is told.
func TestForeignDescriptor(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	made(t, v, "by hand")
	data := hosttest.Content(7, 2<<20)
	if err := v.SetDisk("by hand", 0, raw.New(bytes.NewReader(data), int64(len(data)))); err != nil {
		t.Fatal(err)
	}
	h := open(t, v, "")
	defer h.Close()
	s := shown(t, h, "by hand")
	want, err := disk.ContentDigest(context.Background(), raw.New(bytes.NewReader(data), int64(len(data))), int64(len(data)), nil)
	if err != nil {
		t.Fatal(err)
	}
	out := hosttest.Exported(t, h, s.ID)
	text := string(hosttest.Package(t, out).Envelope().Bytes())
	for _, part := range []string{"described by the vCenter", "VirtualSCSI", "efi", "made by hand", "Vmxnet3"} {
		if !strings.Contains(text, part) {
			t.Errorf("the descriptor has not %q: %s", part, text)
		}
	}
	back, _ := hosttest.Importing(t, h, out, host.ImportOptions{Name: "back"})
	if d := back.Disks[0]; d.ContentDigest != want.String() || v.Machine("back").Firmware != "efi" {
		t.Errorf("it comes back with the digest %s, firmware %q; want %s", d.ContentDigest, v.Machine("back").Firmware, want)
	}

	v.Describe(false)
	x, err := h.Export(context.Background(), s.ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if !slices.ContainsFunc(x.Findings(), func(f ovf.Finding) bool { return f.ID == "VSPHERE-OVF-001" && f.Severity == ovf.Warning }) {
		t.Errorf("without the vCenter's descriptor nothing is told: %+v", x.Findings())
	}
	hosttest.Exported(t, h, s.ID) // ours is valid as well
}

// TestForeignInventory: what people do to an inventory. A name with a slash,
// which the inventory escapes; a machine with a snapshot, told of at export; a
// template, which is no System; a folder, in which a machine is found as well.
func TestForeignInventory(t *testing.T) {
	v := vctest.New(t, vctest.Options{})
	ctx := context.Background()
	task, err := made(t, v, "front").Rename(ctx, "web%2ffront") // as the API wants it
	ran(t, task, err)
	snapped := made(t, v, "snapped")
	task, err = snapped.CreateSnapshot(ctx, "before", "", false, false)
	ran(t, task, err)
	if err := made(t, v, "golden").MarkAsTemplate(ctx); err != nil {
		t.Fatal(err)
	}
	f := operator(t, v)
	root, err := f.DefaultFolder(ctx)
	if err != nil {
		t.Fatal(err)
	}
	folder, err := root.CreateFolder(ctx, "team")
	if err != nil {
		t.Fatal(err)
	}
	moved := made(t, v, "in a folder")
	task, err = folder.MoveInto(ctx, []types.ManagedObjectReference{moved.Reference()})
	ran(t, task, err)

	h := open(t, v, "?folder=team")
	defer h.Close()
	var names []string
	for _, s := range hosttest.Systems(t, h) {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	if want := []string{"in a folder", "snapped", "web/front"}; !slices.Equal(names, want) {
		t.Fatalf("Systems %q, want %q", names, want)
	}
	s := shown(t, h, "web/front")
	if len(hosttest.Exported(t, h, s.ID)) == 0 {
		t.Error("nothing goes out")
	}
	s.Name, s.Machines[0].Name = "web/back", "web/back"
	if err := h.Update(ctx, s); err != nil || v.Machine("web%2fback") == nil {
		t.Errorf("renamed: %v; there are %v", err, v.Inventory())
	}
	x, err := h.Export(ctx, shown(t, h, "snapped").ID, host.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	if !slices.ContainsFunc(x.Findings(), func(f ovf.Finding) bool { return f.ID == "VSPHERE-OVF-002" }) {
		t.Errorf("what the vCenter says of the snapshot is not told: %+v", x.Findings())
	}
	// An import goes to the folder.
	hosttest.Importing(t, h, hosttest.OneMachine(t, hosttest.Hardware(""), nil, nil), host.ImportOptions{Name: "new"})
	if vm, err := f.VirtualMachine(ctx, "team/new"); err != nil || vm == nil {
		t.Errorf("the machine is not in the folder: %v", err)
	}
}

// TestSeveralDatacenters: with more than one the user must say which, is told
// which there are, and gets that one alone.
func TestSeveralDatacenters(t *testing.T) {
	v := vctest.New(t, vctest.Options{Datacenters: 2})
	ctx := context.Background()
	base, _ := strings.CutSuffix(v.Endpoint(), "/"+vctest.Datacenter)
	if h, err := vsphere.Open(ctx, base, options(t, v)); err == nil {
		h.Close()
		t.Error("no datacenter was named, and one was taken")
	} else if !strings.Contains(err.Error(), "/DC0") || !strings.Contains(err.Error(), "/DC1") {
		t.Errorf("the choice is not told: %v", err)
	}
	made(t, v, "here")
	h, err := vsphere.Open(ctx, base+"/DC1", options(t, v))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if other := hosttest.Systems(t, h); len(other) != 0 {
		t.Errorf("the other datacenter shows %+v", other[0])
	}
	hosttest.Importing(t, h, hosttest.NewSample(t, "appliance", 1).OVA(t), host.ImportOptions{})
	first := open(t, v, "")
	defer first.Close()
	if n := len(hosttest.Systems(t, first)); n != 1 {
		t.Errorf("the first datacenter shows %d Systems, want its own one", n)
	}
}

package libvirt_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/cimi/host/libvirt"
	"github.com/cimimove/cimimove/cimi/hosttest"
	"github.com/cimimove/cimimove/cimi/hosttest/libvirtd"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

type domain struct {
	OS struct {
		Firmware string `xml:"firmware,attr"`
		Type     struct {
			Machine string `xml:"machine,attr"`
		} `xml:"type"`
		NVRAM string `xml:"nvram"`
	} `xml:"os"`
	Devices struct {
		Disks []struct {
			Device string `xml:"device,attr"`
			Source struct {
				Volume string `xml:"volume,attr"`
			} `xml:"source"`
			Target struct {
				Dev string `xml:"dev,attr"`
				Bus string `xml:"bus,attr"`
			} `xml:"target"`
			Address struct {
				Controller string `xml:"controller,attr"`
				Bus        string `xml:"bus,attr"`
				Target     string `xml:"target,attr"`
				Unit       string `xml:"unit,attr"`
			} `xml:"address"`
		} `xml:"disk"`
		Controllers []struct {
			Type  string `xml:"type,attr"`
			Index string `xml:"index,attr"`
			Model string `xml:"model,attr"`
		} `xml:"controller"`
		Cards []struct {
			MAC struct {
				Address string `xml:"address,attr"`
			} `xml:"mac"`
			Model struct {
				Type string `xml:"type,attr"`
			} `xml:"model"`
			Link struct {
				State string `xml:"state,attr"`
			} `xml:"link"`
		} `xml:"interface"`
	} `xml:"devices"`
}

func domainOf(t testing.TB, m *host.Machine) (d domain, text string) {
	t.Helper()
	text = libvirtd.Virsh(t, "dumpxml", "--inactive", uuid(m.ID))
	if err := xml.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	return d, text
}

func uuid(id string) string {
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// cutting is a libvirtd that loses connections: each ends after some bytes.
func cutting(t testing.TB, after int64) (path string, cuts *atomic.Int64) {
	t.Helper()
	dir, err := os.MkdirTemp("", "cut")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	cuts = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				to, err := net.Dial("unix", libvirtd.Socket)
				if err != nil {
					return
				}
				defer to.Close()
				go io.Copy(c, to)
				if n, _ := io.CopyN(to, c, after); n == after {
					cuts.Add(1)
				}
			}()
		}
	}()
	return filepath.Join(dir, "sock"), cuts
}

// TestAC05RenewalE2E: connections that are lost in the middle are made again,
// and the upload goes on where it was; progress never goes back.
func TestAC05RenewalE2E(t *testing.T) {
	libvirtd.Need(t)
	pool, _ := libvirtd.Pool(t)
	socket, cuts := cutting(t, 21<<20) // more than a batch, less than all
	h, err := libvirt.Open(context.Background(), "qemu:///system?type=qemu&pool="+pool+"&socket="+socket, libvirt.Options{Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	data := hosttest.Content(1, 90<<20)
	b := hosttest.OneMachine(t, hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 0, "d")),
		[]ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}, []ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}}, [2]string{"d.img", string(data)})
	last := int64(0)
	s, err := h.Import(context.Background(), hosttest.Package(t, b), host.ImportOptions{Progress: func(p host.DiskProgress) {
		if p.Done < last {
			t.Errorf("progress went back from %d to %d", last, p.Done)
		}
		last = p.Done
	}})
	if err != nil {
		t.Fatalf("after %d lost connections: %v", cuts.Load(), err)
	}
	if cuts.Load() < 3 {
		t.Fatalf("only %d connections were lost", cuts.Load())
	}
	img, err := h.OpenDisk(context.Background(), s.Disks[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, len(data))
	if err := disk.ReadFull(img, got, 0); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after %d lost connections the disk has another content: %v", cuts.Load(), err)
	}
	t.Logf("%d connections were lost", cuts.Load())
}

const ovmfVariables = "/usr/share/OVMF/OVMF_VARS_4M.fd"

// TestAC13FilesE2E: NVRAM, an ISO in a drive and any other file come along and go
// out as they came; the machine boots by UEFI from them.
func TestAC13FilesE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	libvirtd.NeedFile(t, ovmfVariables, "ovmf")
	vars, err := os.ReadFile(ovmfVariables)
	if err != nil {
		t.Fatal(err)
	}
	vars[len(vars)-1] = 7 // ours
	iso := string(hosttest.Content(3, 300<<10))
	data := string(hosttest.Content(4, 1<<20))
	hw := hosttest.Hardware("efi", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 0, "d"),
		ovf.Item{InstanceID: "5", ResourceType: ovf.ResourceIDE}, ovf.Item{ResourceType: ovf.ResourceCD, Parent: "5", HostResource: []string{"ovf:/file/iso"}, AutomaticAllocation: true})
	files := [][2]string{{"tools.iso", iso}, {"vm.nvram", string(vars)}, {"d.img", data}, {"notes.txt", "keep me"}}
	var refs []ovf.File
	for _, f := range files {
		id := map[string]string{"tools.iso": "iso", "vm.nvram": "nvram", "d.img": "f", "notes.txt": "notes"}[f[0]]
		refs = append(refs, ovf.File{ID: id, Href: f[0], Size: int64(len(f[1]))})
	}
	b := hosttest.OneMachine(t, hw, []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}, refs, files...)
	s, _ := hosttest.Importing(t, h, b, host.ImportOptions{})
	d, text := domainOf(t, s.Machines[0])
	if d.OS.Firmware != "efi" && !strings.Contains(text, "OVMF") || !strings.Contains(d.OS.Type.Machine, "q35") {
		t.Errorf("it does not boot by UEFI: %s", text)
	}
	if !strings.Contains(d.OS.NVRAM, "cimimove-nvram-") {
		t.Errorf("it has not the variables that came with it: %q", d.OS.NVRAM)
	}
	if n := len(d.Devices.Disks); n != 2 || d.Devices.Disks[1].Device != "cdrom" {
		t.Errorf("%d drives: %+v", n, d.Devices.Disks)
	}
	libvirtd.Virsh(t, "start", "--paused", uuid(s.Machines[0].ID)) // QEMU takes it all
	libvirtd.Virsh(t, "destroy", uuid(s.Machines[0].ID))
	again := hosttest.Exported(t, h, s.ID)
	found := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(again)); ; {
		head, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[head.Name] = string(text)
	}
	for _, f := range files {
		if f[0] != "d.img" && found[f[0]] != f[1] {
			t.Errorf("%s went out with %d bytes, it came with %d", f[0], len(found[f[0]]), len(f[1]))
		}
	}
	second, _ := hosttest.Importing(t, h, again, host.ImportOptions{Name: "second"})
	if d, _ := domainOf(t, second.Machines[0]); !strings.Contains(d.OS.NVRAM, "cimimove-nvram-") {
		t.Error("after a round trip the variables are lost")
	}
	if err := h.Delete(context.Background(), s.ID); err != nil {
		t.Fatal(err)
	}

	// A device that nobody has is left out with a finding, or refused.
	odd := hosttest.Hardware("", ovf.Item{ElementName: "a strange device", ResourceType: ovf.ResourceOther, ResourceSubType: "example.strange", AutomaticAllocation: true})
	if _, notes := hosttest.Importing(t, h, hosttest.NotRequired(t, "a strange device", odd, nil, nil), host.ImportOptions{Name: "odd"}); !slices.Contains(notes, "HOST-HW-001") {
		t.Errorf("that a device is left out is not told: %v", notes)
	}
	_, err = h.Import(context.Background(), hosttest.Package(t, hosttest.OneMachine(t, odd, nil, nil)), host.ImportOptions{Name: "odder"})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "a strange device") {
		t.Errorf("a device that the package demands: %v", err)
	}
}

// TestAC15Version2E2E: a descriptor of VirtualBox's in OVF 2 becomes a machine
// with its disk and its card.
func TestAC15Version2E2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	data := hosttest.Content(5, 1<<20)
	d := ovf.Draft{Version: ovf.V2, Files: []ovf.File{{ID: "f", Href: "d.img", Size: int64(len(data))}},
		Disks: []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}, Networks: []ovf.Network{{Name: "NAT"}},
		Content: ovf.DraftContent{ID: "vbox", Name: "vbox", Hardware: []ovf.DraftHardware{hosttest.Hardware("",
			ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceStorage, ResourceSubType: "AHCI"},
			ovf.Item{Kind: "StorageItem", InstanceID: "4", ResourceType: ovf.ResourceLogicalDisk, Parent: "3", AddressOnParent: "0", HostResource: []string{"/disk/d"}, AutomaticAllocation: true},
			ovf.Item{Kind: "EthernetPortItem", InstanceID: "5", ResourceType: ovf.ResourceEthernet, Connection: []string{"NAT"}, Address: "08:00:27:11:22:33", ResourceSubType: "E1000", AutomaticAllocation: true})}}}
	s, _ := hosttest.Importing(t, h, hosttest.Archive(t, d, [2]string{"d.img", string(data)}), host.ImportOptions{})
	x, text := domainOf(t, s.Machines[0])
	if len(x.Devices.Disks) != 1 || x.Devices.Disks[0].Target.Bus != "sata" || len(x.Devices.Cards) != 1 || x.Devices.Cards[0].Model.Type != "e1000" {
		t.Errorf("the domain has not what the descriptor says: %s", text)
	}
}

// TestAC23ControllersE2E: every kind of controller has its bus, in the order of
// controller and address; QEMU takes the machine; no disk is left out.
func TestAC23ControllersE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	var disks []ovf.Disk
	items := []ovf.Item{
		{InstanceID: "10", ResourceType: ovf.ResourceIDE, Address: "0"}, {InstanceID: "11", ResourceType: ovf.ResourceIDE, Address: "1"},
		{InstanceID: "12", ResourceType: ovf.ResourceSCSI, Address: "0", ResourceSubType: "VirtualSCSI"}, {InstanceID: "13", ResourceType: ovf.ResourceSCSI, Address: "1", ResourceSubType: "lsilogicsas"},
		{InstanceID: "14", ResourceType: ovf.ResourceSCSI, Address: "2", ResourceSubType: "lsilogic"},
		{InstanceID: "15", ResourceType: ovf.ResourceOther, Address: "0", ResourceSubType: "vmware.sata.ahci"}, {InstanceID: "16", ResourceType: ovf.ResourceOther, Address: "0", ResourceSubType: "vmware.nvme.controller"},
		{InstanceID: "17", ResourceType: ovf.ResourceUSB, Address: "0", ResourceSubType: "vmware.usb.ehci"}}
	want := []string{}
	for i, c := range []struct {
		parent string
		unit   int
		bus    string
	}{{"12", 15, "scsi"}, {"12", 3, "scsi"}, {"10", 1, "ide"}, {"10", 0, "ide"}, {"11", 0, "ide"}, {"13", 2, "scsi"}, {"14", 6, "scsi"},
		{"15", 7, "sata"}, {"15", 0, "sata"}, {"15", 1, "sata"}, {"15", 2, "sata"}, {"15", 3, "sata"}, {"15", 4, "sata"}, {"15", 5, "sata"}, {"16", 0, "virtio"}, {"17", 0, "usb"}} {
		id := fmt.Sprintf("d%d", i)
		disks = append(disks, ovf.Disk{ID: id, Capacity: fmt.Sprint(1<<20 + i*512), PopulatedSize: -1})
		items = append(items, hosttest.OnController(c.parent, c.unit, id))
		want = append(want, c.bus)
	}
	s, found := hosttest.Importing(t, h, hosttest.OneMachine(t, hosttest.Hardware("", items...), disks, nil), host.ImportOptions{})
	x, text := domainOf(t, s.Machines[0])
	if len(x.Devices.Disks) != len(disks) {
		t.Fatalf("%d disks of %d: %s", len(x.Devices.Disks), len(disks), text)
	}
	var got []string
	for _, d := range x.Devices.Disks {
		got = append(got, d.Target.Bus)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("buses %v, want %v", got, want)
	}
	models := map[string]string{}
	for _, c := range x.Devices.Controllers {
		if c.Type == "scsi" {
			models[c.Index] = c.Model
		}
	}
	if models["0"] != "vmpvscsi" || models["1"] != "lsisas1068" || models["2"] != "virtio-scsi" {
		t.Errorf("models of SCSI controllers: %v", models)
	}
	if !slices.Contains(found, "HOST-SCSI-001") {
		t.Errorf("that a controller becomes another is not told: %v", found)
	}
	// In the order of controller and address.
	var order []string
	for _, a := range s.Machines[0].Attachments {
		order = append(order, fmt.Sprintf("%s%d:%d", a.Controller, a.Bus, a.Unit))
	}
	if o := strings.Join(order, " "); !strings.Contains(o, "scsi0:3 scsi0:15") || !strings.Contains(o, "ide0:0 ide0:1 ide1:0") {
		t.Errorf("order %s", o)
	}
	libvirtd.Virsh(t, "start", "--paused", uuid(s.Machines[0].ID))
	libvirtd.Virsh(t, "destroy", uuid(s.Machines[0].ID))
	// What has no place is refused before anything is made.
	var five []ovf.Item
	var blank []ovf.Disk
	for i := range 5 {
		id := fmt.Sprintf("i%d", i)
		blank = append(blank, ovf.Disk{ID: id, Capacity: "1048576", PopulatedSize: -1})
		five = append(five, hosttest.OnController("10", i, id))
	}
	_, err := h.Import(context.Background(), hosttest.Package(t, hosttest.OneMachine(t, hosttest.Hardware("", append(items[:1:1], five...)...), blank, nil)), host.ImportOptions{})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "IDE") {
		t.Errorf("five disks on IDE: %v", err)
	}
}

// TestAC24FilesOfDisksE2E: a disk gets the file that its reference names,
// whatever the order, with an ISO first, a blank disk between, and a shared one.
func TestAC24FilesOfDisksE2E(t *testing.T) {
	libvirtd.Need(t)
	for _, query := range []string{"", "&format=qcow2"} {
		h := newHosts(query).Open(t)
		a, b := hosttest.Content(11, 2<<20), hosttest.Content(12, 3<<20)
		refs := []ovf.File{{ID: "iso", Href: "a.iso", Size: 2048}, {ID: "fb", Href: "b.img", Size: int64(len(b))}, {ID: "orphan", Href: "z.bin", Size: 3}, {ID: "fa", Href: "a.img", Size: int64(len(a))}}
		disks := []ovf.Disk{{ID: "first", FileRef: "fa", Capacity: fmt.Sprint(len(a)), PopulatedSize: -1}, {ID: "blank", Capacity: "1048576", PopulatedSize: -1},
			{ID: "second", FileRef: "fb", Capacity: fmt.Sprint(len(b)), PopulatedSize: -1}}
		hw := hosttest.Hardware("", ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}, hosttest.OnController("3", 2, "second"), hosttest.OnController("3", 0, "first"), hosttest.OnController("3", 1, "blank"))
		s, _ := hosttest.Importing(t, h, hosttest.OneMachine(t, hw, disks, refs, [2]string{"a.iso", strings.Repeat("i", 2048)}, [2]string{"b.img", string(b)}, [2]string{"z.bin", "zzz"}, [2]string{"a.img", string(a)}), host.ImportOptions{})
		for d := range s.AllDisks() {
			want := map[string][]byte{"first": a, "second": b, "blank": make([]byte, 1<<20)}[d.OVFID]
			img, err := h.OpenDisk(context.Background(), d.ID)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, img.Size())
			if err := disk.ReadFull(img, got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%sdisk %s has another content: %v", query, d.OVFID, err)
			}
			img.Close()
		}
		// A machine's disks are in the order of their addresses.
		x, _ := domainOf(t, s.Machines[0])
		for i, d := range x.Devices.Disks {
			if d.Address.Target != fmt.Sprint(i) {
				t.Errorf("disk %d is at %+v", i, d.Address)
			}
		}
	}
}

// TestAC25CardsE2E: cards in the order of the descriptor with their addresses;
// a clash is told; no machine gets another's.
func TestAC25CardsE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	card := func(id, mac, model string) ovf.Item {
		return ovf.Item{InstanceID: id, ResourceType: ovf.ResourceEthernet, Connection: []string{"lan"}, Address: mac, ResourceSubType: model, AutomaticAllocation: true}
	}
	b := hosttest.OneMachine(t, hosttest.Hardware("", card("30", "52:54:00:00:25:03", "VmxNet3"), card("20", "52:54:00:00:25:02", "E1000e"), card("10", "", "PCNet32")), nil, nil)
	s, found := hosttest.Importing(t, h, b, host.ImportOptions{})
	x, text := domainOf(t, s.Machines[0])
	if len(x.Devices.Cards) != 3 || x.Devices.Cards[0].MAC.Address != "52:54:00:00:25:03" || x.Devices.Cards[0].Model.Type != "vmxnet3" ||
		x.Devices.Cards[1].MAC.Address != "52:54:00:00:25:02" || x.Devices.Cards[1].Model.Type != "e1000e" || x.Devices.Cards[2].Model.Type != "pcnet" {
		t.Errorf("cards: %s", text)
	}
	if slices.Contains(found, "LIBVIRT-MAC-001") || !slices.Contains(found, "LIBVIRT-NET-001") {
		t.Errorf("found %v", found)
	}
	_, found = hosttest.Importing(t, h, b, host.ImportOptions{Name: "again", Networks: map[string]string{"lan": "user"}})
	if n := len(slices.DeleteFunc(found, func(id string) bool { return id != "LIBVIRT-MAC-001" })); n != 2 {
		t.Errorf("%d clashes of addresses are told, want 2 (an empty address is none)", n)
	}
	seen := map[string]string{}
	for i := range 4 {
		s, found := hosttest.Importing(t, h, b, host.ImportOptions{Name: fmt.Sprint("fresh", i), MAC: "regenerate", Networks: map[string]string{"lan": "user"}})
		x, _ := domainOf(t, s.Machines[0])
		for _, c := range x.Devices.Cards {
			if other, twice := seen[c.MAC.Address]; twice {
				t.Errorf("%s and %s have address %s", s.Name, other, c.MAC.Address)
			}
			seen[c.MAC.Address] = s.Name
		}
		if slices.Contains(found, "LIBVIRT-MAC-001") {
			t.Errorf("a clash after new addresses: %v", found)
		}
	}
	stripped, _ := hosttest.Importing(t, h, b, host.ImportOptions{Name: "stripped", MAC: "strip"})
	if x, _ := domainOf(t, stripped.Machines[0]); x.Devices.Cards[0].MAC.Address == "52:54:00:00:25:03" {
		t.Error("the address was not stripped")
	}
}

// TestAC25BatchE2E: fifty machines of random cards, imported side by side, have
// the cards of their own descriptors in their order, and no machine another's.
func TestAC25BatchE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	hosttest.Batch(t, h, func(s *host.System) []hosttest.Card {
		d, _ := domainOf(t, s.Machines[0])
		var out []hosttest.Card
		for _, c := range d.Devices.Cards {
			model := c.Model.Type
			if model == "pcnet" {
				model = "pcnet32"
			}
			out = append(out, hosttest.Card{Model: model, MAC: c.MAC.Address})
		}
		return out
	})
}

// TestAC26FirmwareE2E: BIOS, UEFI and secure boot as the descriptor says, which
// QEMU takes; a TPM's secrets do not move, which is told.
func TestAC26FirmwareE2E(t *testing.T) {
	libvirtd.Need(t)
	h := newHosts("").Open(t)
	if s, _ := hosttest.Importing(t, h, hosttest.OneMachine(t, hosttest.Hardware("bios"), nil, nil), host.ImportOptions{Name: "bios"}); s != nil {
		if x, _ := domainOf(t, s.Machines[0]); x.OS.Firmware == "efi" || strings.Contains(x.OS.Type.Machine, "q35") {
			t.Errorf("BIOS: %+v", x.OS)
		}
	}
	libvirtd.NeedFile(t, "/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf")
	secure := hosttest.Hardware("efi", ovf.Item{ResourceType: ovf.ResourceOther, ResourceSubType: "vmware.vtpm", AutomaticAllocation: true})
	secure.SecureBoot = true
	for name, hw := range map[string]ovf.DraftHardware{"efi": hosttest.Hardware("efi"), "secure": secure} {
		s, found := hosttest.Importing(t, h, hosttest.OneMachine(t, hw, nil, nil), host.ImportOptions{Name: name})
		_, text := domainOf(t, s.Machines[0])
		if !strings.Contains(text, "OVMF") && !strings.Contains(text, "firmware='efi'") || strings.Contains(text, "secure='yes'") != (name == "secure") {
			t.Errorf("%s: %s", name, text)
		}
		if slices.Contains(found, "HOST-TPM-001") != (name == "secure") {
			t.Errorf("%s: found %v", name, found)
		}
		libvirtd.Virsh(t, "start", "--paused", uuid(s.Machines[0].ID))
		libvirtd.Virsh(t, "destroy", uuid(s.Machines[0].ID))
	}
}

// TestAC33NothingIsLeftE2E: whatever breaks an import, the pool and the domains
// are as they were.
func TestAC33NothingIsLeftE2E(t *testing.T) {
	libvirtd.Need(t)
	for _, query := range []string{"", "&format=qcow2"} {
		pool, _ := libvirtd.Pool(t)
		h := newHosts(query).open(t, pool)
		sample := hosttest.NewSample(t, "appliance", 1)
		whole := sample.OVA(t)
		off, size := sample.File(t, "disk2.vmdk")
		flipped := bytes.Clone(whole)
		flipped[off+size/2] ^= 1
		cancelled, cancel := context.WithCancel(context.Background())
		for name, c := range map[string]struct {
			ctx  context.Context
			b    []byte
			opts host.ImportOptions
		}{
			"broken":       {context.Background(), flipped, host.ImportOptions{}},
			"cancelled":    {cancelled, whole, host.ImportOptions{Progress: func(host.DiskProgress) { cancel() }}},
			"no such pool": {context.Background(), whole, host.ImportOptions{Storage: map[string]string{"disk2": "nowhere"}}},
			"no format":    {context.Background(), whole, host.ImportOptions{Storage: map[string]string{"*": pool + ":vhd"}}},
		} {
			if _, err := h.Import(c.ctx, hosttest.Package(t, c.b), c.opts); err == nil {
				t.Errorf("%s: no error", name)
			}
			if left := libvirtd.Volumes(t, pool); len(left) > 0 {
				t.Errorf("%s%s: volumes are left: %v", query, name, left)
			}
			if left := libvirtd.Domains(t, pool); len(left) > 0 {
				t.Errorf("%s%s: domains are left: %v", query, name, left)
			}
		}
	}
}

// TestAC35BeforeTheUploadE2E: what the hypervisor cannot do is told before a byte
// of a disk is read.
func TestAC35BeforeTheUploadE2E(t *testing.T) {
	libvirtd.Need(t)
	pool, _ := libvirtd.Pool(t)
	h := newHosts("").open(t, pool)
	b := hosttest.NewSample(t, "appliance", 1).OVA(t)
	for name, c := range map[string]struct {
		opts host.ImportOptions
		want string
	}{
		"pool":   {host.ImportOptions{Storage: map[string]string{"*": "nowhere"}}, pool},
		"format": {host.ImportOptions{Storage: map[string]string{"disk1": pool + ":vmdk"}}, "raw or qcow2"},
	} {
		read := false
		opts := c.opts
		opts.Progress = func(host.DiskProgress) { read = true }
		_, err := h.Import(context.Background(), hosttest.Package(t, b), opts)
		if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), c.want) || read {
			t.Errorf("%s: %v, content read: %v", name, err, read)
		}
	}
	if left := libvirtd.Volumes(t, pool); len(left) > 0 {
		t.Errorf("volumes are left: %v", left)
	}
}

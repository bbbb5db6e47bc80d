package hosttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
)

func pvscsi() ovf.Item {
	return ovf.Item{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "VirtualSCSI"}
}

// ac13Files: NVRAM, an ISO in a drive and any other file come along, to the
// machine where it reads them, and go out as they came; after a round trip the
// machine has them again.
func ac13Files(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	data := string(Content(4, 1<<20))
	hw := Hardware("efi", pvscsi(), OnController("3", 0, "d"),
		ovf.Item{InstanceID: "5", ResourceType: ovf.ResourceIDE}, ovf.Item{ResourceType: ovf.ResourceCD, Parent: "5", HostResource: []string{"ovf:/file/iso"}, AutomaticAllocation: true})
	files := [][2]string{{"tools.iso", string(Content(3, 300<<10))}, {"vm.nvram", string(want.Variables)}, {"d.img", data}, {"notes.txt", "keep me"}}
	var refs []ovf.File
	for _, f := range files {
		id := map[string]string{"tools.iso": "iso", "vm.nvram": "nvram", "d.img": "f", "notes.txt": "notes"}[f[0]]
		refs = append(refs, ovf.File{ID: id, Href: f[0], Size: int64(len(f[1]))})
	}
	disks := []ovf.Disk{{ID: "d", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1}}
	s, _ := Importing(t, h, OneMachine(t, hw, disks, refs, files...), host.ImportOptions{})
	check := func(s *host.System) {
		t.Helper()
		m := h.Made(t, s, s.Machines[0])
		if m.Firmware != "efi" || !m.Variables || !slices.Equal(m.Drives, []int64{300 << 10}) || len(m.Disks) != 1 {
			t.Errorf("%s: %+v", s.Name, m)
		}
		if h.Takes != nil {
			h.Takes(t, s.Machines[0])
		}
	}
	check(s)
	out := Exported(t, h, s.ID)
	content := Files(t, out)
	for _, f := range files {
		if f[0] != "d.img" && content[f[0]] != f[1] {
			t.Errorf("%s went out with %d bytes, it came with %d", f[0], len(content[f[0]]), len(f[1]))
		}
	}
	second, _ := Importing(t, h, out, host.ImportOptions{Name: "second"})
	check(second)
}

// ac13Strange: a device that nobody has is left out with a finding, or refused
// where the package demands it (DSP0243 8.3, 8.4).
func ac13Strange(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	odd := Hardware("", ovf.Item{InstanceID: "9", ElementName: "a strange device", ResourceType: ovf.ResourceOther, ResourceSubType: "example.strange", AutomaticAllocation: true})
	if _, found := Importing(t, h, NotRequired(t, "a strange device", odd, nil, nil), host.ImportOptions{Name: "odd"}); !slices.Contains(found, want.Strange) {
		t.Errorf("that a device is left out is not told: %v", found)
	}
	before := h.Left(t)
	_, err := h.Import(t.Context(), Package(t, OneMachine(t, odd, nil, nil)), host.ImportOptions{Name: "odder"})
	if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "a strange device") {
		t.Errorf("a device that the package demands: %v", err)
	}
	unchanged(t, "a device that the package demands", before, h)
}

// ac24FilesOfDisks: a disk gets the file that its reference names, whatever the
// order, with an ISO first, a blank disk between, and an orphan.
func ac24FilesOfDisks(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	for _, variant := range want.Variants {
		h := open(t, variant)
		a, b := Content(11, 2<<20), Content(12, 3<<20)
		refs := []ovf.File{{ID: "iso", Href: "a.iso", Size: 2048}, {ID: "fb", Href: "b.img", Size: int64(len(b))}, {ID: "orphan", Href: "z.bin", Size: 3}, {ID: "fa", Href: "a.img", Size: int64(len(a))}}
		disks := []ovf.Disk{{ID: "first", FileRef: "fa", Capacity: fmt.Sprint(len(a)), PopulatedSize: -1}, {ID: "blank", Capacity: "1048576", PopulatedSize: -1},
			{ID: "second", FileRef: "fb", Capacity: fmt.Sprint(len(b)), PopulatedSize: -1}}
		hw := Hardware("", pvscsi(), OnController("3", 2, "second"), OnController("3", 0, "first"), OnController("3", 1, "blank"))
		s, _ := Importing(t, h, OneMachine(t, hw, disks, refs, [2]string{"a.iso", strings.Repeat("i", 2048)}, [2]string{"b.img", string(b)}, [2]string{"z.bin", "zzz"}, [2]string{"a.img", string(a)}), host.ImportOptions{})
		for d := range s.AllDisks() {
			holds(t, h, d, map[string][]byte{"first": a, "second": b, "blank": make([]byte, 1<<20)}[d.OVFID])
		}
		units := map[string]int{}
		for _, d := range h.Made(t, s, s.Machines[0]).Disks {
			units[d.Disk] = d.Unit
		}
		if len(units) != 3 || units["first"] != 0 || units["blank"] != 1 || units["second"] != 2 {
			t.Errorf("%sunits by disk are %v", variant, units)
		}
	}
}

// holds wants a disk to hold that content.
func holds(t testing.TB, h host.Host, d *host.Disk, want []byte) {
	t.Helper()
	img, err := h.OpenDisk(t.Context(), d.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	got := make([]byte, img.Size())
	if err := disk.ReadFull(img, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("disk %s has another content: %v", d.OVFID, err)
	}
}

// ac24SharedDisks: a disk of two machines is one disk, which both have, or is
// refused before anything is made; it is never made twice.
func ac24SharedDisks(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	before := h.Left(t)
	data := Content(13, 1<<20)
	d := ovf.Draft{Version: ovf.V2, Files: []ovf.File{{ID: "f", Href: "q.img", Size: int64(len(data))}},
		Disks:   []ovf.Disk{{ID: "quorum", FileRef: "f", Capacity: fmt.Sprint(len(data)), PopulatedSize: -1, Shared: true}},
		Content: ovf.DraftContent{Collection: true, ID: "pair", Name: "pair"}}
	for _, name := range []string{"one", "two"} {
		d.Content.Children = append(d.Content.Children, ovf.DraftContent{ID: name, Name: name, Hardware: []ovf.DraftHardware{Hardware("", pvscsi(), OnController("3", 1, "quorum"))}})
	}
	s, err := h.Import(t.Context(), Package(t, Archive(t, d, [2]string{"q.img", string(data)})), host.ImportOptions{})
	if !h.Capabilities().SharedDisks {
		if !errors.Is(err, host.ErrUnsupported) || !strings.Contains(err.Error(), "quorum") {
			t.Errorf("a disk of two machines: %v", err)
		}
		unchanged(t, "a disk of two machines", before, h)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	disks := 0
	for k := range s.AllDisks() {
		disks++
		holds(t, h, k, data)
	}
	for _, m := range s.Machines {
		if k := h.Made(t, s, m).Disks; len(k) != 1 || k[0].Disk != "quorum" || !k[0].Shareable {
			t.Errorf("%s has the disks %+v", m.Name, k)
		}
	}
	if disks != 1 || len(s.Machines) != 2 {
		t.Errorf("%d disks, %d machines", disks, len(s.Machines))
	}
}

// ac33NothingIsLeft: whatever breaks an import, the hypervisor is as it was, and
// the same import ends well afterwards.
func ac33NothingIsLeft(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	for _, variant := range want.Variants {
		h := open(t, variant)
		before := h.Left(t)
		sample := NewSample(t, "appliance", 1)
		whole := sample.OVA(t)
		off, size := sample.File(t, "disk2.vmdk")
		flipped := bytes.Clone(whole)
		flipped[off+size/2] ^= 1
		type attempt struct {
			b    []byte
			opts host.ImportOptions
		}
		attempts := map[string]attempt{"broken": {flipped, host.ImportOptions{}}, "cancelled": {whole, host.ImportOptions{}}}
		for storage := range h.Refused {
			attempts["disk2 on "+storage] = attempt{whole, host.ImportOptions{Storage: map[string]string{"disk2": storage}}}
		}
		for name, a := range attempts {
			ctx, cancel := context.WithCancel(t.Context())
			if name == "cancelled" {
				a.opts.Progress = func(host.DiskProgress) { cancel() }
			}
			if _, err := h.Import(ctx, Package(t, a.b), a.opts); err == nil {
				t.Errorf("%s: no error", name)
			}
			cancel()
			unchanged(t, variant+name, before, h)
		}
		Importing(t, h, whole, host.ImportOptions{})
	}
}

// ac35BeforeTheUpload: what the hypervisor cannot do is told before a byte of a
// disk is read and before anything is made, with what there is to choose from.
func ac35BeforeTheUpload(t *testing.T, open func(testing.TB, string) Hypervisor, want Expected) {
	h := open(t, want.Variants[0])
	before := h.Left(t)
	b := NewSample(t, "appliance", 1).OVA(t)
	refuse := func(what string, opts host.ImportOptions, names ...string) {
		t.Helper()
		read := false
		opts.Progress = func(host.DiskProgress) { read = true }
		_, err := h.Import(t.Context(), Package(t, b), opts)
		if !errors.Is(err, host.ErrUnsupported) || read {
			t.Errorf("%s: %v, content read: %v", what, err, read)
			return
		}
		for _, n := range names {
			if !strings.Contains(err.Error(), n) {
				t.Errorf("%s: %v, which does not name %s", what, err, n)
			}
		}
	}
	for storage, names := range h.Refused {
		refuse("storage", host.ImportOptions{Storage: map[string]string{"*": storage}}, names)
	}
	if opts := (host.ImportOptions{Networks: map[string]string{"front": "nowhere"}}); want.NoNetwork == "" {
		refuse("network", opts, "nowhere", want.Network)
	} else {
		_, found := importing(t, h, b, opts)
		if !slices.ContainsFunc(found, func(f ovf.Finding) bool {
			return f.ID == want.NoNetwork && strings.Contains(f.Message, "nowhere") && strings.Contains(f.Hint, want.Network)
		}) {
			t.Errorf("a network that is not there is not told with the candidates: %+v", found)
		}
		return
	}
	unchanged(t, "what is refused", before, h)
}

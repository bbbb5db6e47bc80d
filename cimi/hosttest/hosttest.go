// Package hosttest is the suite that every host.Host passes: what a package
// became, that a broken one leaves nothing, that what comes out is what went
// in. A new host's test is a call of Run.
package hosttest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/disk/formats"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// Hosts opens hosts for a test. Open gives an empty host; Reopen closes it and
// opens the same one again, as a new process would.
type Hosts interface {
	Open(t testing.TB) host.Host
	Reopen(t testing.TB, h host.Host) host.Host
}

// Run runs the suite.
func Run(t *testing.T, hosts Hosts) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, Hosts)
	}{
		{"Import", testImport},
		{"ImportStream", testImportStream},
		{"Deltas", testDeltas},
		{"Integrity", testIntegrity},
		{"Truncated", testTruncated},
		{"Cancelled", testCancelled},
		{"Refused", testRefused},
		{"Reopen", testReopen},
		{"RoundTrip", testRoundTrip},
		{"Update", testUpdate},
		{"Frozen", testFrozen},
		{"Delete", testDelete},
		{"Maker", testMaker},
		{"Mover", testMover},
		{"Tracker", testTracker},
		{"Live", testLive},
		{"Patch", testPatch},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, hosts) })
	}
}

// Systems are those that the host holds, without the places of its own networks.
func Systems(t testing.TB, h host.Host) []*host.System {
	t.Helper()
	var out []*host.System
	for s, err := range h.Systems(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		if s.Holder != host.HoldsNetwork {
			out = append(out, s)
		}
	}
	return out
}

func imported(t testing.TB, h host.Host, s *Sample) *host.System {
	t.Helper()
	sys, err := h.Import(context.Background(), Package(t, s.OVA(t)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return sys
}

func testImport(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	var last = map[string]host.DiskProgress{}
	sys, err := h.Import(context.Background(), Package(t, sample.OVA(t)), host.ImportOptions{ID: "abc123",
		Progress: func(p host.DiskProgress) { last[p.Disk] = p }})
	if err != nil {
		t.Fatal(err)
	}
	if sys.ID != "abc123" || sys.Name != "appliance" || sys.OVFID != "appliance" {
		t.Errorf("system is %q %q %q", sys.ID, sys.Name, sys.OVFID)
	}
	if len(sys.Machines) != 2 || len(sys.Disks) != 3 || len(sys.Networks) != 2 {
		t.Fatalf("%d machines, %d disks, %d networks; want 2, 3, 2", len(sys.Machines), len(sys.Disks), len(sys.Networks))
	}
	db, web := sys.Machines[0], sys.Machines[1]
	if db.Name != "database" || db.CPUs != 2 || db.MemoryBytes != 512<<20 || db.Description != "holds the data" || db.StartOrder != 1 {
		t.Errorf("database is %+v", db)
	}
	if web.Name != "web" || web.NICs[0].MAC != "00:50:56:aa:bb:01" || !web.NICs[1].Disabled {
		t.Errorf("web is %+v", web)
	}
	if web.NICs[0].Network != sys.Networks[0].ID || db.NICs[0].Network != sys.Networks[1].ID {
		t.Error("cards are connected to other networks than the descriptor says")
	}
	for id, want := range sample.Digests {
		if d := diskByOVFID(sys, id); d == nil || d.ContentDigest != want || d.ContentBytes != DiskSize {
			t.Errorf("disk %s is %+v, want digest %s", id, d, want)
		}
		if p := last[id]; p.Done != p.Total || p.Total != DiskSize {
			t.Errorf("progress of %s ended with %d of %d", id, p.Done, p.Total)
		}
	}
	if d := diskByOVFID(sys, "scratch"); d == nil || d.CapacityBytes != 2<<20 || d.ContentDigest != "" {
		t.Errorf("blank disk is %+v", d)
	}
	checkContent(t, h, sys, sample)
	if all := Systems(t, h); len(all) != 1 || all[0].ID != sys.ID {
		t.Errorf("the host lists %d systems", len(all))
	}
	if _, err := h.Import(context.Background(), Package(t, sample.OVA(t)), host.ImportOptions{ID: "abc123"}); !errors.Is(err, host.ErrExists) {
		t.Errorf("a second import under the same id: %v", err)
	}
	second, err := h.Import(context.Background(), Package(t, sample.OVA(t)), host.ImportOptions{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	if second.Name != "other" || second.ID == sys.ID {
		t.Errorf("second system is %q %q", second.ID, second.Name)
	}
}

func diskByOVFID(s *host.System, id string) *host.Disk {
	for d := range s.AllDisks() {
		if d.OVFID == id {
			return d
		}
	}
	return nil
}

func checkContent(t testing.TB, h host.Host, sys *host.System, sample *Sample) {
	t.Helper()
	for d := range sys.AllDisks() {
		img, err := h.OpenDisk(context.Background(), d.ID)
		if err != nil {
			t.Fatal(err)
		}
		if img.Size() != d.CapacityBytes {
			t.Errorf("disk %s has %d bytes, want %d", d.OVFID, img.Size(), d.CapacityBytes)
		}
		got := make([]byte, img.Size())
		if _, err := img.ReadAt(got, 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		want := make([]byte, img.Size())
		copy(want, sample.Disks[d.OVFID])
		if !bytes.Equal(got, want) {
			t.Errorf("disk %s has another content", d.OVFID)
		}
		if err := img.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testImportStream(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sys, err := h.Import(context.Background(), Stream(t, bytes.NewReader(sample.OVA(t))), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, h, sys, sample)
}

// testIntegrity flips one byte in each file of the package, in turn.
func testIntegrity(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sound := sample.OVA(t)
	for _, name := range []string{"disk1.vmdk", "disk2.vmdk", "readme.txt"} {
		off, size := sample.File(t, name)
		for _, at := range []int64{off, off + size/2, off + size - 1} {
			broken := bytes.Clone(sound)
			broken[at] ^= 0x40
			for kind, pkg := range map[string]ovf.Package{"opener": Package(t, broken), "stream": Stream(t, bytes.NewReader(broken))} {
				_, err := h.Import(context.Background(), pkg, host.ImportOptions{})
				var integrity *ovf.IntegrityError
				if !errors.As(err, &integrity) || integrity.File != name {
					t.Errorf("%s, byte %d of %s flipped: %v", kind, at-off, name, err)
				}
			}
		}
	}
	nothing(t, hosts, h)
}

func nothing(t testing.TB, hosts Hosts, h host.Host) {
	t.Helper()
	if n := len(Systems(t, h)); n != 0 {
		t.Errorf("%d systems are left", n)
	}
	if n := len(Systems(t, hosts.Reopen(t, h))); n != 0 {
		t.Errorf("%d systems are left after the next start", n)
	}
}

func testTruncated(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	whole := sample.OVA(t)
	off, size := sample.File(t, "disk2.vmdk")
	_, err := h.Import(context.Background(), Stream(t, bytes.NewReader(whole[:off+size/2])), host.ImportOptions{})
	var de *ovf.DescriptorError
	if !errors.As(err, &de) {
		t.Errorf("a truncated archive: %v", err)
	}
	lost := errors.New("connection lost")
	broken := io.MultiReader(bytes.NewReader(whole[:off+size/2]), iotest.ErrReader(lost))
	if _, err := h.Import(context.Background(), Stream(t, broken), host.ImportOptions{}); !errors.Is(err, lost) {
		t.Errorf("a lost connection: %v", err)
	}
	nothing(t, hosts, h)
}

func testCancelled(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_, err := h.Import(ctx, Package(t, sample.OVA(t)), host.ImportOptions{Progress: func(host.DiskProgress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled import: %v", err)
	}
	nothing(t, hosts, h)
}

func testRefused(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	for name, opts := range map[string]host.ImportOptions{
		"network":  {Networks: map[string]string{"nowhere": "lan"}},
		"storage":  {Storage: map[string]string{"nodisk": "fast"}},
		"property": {Properties: map[string]string{"nokey": "x"}},
		"mac":      {MAC: "maybe"},
	} {
		if _, err := h.Import(context.Background(), Package(t, sample.OVA(t)), opts); !errors.Is(err, host.ErrUnsupported) {
			t.Errorf("unknown %s: %v", name, err)
		}
	}
	var de *ovf.DescriptorError
	if _, err := h.Import(context.Background(), Package(t, sample.OVA(t)), host.ImportOptions{Configuration: "none"}); !errors.As(err, &de) {
		t.Errorf("unknown configuration: %v", err)
	}
	nothing(t, hosts, h)
}

func testReopen(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	h = hosts.Reopen(t, h)
	again, err := h.System(context.Background(), sys.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Descriptor, sample.Descriptor) {
		t.Error("the kept descriptor is another one")
	}
	checkContent(t, h, again, sample)
}

func export(t testing.TB, h host.Host, id string, opts host.ExportOptions) (host.Export, []byte) {
	t.Helper()
	x, err := h.Export(context.Background(), id, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	b, err := io.ReadAll(io.NewSectionReader(x, 0, x.Size()+1))
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != x.Size() {
		t.Fatalf("export has %d bytes, its size says %d", len(b), x.Size())
	}
	ValidDescriptor(t, b)
	return x, b
}

// ValidDescriptor wants the descriptor of an archive to be valid by its schema,
// but for sections of vendors, which are valid by the vendor's alone (DSP0243 7.3).
func ValidDescriptor(t testing.TB, archive []byte) {
	t.Helper()
	env, err := ovf.Parse(bytes.Clone(Package(t, archive).Envelope().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	sections := env.Sections()
	for c := range env.Contents() {
		sections = append(sections, c.Sections()...)
	}
	for _, s := range sections {
		if s.Namespace != env.Namespace() {
			s.Node().Remove()
		}
	}
	ovftest.Valid(t, "the exported descriptor", env.Bytes())
}

// contents decodes the disks of an archive and gives its other files as they are.
// Disks are the contents of an archive's disks, by their ids in the descriptor.
func Disks(t testing.TB, archive []byte) map[string][]byte {
	t.Helper()
	_, disks, _ := contents(t, archive)
	return disks
}

func contents(t testing.TB, archive []byte) (env *ovf.Envelope, disks map[string][]byte, others map[string]string) {
	t.Helper()
	pkg := Package(t, archive)
	disks, others = map[string][]byte{}, map[string]string{}
	ids := map[string]string{}
	for _, d := range pkg.Envelope().Disks() {
		ids[d.FileRef] = d.ID
	}
	for c, err := range files.Contents(context.Background(), pkg, files.Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		id, ok := ids[c.File.ID]
		if !ok {
			others[c.Name] = string(b)
			continue
		}
		img, err := formats.Open(bytes.NewReader(b), int64(len(b)), formats.Source{Name: c.Name, Declared: disk.VMDK})
		if err != nil {
			t.Fatal(err)
		}
		disks[id] = make([]byte, img.Size())
		if _, err := img.ReadAt(disks[id], 0); err != nil && err != io.EOF {
			t.Fatal(err)
		}
	}
	return pkg.Envelope(), disks, others
}

func testRoundTrip(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	_, archive := export(t, h, sys.ID, host.ExportOptions{})
	env, disks, others := contents(t, archive)
	for id, want := range sample.Disks {
		if !bytes.Equal(disks[id], want) {
			t.Errorf("disk %s came out with another content", id)
		}
	}
	if len(disks) != 2 || others["readme.txt"] != "Read me first.\n" {
		t.Errorf("%d disks and files %q came out", len(disks), others)
	}
	// Only sizes of files may differ.
	was, err := ovf.Parse(bytes.Clone(sample.Descriptor))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range was.Files() {
		size, _ := env.Files()[i].Node().Attr(env.Namespace(), "size")
		f.Node().SetAttr(was.Namespace(), "size", size, "ovf")
	}
	if !bytes.Equal(was.Bytes(), env.Bytes()) {
		t.Errorf("the descriptor was changed beyond sizes:\n%s", env.Bytes())
	}
	// Once written anew, it stays as it is.
	again, err := h.Import(context.Background(), Stream(t, bytes.NewReader(archive)), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	checkContent(t, h, again, sample)
	if _, second := export(t, h, again.ID, host.ExportOptions{}); !bytes.Equal(archive, second) {
		t.Error("the export of an imported export differs from it")
	}
}

func testUpdate(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	edited, err := h.System(context.Background(), sys.ID)
	if err != nil {
		t.Fatal(err)
	}
	edited.Name = "renamed & moved"
	edited.Machines[0].CPUs, edited.Machines[0].MemoryBytes = 4, 768<<20
	edited.Machines[0].Name, edited.Machines[1].Name = "db <1>", "frontend"
	edited.Machines[0].NICs[0].MAC = "02:00:00:00:00:07"
	edited.Machines[1].NICs[0].MAC = ""
	edited.Machines[1].NICs[1].Disabled = false
	edited.Machines[1].Description = "serves pages"
	edited.Machines[1].StartOrder = 5
	edited.Networks[0].Name = "public"
	if err := h.Update(context.Background(), edited); err != nil {
		t.Fatal(err)
	}
	edited.Disks[0].CapacityBytes++
	if err := h.Update(context.Background(), edited); !errors.Is(err, host.ErrUnsupported) {
		t.Errorf("a change of capacity: %v", err)
	}
	edited.Disks[0].CapacityBytes--
	edited.Machines = edited.Machines[:1]
	if err := h.Update(context.Background(), edited); !errors.Is(err, host.ErrUnsupported) {
		t.Errorf("a machine left out: %v", err)
	}
	_, archive := export(t, h, sys.ID, host.ExportOptions{})
	again, err := h.Import(context.Background(), Package(t, archive), host.ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	db, web := again.Machines[0], again.Machines[1]
	if again.Name != "renamed & moved" || db.Name != "db <1>" || db.CPUs != 4 || db.MemoryBytes != 768<<20 || db.NICs[0].MAC != "02:00:00:00:00:07" {
		t.Errorf("after export and import: %q %+v", again.Name, db)
	}
	if web.Name != "frontend" || web.NICs[0].MAC != "" || web.NICs[1].Disabled || web.Description != "serves pages" || web.StartOrder != 5 {
		t.Errorf("after export and import: %+v", web)
	}
	if again.Networks[0].Name != "public" || web.NICs[0].Network != again.Networks[0].ID {
		t.Errorf("after export and import: %+v", again.Networks[0])
	}
	checkContent(t, h, again, sample)
}

func testFrozen(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	x, first := export(t, h, sys.ID, host.ExportOptions{})
	state, err := x.State()
	if err != nil {
		t.Fatal(err)
	}
	version := x.Version()
	edited, err := h.System(context.Background(), sys.ID)
	if err != nil {
		t.Fatal(err)
	}
	edited.Name = "another name"
	if err := h.Update(context.Background(), edited); err != nil {
		t.Fatal(err)
	}
	if y, _ := export(t, h, sys.ID, host.ExportOptions{}); y.Version() == version {
		t.Error("an edited System exports under the same version")
	} else {
		y.Close()
	}
	if err := x.Close(); err != nil {
		t.Error(err)
	}
	h = hosts.Reopen(t, h)
	y, second := export(t, h, sys.ID, host.ExportOptions{Frozen: state})
	if y.Version() != version || !bytes.Equal(first, second) {
		t.Error("the frozen export is not the same after a restart")
	}
}

func testDelete(t *testing.T, hosts Hosts) {
	h, sample := hosts.Open(t), NewSample(t, "appliance", 1)
	sys := imported(t, h, sample)
	if err := h.Delete(context.Background(), sys.ID); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"System": second(h.System(context.Background(), sys.ID)),
		"Delete": h.Delete(context.Background(), sys.ID),
		"Disk":   second(h.OpenDisk(context.Background(), sys.Disks[0].ID)),
		"Export": second(h.Export(context.Background(), sys.ID, host.ExportOptions{})),
	} {
		if !errors.Is(err, host.ErrNotFound) {
			t.Errorf("%s of a deleted System: %v", what, err)
		}
	}
	nothing(t, hosts, h)
}

func second[T any](_ T, err error) error { return err }

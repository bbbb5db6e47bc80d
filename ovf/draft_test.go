package ovf_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

func quantity(n uint64) *uint64 { return &n }

const streamOptimized = "http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"

func machine(id, disk string) ovf.DraftContent {
	return ovf.DraftContent{ID: id, Name: "Machine <" + id + ">", Annotation: "for tests & more",
		OS: &ovf.OperatingSystem{ID: 94, Description: "Ubuntu", VMwareType: "ubuntu64Guest"},
		Products: []ovf.ProductSection{{Class: "com.example", Product: "P", Version: "1", Properties: []ovf.Property{
			{Key: "size", Type: "uint32", Value: "4", HasValue: true, UserConfigurable: true, Category: "Sizes", Label: "Size",
				Values: []ovf.PropertyValue{{Configuration: "large", Value: "8"}}},
			{Key: "secret", Type: "string", Password: true},
		}}},
		Eulas: []ovf.Eula{{License: "None."}},
		Hardware: []ovf.DraftHardware{{SystemType: "vmx-13", Transport: "iso", Firmware: "efi", Items: []ovf.Item{
			{InstanceID: "1", ResourceType: ovf.ResourceProcessor, AllocationUnits: "hertz * 10^6", VirtualQuantity: quantity(2)},
			{InstanceID: "1", ResourceType: ovf.ResourceProcessor, VirtualQuantity: quantity(4), Configuration: []string{"large"}},
			{InstanceID: "2", ResourceType: ovf.ResourceMemory, AllocationUnits: "byte * 2^20", VirtualQuantity: quantity(512), Reservation: quantity(256)},
			{InstanceID: "3", ResourceType: ovf.ResourceSCSI, ResourceSubType: "lsilogic", Address: "0"},
			{InstanceID: "4", ResourceType: ovf.ResourceDisk, Parent: "3", AddressOnParent: "0", HostResource: []string{"ovf:/disk/" + disk}},
			{InstanceID: "5", ResourceType: ovf.ResourceEthernet, Connection: []string{"net a"}, Address: "52:54:00:00:00:01", AutomaticAllocation: true, ResourceSubType: "E1000"},
		}}}}
}

func appliance(v ovf.Version) ovf.Draft {
	d := ovf.Draft{Version: v, Lang: "en-US",
		Files:          []ovf.File{{ID: "f1", Href: "disk 1.vmdk", Size: 1234}, {ID: "f2", Href: "d2.vmdk.gz", Size: 1, Compression: "gzip", ChunkSize: 1 << 20}},
		Disks:          []ovf.Disk{{ID: "d1", FileRef: "f1", Capacity: "8", AllocationUnits: "byte * 2^30", PopulatedSize: 77, Format: streamOptimized}, {ID: "d2", FileRef: "f2", Capacity: "512", Format: streamOptimized, PopulatedSize: -1}, {ID: "blank", Capacity: "${size}", AllocationUnits: "byte * 2^30"}},
		Networks:       []ovf.Network{{Name: "net a", Description: "The <first>"}, {Name: "net b"}},
		Configurations: []ovf.Configuration{{ID: "small"}, {ID: "large", Default: true, Label: "L", Description: "D"}},
		Content: ovf.DraftContent{Collection: true, ID: "app", Name: "App",
			Startup:  []ovf.StartupItem{{ID: "db", Order: 1, StartDelay: 30, WaitingForGuest: true}, {ID: "inner", Order: 2, StopAction: "guestShutdown"}},
			Children: []ovf.DraftContent{machine("db", "d1"), {Collection: true, ID: "inner", Children: []ovf.DraftContent{machine("web", "d2")}}}},
	}
	if v == ovf.V2 {
		d.Disks = append(d.Disks, ovf.Disk{ID: "quorum", Capacity: "536870912", Shared: true, PopulatedSize: -1})
		items := &d.Content.Children[0].Hardware[0].Items
		(*items)[4].Kind, (*items)[4].ResourceType, (*items)[5].Kind = "StorageItem", ovf.ResourceLogicalDisk, "EthernetPortItem"
	}
	return d
}

func TestDraft(t *testing.T) {
	for _, v := range []ovf.Version{ovf.V1, ovf.V2} {
		e, err := ovf.NewEnvelope(appliance(v))
		if err != nil {
			t.Fatal(err)
		}
		if e.Version() != v || len(e.VirtualSystems()) != 2 {
			t.Errorf("version %s, %d systems", e.Version(), len(e.VirtualSystems()))
		}
		db, _ := e.ByID("db")
		h := db.Hardware()[0]
		if n, err := h.CPUs(""); n != 4 || err != nil {
			t.Errorf("CPUs by default: %d, %v", n, err)
		}
		if n, _ := h.CPUs("small"); n != 2 {
			t.Errorf("CPUs when small: %d", n)
		}
		if n, _ := h.MemoryBytes(""); n != 512<<20 {
			t.Errorf("memory %d", n)
		}
		if d := h.Disks(""); len(d) != 1 || d[0].Disk.ID != "d1" || d[0].File.Href != "disk 1.vmdk" || d[0].Controller.String() != "scsi0" || d[0].Unit != 0 {
			t.Errorf("disks %+v", d)
		}
		if n := h.NICs(""); len(n) != 1 || n[0].Address != "52:54:00:00:00:01" || n[0].Connection[0] != "net a" {
			t.Errorf("adapters %+v", n)
		}
		blank, _ := e.Disk("blank")
		for cfg, want := range map[string]int64{"": 8 << 30, "small": 4 << 30} {
			if n, err := blank.CapacityIn(cfg, nil); n != want || err != nil {
				t.Errorf("capacity in %q: %d, %v", cfg, n, err)
			}
		}
		if n, _ := blank.CapacityIn("", map[string]string{"com.example.size": "3"}); n != 3<<30 {
			t.Errorf("capacity by value: %d", n)
		}
		if h.Firmware() != "efi" {
			t.Errorf("firmware %q", h.Firmware())
		}
		xmllint(t, e)
	}
	if _, err := ovf.NewEnvelope(ovf.Draft{Disks: []ovf.Disk{{ID: "x", Shared: true}}, Content: ovf.DraftContent{ID: "a"}}); err == nil {
		t.Error("a shared disk in version 1 passes")
	}
}

// TestDraftOptional: an Item is demanded unless the draft says that it may be
// left out, in either version.
func TestDraftOptional(t *testing.T) {
	for _, v := range []ovf.Version{ovf.V1, ovf.V2} {
		d := appliance(v)
		hw := &d.Content.Children[0].Hardware[0]
		left := hw.Items[len(hw.Items)-1].InstanceID
		hw.Optional = []string{left}
		e, err := ovf.NewEnvelope(d)
		if err != nil {
			t.Fatal(err)
		}
		db, _ := e.ByID("db")
		for _, it := range db.Hardware()[0].Items() {
			if it.Required == (it.InstanceID == left) {
				t.Errorf("version %s: Item %s: required is %v", v, it.InstanceID, it.Required)
			}
		}
		xmllint(t, e)
	}
}

// xmllint checks against the schema of the version.
func xmllint(t *testing.T, e *ovf.Envelope) {
	dir := filepath.Join(repository(t), "..", "shared", "spec", "ovf-xsd", map[ovf.Version]string{ovf.V1: "1.1.1", ovf.V2: "2.0.1"}[e.Version()])
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CIMIMOVE_CI") == "1" {
			t.Fatal("the schemas are missing")
		}
		t.Log("the schemas are not there")
		return
	}
	if _, err := exec.LookPath("xmllint"); err != nil {
		missing(t, "xmllint")
	}
	f := filepath.Join(t.TempDir(), "x.ovf")
	if err := os.WriteFile(f, e.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("xmllint", "--nonet", "--noout", "--schema", filepath.Join(dir, "ovf.xsd"), f).CombinedOutput()
	if err != nil {
		t.Errorf("xmllint, version %s: %v\n%s\n%s", e.Version(), err, out, e.Bytes())
	}
}

// Every edit changes the lines it says and no other.
func TestEdits(t *testing.T) {
	base, err := ovf.NewEnvelope(appliance(ovf.V1))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		edit  func(e *ovf.Envelope)
		pairs []string // replaced, each once
	}{
		{"href and size", func(e *ovf.Envelope) { f, _ := e.File("f1"); f.SetHref("x.vmdk"); f.SetSize(5) },
			[]string{`ovf:href="disk 1.vmdk" ovf:size="1234"`, `ovf:href="x.vmdk" ovf:size="5"`}},
		{"compression and chunks", func(e *ovf.Envelope) { f, _ := e.File("f2"); f.SetCompression(""); f.SetChunkSize(0) },
			[]string{` ovf:compression="gzip" ovf:chunkSize="1048576"`, ``}},
		{"capacity in its unit", func(e *ovf.Envelope) { d, _ := e.Disk("d1"); d.SetCapacity(16 << 30) },
			[]string{`ovf:capacity="8"`, `ovf:capacity="16"`}},
		{"capacity in bytes", func(e *ovf.Envelope) { d, _ := e.Disk("d1"); d.SetCapacity(5) },
			[]string{`ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^30" ovf:populatedSize="77"`, `ovf:capacity="5" ovf:capacityAllocationUnits="byte" ovf:populatedSize="77"`}},
		{"blank", func(e *ovf.Envelope) { d, _ := e.Disk("d2"); d.SetFileRef("") }, []string{` ovf:fileRef="f2"`, ""}},
		{"name", func(e *ovf.Envelope) { c, _ := e.ByID("app"); c.SetName("B") }, []string{"<Name>App</Name>", "<Name>B</Name>"}},
		{"new name", func(e *ovf.Envelope) { c, _ := e.ByID("inner"); c.SetName("B") },
			[]string{"    <VirtualSystemCollection ovf:id=\"inner\">\n      <Info>A collection of virtual machines</Info>\n", "    <VirtualSystemCollection ovf:id=\"inner\">\n      <Info>A collection of virtual machines</Info>\n      <Name>B</Name>\n"}},
		{"network", func(e *ovf.Envelope) {
			if err := e.RenameNetwork("net a", "lan"); err != nil {
				t.Error(err)
			}
		}, []string{`ovf:name="net a"`, `ovf:name="lan"`, "<rasd:Connection>net a", "<rasd:Connection>lan", "<rasd:Connection>net a", "<rasd:Connection>lan"}},
		{"attributes", func(e *ovf.Envelope) { c, _ := e.ByID("db"); c.SetAttributes(map[string]string{"a": "b"}) },
			[]string{`<VirtualSystem ovf:id="db">`, `<VirtualSystem ovf:id="db" xmlns:cimimove="` + ovf.NSCimimove + `" cimimove:attributes="{&quot;a&quot;:&quot;b&quot;}">`}},
		{"field", func(e *ovf.Envelope) {
			c, _ := e.ByID("db")
			c.Hardware()[0].EffectiveItems("large")[0].SetField("VirtualQuantity", "6")
		}, []string{"<rasd:VirtualQuantity>4<", "<rasd:VirtualQuantity>6<"}},
		{"new field", func(e *ovf.Envelope) {
			c, _ := e.ByID("db")
			c.Hardware()[0].Items()[2].SetField("Limit", "600")
		}, []string{"<rasd:InstanceID>2</rasd:InstanceID>\n", "<rasd:InstanceID>2</rasd:InstanceID>\n          <rasd:Limit>600</rasd:Limit>\n"}},
		{"removed", func(e *ovf.Envelope) { d, _ := e.Disk("blank"); d.Remove() },
			[]string{"    <Disk ovf:diskId=\"blank\" ovf:capacity=\"${size}\" ovf:capacityAllocationUnits=\"byte * 2^30\"/>\n", ""}},
	}
	for _, tt := range tests {
		e := base.Clone()
		tt.edit(e)
		want := string(base.Bytes())
		for i := 0; i < len(tt.pairs); i += 2 {
			want = strings.Replace(want, tt.pairs[i], tt.pairs[i+1], 1)
		}
		if got := string(e.Bytes()); got != want {
			t.Errorf("%s: %s", tt.name, firstDifference(got, want))
		}
		if !e.Edited() {
			t.Errorf("%s: no edit", tt.name)
		}
		xmllint(t, e)
	}
	c, _ := base.ByID("db")
	if base.Edited() || c.Attributes() != nil {
		t.Error("an edit of a clone shows in the original")
	}
}

func firstDifference(a, b string) string {
	for i := 0; i < min(len(a), len(b)); i++ {
		if a[i] != b[i] {
			return fmt.Sprintf("got …%q, want …%q", a[max(0, i-40):min(len(a), i+80)], b[max(0, i-40):min(len(b), i+80)])
		}
	}
	return fmt.Sprintf("lengths %d, %d", len(a), len(b))
}

func TestWrapInCollection(t *testing.T) {
	d := appliance(ovf.V1)
	d.Content = machine("db", "d1")
	e, err := ovf.NewEnvelope(d)
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.WrapInCollection("all", "All")
	if err != nil {
		t.Fatal(err)
	}
	if k := c.Children(); len(k) != 1 || k[0].ID != "db" {
		t.Errorf("children %+v", k)
	}
	again, err := ovf.Parse(e.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if c, _ := again.Content(); !c.Collection || c.ID != "all" || len(again.VirtualSystems()) != 1 {
		t.Errorf("%s", e.Bytes())
	}
	xmllint(t, e)
}

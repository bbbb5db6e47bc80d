package validate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

// sound has no finding above info; each case breaks it in one place.
const sound = `<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f1" ovf:href="1.vmdk" ovf:size="10"/><File ovf:id="f2" ovf:href="2.vmdk"/></References>
<DiskSection><Info/><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:format="f"/><Disk ovf:diskId="d2" ovf:fileRef="f2" ovf:parentRef="d1" ovf:capacity="9" ovf:format="f"/></DiskSection>
<NetworkSection><Info/><Network ovf:name="lan"/></NetworkSection>
<DeploymentOptionSection><Info/><Configuration ovf:id="small"><Label/><Description/></Configuration><Configuration ovf:id="big" ovf:default="true"><Label/><Description/></Configuration></DeploymentOptionSection>
<VirtualSystemCollection ovf:id="all"><Info/>
<StartupSection><Info/><Item ovf:id="vm" ovf:order="1"/></StartupSection>
<VirtualSystem ovf:id="vm"><Info/>
<ProductSection ovf:class="c"><Info/><Property ovf:key="k" ovf:type="uint8" ovf:qualifiers="MinValue(1) MaxValue(9)" ovf:value="5"><Value ovf:value="6" ovf:configuration="big"/></Property></ProductSection>
<VirtualHardwareSection><Info/>
<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>512</rasd:VirtualQuantity></Item>
<Item ovf:bound="min"><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>256</rasd:VirtualQuantity></Item>
<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6</rasd:ResourceType></Item>
<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d2</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
<Item ovf:configuration="big"><rasd:Connection>lan</rasd:Connection><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></VirtualSystemCollection></Envelope>`

const xenCenter = "http://schemas.citrix.com/ovf/envelope/1"

// TestXenCenter: what all exports of XenCenter's have is no error in them: the
// order of start in the Envelope, and processors counted in words of its user's
// language.
func TestXenCenter(t *testing.T) {
	doc := strings.Replace(sound, "<NetworkSection>", `<StartupSection ovf:required="true"><Info/><Item ovf:id="vm" ovf:order="3"/></StartupSection><NetworkSection>`, 1)
	doc = strings.Replace(doc, "<Item><rasd:InstanceID>1<", "<Item><rasd:AllocationUnits>Processor Cores</rasd:AllocationUnits><rasd:InstanceID>1<", 1)
	for declared, want := range map[string]string{"": "OVF-XML-003 OVF-HW-020", ` xmlns:xenovf="` + xenCenter + `"`: "OVF-XML-021 OVF-DISK-012"} {
		env, err := ovf.Parse([]byte(strings.Replace(doc, "<Envelope", "<Envelope"+declared, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, f := range validate.Validate(env, validate.Options{}) {
			ids = append(ids, f.ID)
			if bad := f.Severity == ovf.Error; bad != (declared == "") {
				t.Errorf("%q: %s %s: %s", declared, f.Severity, f.ID, f.Message)
			}
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%q: findings %s, want %s", declared, got, want)
		}
	}
}

func TestRules(t *testing.T) {
	const disk2 = `<Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/d2<`
	tests := []struct{ id, from, to string }{
		{"", "", ""},
		{"OVF-XML-001", "<NetworkSection>", `<x:Strings/><NetworkSection>`},
		{"OVF-XML-020", "<Envelope", `<?xml version="1.0" encoding="utf-16"?><Envelope`},
		{"OVF-XML-017", "<NetworkSection>", `<NetworkSection x:y="1">`},
		{"OVF-XML-014", "<NetworkSection>", `<o:NewSection xmlns:o="o" ovf:required="true"/><NetworkSection>`},
		{"OVF-XML-015", `<Network ovf:name="lan"/>`, `<Network ovf:name="lan"/><Netwerk ovf:name="wan"/>`},
		{"OVF-XML-016", `ovf:order="1"`, `ovf:order="first"`},
		{"OVF-XML-016", `ovf:order="1"`, `ovf:order="1" ovf:stopAction="shutdown"`},
		{"OVF-XML-016", `ovf:default="true"`, `ovf:default="yes"`},
		{"OVF-XML-021", `<NetworkSection>`, `<StartupSection><Info/><Item ovf:id="vm" ovf:order="1"/></StartupSection><NetworkSection>`},
		{"OVF-REF-013", `<ProductSection ovf:class="c"><Info/>`, `<ProductSection ovf:class="c"><Info/><Icon ovf:fileRef="f9"/>`},
		{"OVF-REF-013", `<VirtualHardwareSection><Info/>`, `<EnvironmentFilesSection><Info/><File ovf:fileRef="f9" ovf:path="x"/></EnvironmentFilesSection><VirtualHardwareSection><Info/>`},
		{"OVF-REF-014", "<NetworkSection>", `<Strings xml:lang="de" ovf:fileRef="f9"/><NetworkSection>`},
		{"OVF-DISK-019", `<Disk ovf:diskId="d1"`, `<Disk ovf:diskId="d0" ovf:parentRef="d2" ovf:capacity="9"/><Disk ovf:diskId="d1"`},
		{"OVF-ID-005", `ovf:id="all"`, `ovf:id="vm"`},
		{"OVF-ID-003", `<StartupSection>`, `<ScaleOutSection ovf:id="web"><Info/></ScaleOutSection><StartupSection>`},
		{"OVF-ID-006", "<NetworkSection>", `<PlacementGroupSection ovf:id="g"><Info/></PlacementGroupSection><PlacementGroupSection ovf:id="g"><Info/></PlacementGroupSection><NetworkSection>`},
		{"OVF-ID-007", `<ProductSection`, `<PlacementSection ovf:group="g"><Info/></PlacementSection><ProductSection`},
		{"OVF-ID-008", `<StartupSection>`, `<ScaleOutSection ovf:id="vm"><Info/><InstanceCount ovf:default="9" ovf:minimum="2" ovf:maximum="4"/></ScaleOutSection><StartupSection>`},
		{"OVF-HW-018", `<VirtualHardwareSection>`, `<VirtualHardwareSection ovf:id="h"><Info/></VirtualHardwareSection><VirtualHardwareSection ovf:id="h">`},
		{"OVF-HW-019", `<rasd:VirtualQuantity>2<`, `<rasd:Reservation>some</rasd:Reservation><rasd:VirtualQuantity>2<`},
		{"OVF-HW-020", `<Item><rasd:InstanceID>1<`, `<Item><rasd:AllocationUnits>parsec * 3</rasd:AllocationUnits><rasd:InstanceID>1<`},
		{"OVF-HW-021", `<rasd:ResourceType>6<`, `<rasd:ResourceType>six<`},
		{"OVF-XML-002", ` xmlns="http://schemas.dmtf.org/ovf/envelope/1"`, ""},
		{"OVF-XML-003", "<NetworkSection>", "<EulaSection><Info/></EulaSection><NetworkSection>"},
		{"OVF-XML-004", "<NetworkSection><Info/>", "<NetworkSection>"},
		{"OVF-XML-005", "</Envelope>", `<VirtualSystem ovf:id="b"><Info/></VirtualSystem></Envelope>`},
		{"OVF-XML-006", "<NetworkSection>", "<NetworkSection><Info/></NetworkSection><NetworkSection>"},
		{"OVF-XML-007", "<NetworkSection>", `<o:NewSection xmlns:o="o"/><NetworkSection>`},
		{"OVF-XML-008", `xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"`, `xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/"`},
		{"OVF-XML-009", "<rasd:InstanceID>3", "<rasd:Unknown ovf:required=\"true\"/><rasd:InstanceID>3"},
		{"OVF-XML-019", "<rasd:InstanceID>3", "<rasd:Unknown/><rasd:InstanceID>3"},
		{"OVF-XML-010", "<NetworkSection>", "<NewSection><Info/></NewSection><NetworkSection>"},
		{"OVF-XML-011", `xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"`, `xmlns="http://www.vmware.com/schema/ovf/1/envelope" xmlns:ovf="http://www.vmware.com/schema/ovf/1/envelope" ovf:version="7"`},
		{"OVF-XML-012", `Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"`, `Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.dmtf.org/ovf/envelope/1/" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1/"`},
		{"OVF-XML-013", `xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"`, `xmlns="http://www.vmware.com/schema/ovf/1/envelope" xmlns:ovf="http://www.vmware.com/schema/ovf/1/envelope"`},
		{"OVF-ENC-001", "<NetworkSection>", "<EncryptionSection><Info/></EncryptionSection><NetworkSection>"},
		{"OVF-XML-018", `<NetworkSection><Info/>`, `<NetworkSection><Info/><x:New xmlns:x="urn:x" ovf:required="true"/>`},
		{"OVF-REF-001", ` ovf:id="f1"`, ""},
		{"OVF-REF-002", `ovf:id="f2"`, `ovf:id="f1"`},
		{"OVF-REF-003", ` ovf:href="1.vmdk"`, ""},
		{"OVF-REF-004", `ovf:href="2.vmdk"`, `ovf:href="1.vmdk"`},
		{"OVF-REF-005", `ovf:size="10"`, `ovf:size="-1"`},
		{"OVF-REF-006", `ovf:size="10"`, `ovf:chunkSize="0"`},
		{"OVF-REF-007", `ovf:size="10"`, `ovf:compression="lzma"`},
		{"OVF-REF-008", `"1.vmdk"`, `"../1.vmdk"`},
		{"OVF-REF-009", `"1.vmdk"`, `"https://example.com/1.vmdk"`},
		{"OVF-REF-010", "References>", "Refs>"},
		{"OVF-DISK-001", ` ovf:diskId="d1"`, ""},
		{"OVF-DISK-002", `diskId="d2"`, `diskId="d1"`},
		{"OVF-DISK-003", `fileRef="f2"`, `fileRef="f9"`},
		{"OVF-DISK-004", `capacity="9"`, `capacity="9.5"`},
		{"OVF-DISK-004", `capacity="9"`, `capacity="9GB"`},
		{"OVF-DISK-004", `byte * 2^20" ovf:format`, `byte * 2^80" ovf:format`},
		{"OVF-DISK-004", `capacity="9"`, `capacity="${none}"`},
		{"OVF-DISK-005", `ovf:fileRef="f2" ovf:parentRef="d1" ovf:capacity="9"`, `ovf:capacity="0"`},
		{"OVF-DISK-018", `capacity="9"`, `capacity="0"`},
		{"OVF-DISK-006", `fileRef="f2"`, `fileRef="f1"`},
		{"OVF-DISK-007", `fileRef="f2" ovf:parentRef="d1" ovf:capacity="9" ovf:format="f"/>`, `fileRef="f2" ovf:capacity="9" ovf:format="f"/><Disk ovf:diskId="d3" ovf:fileRef="f1" ovf:capacity="1" ovf:format="f"/>`},
		{"OVF-DISK-008", ` ovf:format="f"/><Disk`, `/><Disk`},
		{"OVF-DISK-009", `parentRef="d1"`, `parentRef="d9"`},
		{"OVF-DISK-010", `parentRef="d1"`, `parentRef="d2"`},
		{"OVF-DISK-011", `capacity="9"`, `capacity="9" ovf:populatedSize="10"`},
		{"OVF-DISK-012", "byte * 2^20\" ovf:format", "MegaBytes\" ovf:format"},
		{"OVF-DISK-013", "<DiskSection>", `<SharedDiskSection><Info/><SharedDisk ovf:diskId="s" ovf:capacity="1"/></SharedDiskSection><DiskSection>`},
		{"OVF-DISK-014", "ovf:/disk/d2", "ovf:/disk/d1"},
		{"OVF-DISK-016", `capacity="9"`, `capacity="@SIZE@"`},
		{"OVF-DISK-017", `<Disk ovf:diskId="d2"`, `<Disk ovf:diskId="d3" ovf:fileRef="f1" ovf:capacity="1" ovf:format="f"/><Disk ovf:diskId="d2"`},
		{"OVF-NET-001", ` ovf:name="lan"`, ""},
		{"OVF-NET-002", `<Network ovf:name="lan"/>`, `<Network ovf:name="lan"/><Network ovf:name="lan"/>`},
		{"OVF-NET-003", "<rasd:Connection>lan", "<rasd:Connection>wan"},
		{"OVF-NET-004", "<rasd:Connection>lan", "<rasd:Connection>wan"},
		{"OVF-ID-001", ` ovf:id="vm"><Info/>`, "><Info/>"},
		{"OVF-ID-002", `<StartupSection>`, `<VirtualSystem ovf:id="vm"><Info/></VirtualSystem><StartupSection>`},
		{"OVF-ID-004", `<StartupSection>`, `<VirtualSystemCollection ovf:id="none"><Info/></VirtualSystemCollection><StartupSection>`},
		{"OVF-ID-003", `<Item ovf:id="vm"`, `<Item ovf:id="wm"`},
		{"OVF-CFG-001", `<Item ovf:configuration="big"`, `<Item ovf:configuration="bigger"`},
		{"OVF-CFG-002", `ovf:id="small"`, `ovf:id="big"`},
		{"OVF-CFG-003", `ovf:id="small"`, `ovf:id="small" ovf:default="true"`},
		{"OVF-CFG-004", `<Value `, `<Value ovf:value="6" ovf:configuration="big"/><Value `},
		{"OVF-HW-001", "VirtualHardwareSection", "x"},
		{"OVF-HW-002", "<rasd:InstanceID>3</rasd:InstanceID>", ""},
		{"OVF-HW-003", "<rasd:ResourceType>6</rasd:ResourceType>", ""},
		{"OVF-HW-004", "<rasd:InstanceID>3<", "<rasd:InstanceID>1<"},
		{"OVF-HW-005", "<rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6<", "<rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3<"},
		{"OVF-HW-006", "<rasd:Parent>3", "<rasd:Parent>33"},
		{"OVF-HW-007", "ovf:/disk/d2", "ovf:/disk/d9"},
		{"OVF-HW-008", disk2, strings.Replace(disk2, "<Item>", "<Item><rasd:Parent>3</rasd:Parent><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:InstanceID>9</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item><Item>", 1)},
		{"OVF-HW-009", `<rasd:VirtualQuantity>256`, `<rasd:VirtualQuantity>25.6`},
		{"OVF-HW-010", "<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>", "<Item>"},
		{"OVF-HW-011", "<rasd:VirtualQuantity>2<", "<rasd:VirtualQuantity>two<"},
		{"OVF-HW-011", "<rasd:VirtualQuantity>2<", "<rasd:VirtualQuantity>4294967297<"},
		{"OVF-HW-012", "<rasd:ResourceType>3<", "<rasd:ResourceType>1<"},
		{"OVF-HW-013", "<rasd:InstanceID>3<", "<rasd:Parent>4</rasd:Parent><rasd:InstanceID>3<"},
		{"OVF-HW-014", `ovf:bound="min"`, `ovf:bound="least"`},
		{"OVF-HW-015", "<rasd:VirtualQuantity>256", "<rasd:VirtualQuantity>1024"},
		{"OVF-HW-016", "<Item ovf:bound", "<Item/><Item ovf:bound"},
		{"OVF-HW-017", "<Item><rasd:InstanceID>1", "<System/><Item><rasd:InstanceID>1"},
		{"OVF-HW-022", "<Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>6<", `<Item ovf:required="true"><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>32768<`},
		{"OVF-PROP-001", ` ovf:key="k"`, ""},
		{"OVF-PROP-002", "</Property>", `</Property><Property ovf:key="k" ovf:type="string"/>`},
		{"OVF-PROP-003", ` ovf:type="uint8"`, ""},
		{"OVF-PROP-004", `"uint8"`, `"uint7"`},
		{"OVF-PROP-005", `ovf:value="5"`, `ovf:value="10"`},
		{"OVF-PROP-005", `ovf:value="5"`, `ovf:value="256"`},
		{"OVF-PROP-006", "MinValue(1)", "Least(1)"},
		{"OVF-PROP-007", "<ProductSection", `<ProductSection ovf:class="c"><Info/></ProductSection><ProductSection`},
		{"OVF-PROP-008", `ovf:key="k"`, `ovf:key="k.l"`},
	}
	// also is what a case needs beside its one change.
	also := map[string][2]string{
		"OVF-DISK-007": {`<Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:format="f"/>`, ""},
		"OVF-DISK-017": {"ovf:/disk/d2<", `ovf:/disk/d2</rasd:HostResource></Item><Item ovf:configuration="big"><rasd:HostResource>ovf:/disk/d3<`},
		"OVF-NET-004":  {"<Envelope ", `<Envelope xmlns:ovirt="http://www.ovirt.org/ovf" `},
		"OVF-XML-012":  {"<NetworkSection><Info/>", "<NetworkSection>"},
		"OVF-XML-021":  {"<Envelope ", `<Envelope xmlns:xenovf="` + xenCenter + `" `},
		"OVF-XML-008":  {`xmlns="http://schemas.dmtf.org/ovf/envelope/1"`, `xmlns="http://schemas.dmtf.org/ovf/envelope/1/"`},
	}
	// TestInventory has these.
	covered := map[string]bool{"OVF-REF-011": true, "OVF-REF-012": true, "OVF-DISK-015": true}
	for _, tt := range tests {
		doc := strings.ReplaceAll(sound, tt.from, tt.to)
		if more, ok := also[tt.id]; ok {
			doc = strings.Replace(doc, more[0], more[1], 1)
		}
		if tt.from == "" {
			doc = sound
		} else if doc == sound {
			t.Fatalf("%s: %q is not in the document", tt.id, tt.from)
		}
		env, err := ovf.Parse([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
			continue
		}
		var ids []string
		for _, f := range validate.Validate(env, validate.Options{}) {
			ids = append(ids, f.ID)
			if f.Message == "" || f.Object == "" && tt.id != "OVF-NET-001" || f.Clause == "" {
				t.Errorf("%s: incomplete finding %+v", tt.id, f)
			}
		}
		if tt.id == "" && len(ids) > 0 || tt.id != "" && !slices.Contains(ids, tt.id) {
			t.Errorf("%s: found %v", tt.id, ids)
		}
		covered[tt.id] = true
	}
	seen := map[string]bool{}
	for _, r := range validate.Rules() {
		if seen[r.ID] {
			t.Errorf("%s stands twice in the table", r.ID)
		}
		seen[r.ID] = true
		if r.Hint == "" || r.Hint == r.Text {
			t.Errorf("%s does not say what to do", r.ID)
		}
		if !covered[r.ID] {
			t.Errorf("%s has no case", r.ID)
		}
	}
}

type members map[string][2]int64

func (m members) Size(n string) (int64, bool) { v, ok := m[n]; return v[0], ok }

func (m members) DiskCapacity(n string) (int64, bool) { v, ok := m[n]; return v[1], ok && v[1] > 0 }

func TestAC14AC17Inventory(t *testing.T) {
	env, err := ovf.Parse([]byte(sound))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range validate.Validate(env, validate.Options{Inventory: members{"1.vmdk": {11, 16 << 20}}}) {
		ids = append(ids, f.ID)
	}
	if want := []string{"OVF-REF-012", "OVF-REF-011", "OVF-DISK-015"}; !slices.Equal(ids, want) {
		t.Errorf("found %v, want %v", ids, want)
	}
	if f := validate.Validate(env, validate.Options{Inventory: members{"1.vmdk": {10, 8 << 20}, "2.vmdk": {-1, 0}}}); len(f) > 0 {
		t.Errorf("found %v", f)
	}
}

// TestHintsAgree: to do what one rule says does not break another, and a unit of
// anything is not called one of bytes.
func TestHintsAgree(t *testing.T) {
	for _, r := range validate.Rules() {
		if r.ID == "OVF-REF-004" && strings.Contains(r.Hint, "share") {
			t.Errorf("%s: %q: OVF-DISK-006 forbids it", r.ID, r.Hint)
		}
		if r.ID == "OVF-DISK-012" && strings.Contains(r.Hint, "byte") {
			t.Errorf("%s: %q: the unit may be of processors", r.ID, r.Hint)
		}
	}
}

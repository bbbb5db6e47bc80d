package edit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/validate"
)

func sample(t testing.TB) *ovf.Envelope {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "ovf", "appliance-1.1.ovf"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := ovf.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func apply(t *testing.T, e *ovf.Envelope, o edit.Options) []ovf.Finding {
	t.Helper()
	f, err := edit.Apply(e, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range validate.Validate(e, validate.Options{}) {
		if g.Severity == ovf.Error {
			t.Errorf("after the edit: %+v", g)
		}
	}
	return f
}

func hardware(t *testing.T, e *ovf.Envelope, id string) ovf.VirtualHardware {
	t.Helper()
	c, _ := e.ByID(id)
	h, ok := c.HardwareFor(nil)
	if !ok {
		t.Fatalf("%s has no hardware", id)
	}
	return h
}

func TestNothing(t *testing.T) {
	e := sample(t)
	if f := apply(t, e, edit.Options{MAC: edit.KeepMAC}); e.Edited() || len(f) != 1 || f[0].ID != edit.RuleMAC {
		t.Errorf("edited %v, findings %v", e.Edited(), f)
	}
}

func TestEdits(t *testing.T) {
	e := sample(t)
	before := e.Bytes()
	apply(t, e, edit.Options{Name: "new", Networks: map[string]string{"net a": "net b", "net b": "net a"}, CPUs: map[string]int{"*": 6}, MemoryBytes: map[string]int64{"*": 2 << 30},
		Controllers: map[string]string{"scsi": "sata"}, MAC: edit.RegenerateMAC, Random: bytes.NewReader([]byte("\x01\x02\x03\x04\x05\x06\x01\x02\x03\x04\x05\x06\x11\x02\x03\x04\x05\x06"))})
	c, _ := e.Content()
	db, web := hardware(t, e, "db"), hardware(t, e, "web")
	cpus, _ := db.CPUs("")
	small, _ := db.CPUs("small")
	memory, _ := web.MemoryBytes("")
	if c.Name != "new" || cpus != 6 || small != 6 || memory != 2<<30 || e.Networks()[0].Name != "net b" || db.NICs("")[0].Connection[0] != "net b" {
		t.Errorf("name %q, %d and %d processors, %d bytes, networks %v", c.Name, cpus, small, memory, e.Networks())
	}
	if d := db.Disks(""); d[0].Controller.Bus != "sata" {
		t.Errorf("the controller is %q", d[0].Controller.Bus)
	}
	if a, b := db.NICs("")[0].Address, web.NICs("")[0].Address; a != "02:02:03:04:05:06" || a == b || b == "" {
		t.Errorf("addresses %s, %s", a, b)
	}
	d := edit.Diff("app.ovf", before, e.Bytes())
	if !strings.Contains(d, `-      <Name>`) && !strings.Contains(d, `+    <Name>new</Name>`) {
		t.Errorf("diff\n%s", d)
	}
	if strings.Count(d, "\n-") != strings.Count(d, "\n+")-1 && strings.Count(d, "\n-") == 0 {
		t.Errorf("diff\n%s", d)
	}
}

func TestPickConfiguration(t *testing.T) {
	e := sample(t)
	apply(t, e, edit.Options{Configuration: "large", MAC: edit.StripMAC})
	h := hardware(t, e, "db")
	cpus, _ := h.CPUs("")
	if len(e.Configurations()) != 0 || cpus != 4 || bytes.Contains(e.Bytes(), []byte("configuration=")) {
		t.Errorf("%d configurations, %d processors\n%s", len(e.Configurations()), cpus, e.Bytes())
	}
	for c := range e.Contents() {
		for _, p := range c.Properties() {
			if p.Key == "size" && p.Value != "8" {
				t.Errorf("size is %q", p.Value)
			}
		}
	}
	if h.NICs("")[0].Address != "" {
		t.Error("the address is still there")
	}
}

func TestPropertiesAndFiles(t *testing.T) {
	e := sample(t)
	f := apply(t, e, edit.Options{Properties: map[string]string{"com.example.size": "9"}, Remove: []string{"disk 1.vmdk"},
		Add: []ovf.File{{ID: "iso", Href: "a.iso", Size: 5}}})
	if _, ok := e.File("iso"); !ok || len(f) != 3 || len(hardware(t, e, "db").Disks("")) != 0 {
		t.Errorf("findings %v\n%s", f, e.Bytes())
	}
	for name, o := range map[string]edit.Options{
		"unknown key": {Properties: map[string]string{"none": "1"}}, "bad value": {Properties: map[string]string{"size": "-1"}},
		"unknown network": {Networks: map[string]string{"none": "a"}}, "unknown file": {Remove: []string{"none"}},
		"taken id": {Add: []ovf.File{{ID: "f2", Href: "x"}}}, "unknown configuration": {Configuration: "none"},
		"processors": {CPUs: map[string]int{"*": -1}}, "processors of none": {CPUs: map[string]int{"none": 1}}, "memory": {MemoryBytes: map[string]int64{"*": -1}}, "bus": {Controllers: map[string]string{"scsi": "floppy"}}, "policy": {MAC: "none"},
	} {
		var refused *edit.Error
		if _, err := edit.Apply(sample(t), o); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDiff(t *testing.T) {
	if d := edit.Diff("a", []byte("x\n"), []byte("x\n")); d != "" {
		t.Errorf("no change: %q", d)
	}
	before, after := "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n12b\n13\n14\n"
	want := "--- a\n+++ a\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n@@ -10,5 +10,6 @@\n 10\n 11\n 12\n+12b\n 13\n 14\n"
	if d := edit.Diff("a", []byte(before), []byte(after)); d != want {
		t.Errorf("got\n%s", d)
	}
}

// Each machine has its own processors and memory, VirtualBox's description too.
func TestHardwareBySystem(t *testing.T) {
	e := sample(t)
	apply(t, e, edit.Options{CPUs: map[string]int{"db": 8, "*": 3}, MemoryBytes: map[string]int64{"web": 1000}})
	db, web := hardware(t, e, "db"), hardware(t, e, "web")
	a, _ := db.CPUs("")
	b, _ := web.CPUs("")
	m, _ := web.MemoryBytes("")
	n, _ := db.MemoryBytes("")
	if a != 8 || b != 3 || m != 1000 || n != 512<<20 {
		t.Errorf("%d and %d processors, %d and %d bytes", a, b, m, n)
	}
	box, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `" xmlns:vbox="` + ovf.NSVBox + `"><References/><VirtualSystem ovf:id="vm"><Info/><VirtualHardwareSection><Info/>
<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
<Item><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
</VirtualHardwareSection><vbox:Machine ovf:required="false" name="vm"><vbox:Hardware><CPU count="1"/><Memory RAMSize="1"/></vbox:Hardware></vbox:Machine></VirtualSystem></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, box, edit.Options{CPUs: map[string]int{"vm": 2}, MemoryBytes: map[string]int64{"*": 3 << 20}})
	if !bytes.Contains(box.Bytes(), []byte(`<CPU count="2"/><Memory RAMSize="3"/>`)) {
		t.Errorf("%s", box.Bytes())
	}
}

// Networks swap names, and several become one.
func TestNetworks(t *testing.T) {
	e := sample(t)
	f := apply(t, e, edit.Options{Networks: map[string]string{"*": "lan"}})
	if n := e.Networks(); len(n) != 1 || n[0].Name != "lan" || hardware(t, e, "db").NICs("")[0].Connection[0] != "lan" {
		t.Errorf("networks %v", n)
	}
	if !slices.ContainsFunc(f, func(f ovf.Finding) bool { return f.ID == edit.RuleNetwork }) {
		t.Errorf("findings %v", f)
	}
}

// A property is found by each spelling of its key; new ones come and old ones go.
func TestPropertyKeys(t *testing.T) {
	const doc = `<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `"><References/><VirtualSystem ovf:id="vm"><Info/>
<ProductSection ovf:class="com.x" ovf:instance="1"><Info/><Property ovf:key="k" ovf:type="string"/></ProductSection>
<ProductSection ovf:class="com.x" ovf:instance="2"><Info/><Property ovf:key="k" ovf:type="string"/></ProductSection>
<VirtualHardwareSection><Info/></VirtualHardwareSection></VirtualSystem></Envelope>`
	for key, ok := range map[string]bool{"com.x.k:1": true, "com.x.k.1": true, "k": false, "com.x.k": false} {
		e, err := ovf.Parse([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		_, err = edit.Apply(e, edit.Options{Properties: map[string]string{key: "v"}})
		c, _ := e.Content()
		if (err == nil) != ok || ok && c.Properties()[0].Value != "v" {
			t.Errorf("%s: %v", key, err)
		}
	}
	e, err := ovf.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	_, err = edit.Apply(e, edit.Options{RemoveProperties: []string{"com.x.k:2"}, AddProperties: []ovf.Property{
		{Class: "com.x", Instance: "1", Key: "n", Type: "uint8", Value: "7", UserConfigurable: true}, {Class: "com.y", Key: "m"}}})
	var keys []string
	c, _ := e.Content()
	for _, p := range c.Properties() {
		keys = append(keys, p.EnvKey()+"="+p.Value)
	}
	if got := strings.Join(keys, " "); err != nil || got != "com.y.m= com.x.k:1= com.x.n:1=7" {
		t.Errorf("%v: %s\n%s", err, got, e.Bytes())
	}
	for name, p := range map[string]ovf.Property{"value": {Key: "a", Type: "uint8", Value: "x"}, "key": {Key: "a.b"}, "there": {Class: "com.y", Key: "m"}} {
		if _, err := edit.Apply(e, edit.Options{AddProperties: []ovf.Property{p}}); err == nil {
			t.Errorf("%s passes", name)
		}
	}
}

// What names a removed file goes too; a drive of removable media stays.
func TestRemovedFileLeavesNoTrace(t *testing.T) {
	e, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `" xmlns:vmw="` + ovf.NSVMW + `"><References><File ovf:id="f" ovf:href="a.bin"/></References>
<VirtualSystem ovf:id="vm"><Info/><ProductSection><Info/><Icon ovf:fileRef="f"/></ProductSection><VirtualHardwareSection><Info/>
<Item><rasd:HostResource>ovf:/file/f</rasd:HostResource><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>15</rasd:ResourceType></Item>
<vmw:ExtraConfig ovf:required="false" vmw:key="nvram" vmw:value="ovf:/file/f"/></VirtualHardwareSection></VirtualSystem><Strings xml:lang="de" ovf:fileRef="f"/></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	f := apply(t, e, edit.Options{Remove: []string{"f"}})
	if h := hardware(t, e, "vm"); len(f) != 4 || len(h.Drives("")) != 1 || bytes.Contains(e.Bytes(), []byte(`"f"`)) || bytes.Contains(e.Bytes(), []byte("/f")) && bytes.Contains(e.Bytes(), []byte("ovf:/file/f")) {
		t.Errorf("findings %v\n%s", f, e.Bytes())
	}
}

// A combined Item takes over all that later ones say, vendors' elements and
// repeated fields included (DSP0243 9.8); other sections follow the choice.
func TestPickCombines(t *testing.T) {
	e, err := ovf.Parse([]byte(`<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `" xmlns:vmw="` + ovf.NSVMW + `"><References/>
<NetworkSection><Info/><Network ovf:name="a"/><Network ovf:name="b"/><Network ovf:name="c"/></NetworkSection>
<DeploymentOptionSection><Info/><Configuration ovf:id="s"><Label/><Description/></Configuration><Configuration ovf:id="l"><Label/><Description/></Configuration></DeploymentOptionSection>
<VirtualSystemCollection ovf:id="all"><Info/><ResourceAllocationSection><Info/><Item ovf:configuration="s"><rasd:ElementName>s</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType></Item><Item ovf:configuration="l"><rasd:ElementName>l</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType></Item></ResourceAllocationSection>
<VirtualSystem ovf:id="vm"><Info/><VirtualHardwareSection><Info/>
<Item><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity><vmw:CoresPerSocket ovf:required="false">1</vmw:CoresPerSocket></Item>
<Item ovf:configuration="l"><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>8</rasd:VirtualQuantity><rasd:Weight>5</rasd:Weight><vmw:CoresPerSocket ovf:required="false">4</vmw:CoresPerSocket></Item>
<Item><rasd:Connection>a</rasd:Connection><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
<Item ovf:configuration="s l"><rasd:Connection>b</rasd:Connection><rasd:Connection>c</rasd:Connection><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>10</rasd:ResourceType></Item>
<Item ovf:bound="min" ovf:configuration="s"><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
</VirtualHardwareSection></VirtualSystem></VirtualSystemCollection></Envelope>`))
	if err != nil {
		t.Fatal(err)
	}
	h := hardware(t, e, "vm")
	if n := h.CoresPerSocket("l"); n != 4 {
		t.Errorf("%d cores per socket", n)
	}
	apply(t, e, edit.Options{Configuration: "l"})
	h = hardware(t, e, "vm")
	items := h.Items()
	c, _ := e.Content()
	if len(items) != 2 || h.CoresPerSocket("") != 4 || *items[0].VirtualQuantity != 8 || *items[0].Weight != 5 || strings.Join(items[1].Connection, "") != "bc" || len(h.Ranges("")) != 0 ||
		len(c.AllocationItems()) != 1 || c.AllocationItems()[0].ElementName != "l" || bytes.Contains(e.Bytes(), []byte("configuration")) {
		t.Errorf("%s", e.Bytes())
	}
}

package ovf_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
)

// AC-15: OVF 2 becomes what older tools take, and OVF 1 becomes OVF 2; both
// are valid under the schema of their version.
func TestAC15Versions(t *testing.T) {
	two, err := ovf.NewEnvelope(appliance(ovf.V2))
	if err != nil {
		t.Fatal(err)
	}
	one, findings, err := two.ConvertTo(ovf.V1)
	if err != nil {
		t.Fatal(err)
	}
	xmllint(t, one)
	if one.Version() != ovf.V1 || two.Edited() {
		t.Errorf("version %s, the original edited: %v", one.Version(), two.Edited())
	}
	if bytes.Contains(one.Bytes(), []byte("StorageItem")) || bytes.Contains(one.Bytes(), []byte("EthernetPortItem")) || bytes.Contains(one.Bytes(), []byte("SharedDisk")) {
		t.Errorf("something of OVF 2 is left:\n%s", one.Bytes())
	}
	if len(findings) != 1 || findings[0].ID != ovf.RuleVersionShared {
		t.Errorf("findings %v", findings)
	}
	db, _ := one.ByID("db")
	h, _ := db.HardwareFor(nil)
	if d := h.Disks(""); len(d) != 1 || d[0].ResourceType != ovf.ResourceDisk || d[0].File.Href != "disk 1.vmdk" || d[0].Controller.String() != "scsi0" {
		t.Errorf("disks %+v", d)
	}
	if n := h.NICs(""); len(n) != 1 || n[0].Address != "52:54:00:00:00:01" || n[0].Connection[0] != "net a" {
		t.Errorf("adapters %+v", n)
	}
	back, findings, err := one.ConvertTo(ovf.V2)
	if err != nil || len(findings) > 0 || back.Version() != ovf.V2 {
		t.Fatalf("%v, findings %v", err, findings)
	}
	xmllint(t, back)
	again, _, err := back.ConvertTo(ovf.V1)
	if err != nil || !bytes.Equal(again.Bytes(), one.Bytes()) {
		t.Errorf("there and back differs: %v, %s", err, firstDifference(string(again.Bytes()), string(one.Bytes())))
	}
}

func TestVersionLosses(t *testing.T) {
	doc := `<Envelope xmlns="` + ovf.NS2 + `" xmlns:ovf="` + ovf.NS2 + `" xmlns:sasd="` + ovf.NSSASD + `" xmlns:v="urn:vendor"><References/>
<NetworkSection><Info/><Network ovf:name="n"><NetworkPortProfileURI>http://example.com/p</NetworkPortProfileURI></Network></NetworkSection>
<PlacementGroupSection ovf:id="g" ovf:policy="affinity"><Info/></PlacementGroupSection><v:Own a='1'/>
<VirtualSystem ovf:id="vm"><Info/><VirtualHardwareSection><Info/><StorageItem><sasd:Access>1</sasd:Access><sasd:ElementName>d</sasd:ElementName><sasd:InstanceID>1</sasd:InstanceID><sasd:ResourceType>31</sasd:ResourceType></StorageItem></VirtualHardwareSection></VirtualSystem></Envelope>`
	e, err := ovf.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	out, findings, err := e.ConvertTo(ovf.V1)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range findings {
		ids = append(ids, f.ID)
	}
	if got := strings.Join(ids, " "); got != "OVF-VER-004 OVF-VER-001 OVF-VER-002" {
		t.Errorf("findings %s", got)
	}
	if !bytes.Contains(out.Bytes(), []byte("<v:Own a='1'/>")) {
		t.Error("a vendor's section is lost")
	}
	enc := strings.Replace(doc, "<References/>", "<References/><EncryptionSection><Info/></EncryptionSection>", 1)
	if e, err = ovf.Parse([]byte(enc)); err != nil {
		t.Fatal(err)
	}
	if _, _, err = e.ConvertTo(ovf.V1); err == nil {
		t.Error("encrypted parts pass")
	}
}

// Descriptors of the corpora go to version 2 and come back byte for byte.
func TestVersionsOfCorpus(t *testing.T) {
	n := 0
	for _, d := range append(corpus(t), govmomiFixtures(t)...) {
		b, err := os.ReadFile(d.path)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ovf.Parse(b)
		// Some mix the namespaces of both versions, which become one.
		if err != nil || e.Version() != ovf.V1 || bytes.Contains(b, []byte(ovf.NS2)) {
			continue
		}
		two, findings, err := e.ConvertTo(ovf.V2)
		if err != nil {
			t.Logf("%s: %v", d.name, err)
			continue
		}
		back, _, err := two.ConvertTo(ovf.V1)
		if err != nil {
			t.Errorf("%s: %v", d.name, err)
			continue
		}
		n++
		if len(findings) > 0 || !bytes.Equal(back.Bytes(), b) {
			t.Errorf("%s: findings %v; %s", d.name, findings, firstDifference(string(back.Bytes()), string(b)))
		}
	}
	t.Logf("%d descriptors", n)
}

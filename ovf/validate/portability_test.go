package validate_test

import (
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/validate"
)

func TestPortability(t *testing.T) {
	collection := strings.ReplaceAll(sound, "<rasd:ResourceType>6<", "<rasd:ResourceSubType>nvme</rasd:ResourceSubType><rasd:ResourceType>20<")
	collection = strings.ReplaceAll(collection, `ovf:size="10"`, `ovf:size="10" ovf:chunkSize="5"`)
	collection = strings.ReplaceAll(collection, `ovf:format="f"`, `ovf:format="http://example.com/vdi"`)
	collection = strings.Replace(collection, "<VirtualHardwareSection><Info/>", `<v:VendorSection xmlns:v="`+ovf.NSVMW+`"><Info/></v:VendorSection><VirtualHardwareSection><Info/><Item><rasd:InstanceID>77</rasd:InstanceID><rasd:ResourceSubType>vmware.vtpm</rasd:ResourceSubType><rasd:ResourceType>1</rasd:ResourceType></Item><v:Config xmlns:v="`+ovf.NSVMW+`" v:key="bootOptions.efiSecureBootEnabled" v:value="true"/>`, 1)
	for target, want := range map[validate.Target]string{
		validate.VMware:     "OVF-PORT-005 OVF-PORT-005",
		validate.VirtualBox: "OVF-PORT-003 OVF-PORT-010 OVF-PORT-007 OVF-PORT-009 OVF-PORT-004",
		validate.OVirt:      "OVF-PORT-002 OVF-PORT-003 OVF-PORT-005 OVF-PORT-005 OVF-PORT-010 OVF-PORT-007 OVF-PORT-009 OVF-PORT-004",
		validate.KVM:        "OVF-PORT-002 OVF-PORT-003 OVF-PORT-005 OVF-PORT-005 OVF-PORT-010 OVF-PORT-007 OVF-PORT-009",
		validate.CIMI:       "OVF-PORT-010 OVF-PORT-007 OVF-PORT-006 OVF-PORT-008",
	} {
		env, err := ovf.Parse([]byte(collection))
		if err != nil {
			t.Fatal(err)
		}
		findings, err := validate.Portability(env, target)
		var ids []string
		for _, f := range findings {
			ids = append(ids, f.ID)
		}
		if got := strings.Join(ids, " "); err != nil || got != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", target, err, got, want)
		}
	}
	two, err := ovf.Parse([]byte(strings.ReplaceAll(sound, "envelope/1", "envelope/2")))
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := validate.Portability(two, validate.VMware); len(f) == 0 || f[0].ID != "OVF-PORT-001" {
		t.Errorf("OVF 2 for VMware: %v", f)
	}
	if _, err := validate.Portability(two, "none"); err == nil {
		t.Error("an unknown target passes")
	}
}

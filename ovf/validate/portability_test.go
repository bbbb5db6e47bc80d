package validate_test

import (
	"slices"
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
		validate.VMware:     "OVF-PORT-005 OVF-PORT-005 OVF-PORT-012",
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

// TestPortabilityRules: what people trip over on each platform is told for that
// platform, and not for one that takes it. A case puts hardware, a file or a
// name into a sound machine.
func TestPortabilityRules(t *testing.T) {
	nic := func(model, address string) string {
		return "<Item><rasd:Address>" + address + "</rasd:Address><rasd:Connection>lan</rasd:Connection><rasd:InstanceID>70</rasd:InstanceID><rasd:ResourceSubType>" + model + "</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>"
	}
	controller := func(kind, model string) string {
		return "<Item><rasd:InstanceID>71</rasd:InstanceID><rasd:ResourceSubType>" + model + "</rasd:ResourceSubType><rasd:ResourceType>" + kind + "</rasd:ResourceType></Item>"
	}
	system := func(types string) string {
		return "<System><vssd:ElementName>h</vssd:ElementName><vssd:InstanceID>0</vssd:InstanceID><vssd:VirtualSystemType>" + types + "</vssd:VirtualSystemType></System>"
	}
	efi := `<v:Config xmlns:v="` + ovf.NSVMW + `" v:key="firmware" v:value="efi"/>`
	all := "vmware virtualbox ovirt kvm"
	for _, tt := range []struct {
		id, hardware, name, file, digest string
		told                             string
	}{
		{id: "OVF-PORT-011", hardware: nic("VmxNet3", ""), told: "virtualbox ovirt"},
		{id: "OVF-PORT-011", hardware: nic("E1000", "")},
		{id: "OVF-PORT-011", hardware: nic("virtio", ""), told: "vmware"},
		{id: "OVF-PORT-011", hardware: nic("PCNet32 E1000", "")},
		{id: "OVF-PORT-011", hardware: nic("rtl8139", ""), told: "vmware virtualbox"},
		{id: "OVF-PORT-012", hardware: controller("20", "AHCI"), told: "vmware"},
		{id: "OVF-PORT-012", hardware: controller("20", "vmware.sata.ahci")},
		{id: "OVF-PORT-012", hardware: controller("6", "VirtualSCSI"), told: "virtualbox"},
		{id: "OVF-PORT-012", hardware: controller("6", "virtio-scsi"), told: "vmware virtualbox"},
		{id: "OVF-PORT-012", hardware: controller("5", "PIIX4")},
		{id: "OVF-PORT-004", hardware: controller("20", "vmware.nvme.controller"), told: "virtualbox ovirt"},
		{id: "OVF-PORT-013", hardware: system("virtualbox-2.2"), told: "vmware"},
		{id: "OVF-PORT-013", hardware: system("vmx-08 virtualbox-2.2")},
		{id: "OVF-PORT-013", hardware: system("vmx-21"), told: "vmware"},
		{id: "OVF-PORT-013", hardware: system("vmx-13 vmx-21")},
		{id: "OVF-PORT-014", digest: "sha1", told: "vmware"},
		{id: "OVF-PORT-014", digest: "sha256"},
		{id: "OVF-PORT-014", digest: "sha512", told: "ovirt kvm"},
		{id: "OVF-PORT-014", digest: "sha384", told: all},
		{id: "OVF-PORT-015", name: "web server", told: "ovirt"},
		{id: "OVF-PORT-015", name: "web/1", told: all},
		{id: "OVF-PORT-015", name: "was ist das?", told: "virtualbox ovirt"},
		{id: "OVF-PORT-015", name: strings.Repeat("n", 81), told: "vmware"},
		{id: "OVF-PORT-015", name: "plain-name_1.0"},
		{id: "OVF-PORT-016", file: `ovf:href="sub/1.vmdk"`, told: "vmware"},
		{id: "OVF-PORT-016", file: `ovf:href="d[1].vmdk"`, told: "vmware"},
		{id: "OVF-PORT-016", file: `ovf:href="my disk.vmdk"`},
		{id: "OVF-PORT-017", hardware: efi, told: "virtualbox"},
		{id: "OVF-PORT-018", hardware: efi + controller("5", ""), told: "ovirt kvm"},
		{id: "OVF-PORT-018", hardware: efi + controller("6", "lsilogic")},
		{id: "OVF-PORT-019", file: `ovf:compression="bzip2" ovf:href="1.vmdk"`, told: all},
		{id: "OVF-PORT-019", file: `ovf:compression="gzip" ovf:href="1.vmdk"`},
		{id: "OVF-PORT-020", hardware: nic("E1000", "52:54:00:00:00:01"), told: "vmware"},
		{id: "OVF-PORT-020", hardware: nic("E1000", "00:50:56:00:00:01")},
		{id: "OVF-PORT-021", hardware: "<Item><rasd:InstanceID>72</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>", told: all},
	} {
		doc := strings.Replace(sound, "<VirtualHardwareSection><Info/>", "<VirtualHardwareSection><Info/>"+tt.hardware, 1)
		if tt.name != "" {
			doc = strings.Replace(doc, `<VirtualSystem ovf:id="vm"><Info/>`, `<VirtualSystem ovf:id="vm"><Info/><Name>`+tt.name+`</Name>`, 1)
		}
		if tt.file != "" {
			doc = strings.Replace(doc, `ovf:href="1.vmdk"`, tt.file, 1)
		}
		if doc == sound && tt.digest == "" {
			t.Fatalf("%+v changes nothing", tt)
		}
		env, err := ovf.Parse([]byte(strings.Replace(doc, "<Envelope ", `<Envelope xmlns:vssd="`+ovf.NSVSSD+`" `, 1)))
		if err != nil {
			t.Fatalf("%+v: %v", tt, err)
		}
		var told []string
		for _, target := range validate.Targets() {
			var digests []string
			if tt.digest != "" {
				digests = []string{tt.digest}
			}
			findings, err := validate.Portability(env, target, digests...)
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(findings, func(f ovf.Finding) bool { return f.ID == tt.id && f.Object != "" && f.Severity == ovf.Warning }) {
				told = append(told, string(target))
			}
		}
		if got := strings.Join(told, " "); got != tt.told {
			t.Errorf("%s %s%s%s%s: told for %q, want %q", tt.id, tt.hardware, tt.name, tt.file, tt.digest, got, tt.told)
		}
	}
}

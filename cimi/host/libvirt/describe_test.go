package libvirt

import (
	"encoding/xml"
	"fmt"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

// TestDescribeTPM: a TPM of a domain may be left out elsewhere: its secrets do
// not move anyway, and a destination without one took the machine for refused.
func TestDescribeTPM(t *testing.T) {
	var x domainXML
	if err := xml.Unmarshal([]byte(`<domain type='kvm'><name>d</name><memory>65536</memory><vcpu>1</vcpu><os><type arch='x86_64'>hvm</type></os>
<devices><tpm model='tpm-crb'><backend type='emulator'/></tpm></devices></domain>`), &x); err != nil {
		t.Fatal(err)
	}
	f, err := describe("0123456789abcdef0123456789abcdef", &x, host.Stopped, nil)
	if err != nil {
		t.Fatal(err)
	}
	env, err := ovf.Parse(f.system.Descriptor)
	if err != nil {
		t.Fatal(err)
	}
	section, _ := env.VirtualSystems()[0].HardwareFor(nil)
	if !section.TPM("") {
		t.Fatal("the TPM is not described")
	}
	for _, it := range section.EffectiveItems("") {
		if (it.ResourceSubType == "vmware.vtpm") == it.Required {
			t.Errorf("%s: required %v", it.ElementName, it.Required)
		}
	}
}

// TestDescribeValid: what a domain is described as is valid by the schema, here
// without a libvirtd: controllers of each kind, cards of none, firmware, a TPM.
func TestDescribeValid(t *testing.T) {
	disks, sizes := "", map[string]int64{}
	for i, bus := range []string{"ide", "scsi", "sata", "virtio", "usb", "nvme"} {
		dev := fmt.Sprintf("d%c", 'a'+i)
		disks += fmt.Sprintf(`<disk type='file' device='disk'><source file='/x/%s'/><target dev='%s' bus='%s'/></disk>`, dev, dev, bus)
		sizes[dev] = 1 << 20
	}
	for name, inside := range map[string]string{
		"bare": `<os><type arch='x86_64'>hvm</type></os>`,
		"full": `<os firmware='efi'><type arch='x86_64'>hvm</type><loader secure='yes'/></os><devices>` + disks +
			`<interface type='network'><mac address='52:54:00:00:00:01'/><source network='a &amp; b'/><model type='virtio'/><link state='down'/></interface>
<interface type='user'/><tpm model='tpm-crb'><backend type='emulator'/></tpm></devices>`,
	} {
		var x domainXML
		if err := xml.Unmarshal([]byte(`<domain type='kvm'><name>a &lt;b&gt;</name><description>first &amp; last</description><memory unit='b'>65537</memory><vcpu>1</vcpu>`+inside+`</domain>`), &x); err != nil {
			t.Fatal(err)
		}
		f, err := describe("0123456789abcdef0123456789abcdef", &x, host.Stopped, sizes)
		if err != nil {
			t.Fatal(err)
		}
		if name == "full" && len(f.system.Disks) != 6 {
			t.Errorf("%d disks", len(f.system.Disks))
		}
		ovftest.Valid(t, name, f.system.Descriptor)
	}
}

package libvirt

import (
	"encoding/xml"
	"testing"

	"github.com/cimimove/cimimove/cimi/host"
	"github.com/cimimove/cimimove/ovf"
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

package libvirt

import "testing"

// TestKVM: what is offered is not always had.
func TestKVM(t *testing.T) {
	const guest = "<guest><arch name='x86_64'><domain type='qemu'/><domain type='kvm'/></arch></guest>"
	for name, c := range map[string]struct {
		text       string
		kvm, doubt bool
	}{
		"real":     {"<capabilities><host><cpu><vendor>Intel</vendor><feature name='vmx'/></cpu></host>" + guest + "</capabilities>", true, false},
		"nested":   {"<capabilities><host><cpu><vendor>Intel</vendor><feature name='vmx'/><feature name='hypervisor'/></cpu></host>" + guest + "</capabilities>", true, true},
		"software": {"<capabilities><host><cpu><vendor>Intel</vendor><feature name='hypervisor'/></cpu></host>" + guest + "</capabilities>", false, true},
		"AMD":      {"<capabilities><host><cpu><vendor>AMD</vendor></cpu></host>" + guest + "</capabilities>", true, false},
		"none":     {"<capabilities><host><cpu><vendor>AMD</vendor></cpu></host></capabilities>", false, false},
	} {
		var caps capabilities
		if err := caps.readHost([]byte(c.text)); err != nil || caps.kvm != c.kvm || caps.doubt != c.doubt {
			t.Errorf("%s: kvm %v, doubt %v, %v", name, caps.kvm, caps.doubt, err)
		}
	}
}

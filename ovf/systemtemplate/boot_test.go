package systemtemplate_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/cimi"
	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/systemtemplate"
)

// TestMarkedBootDisk: oVirt and XenCenter say beside a disk that machines boot
// from it, which need not be the first one; making another the boot disk moves
// the mark.
func TestMarkedBootDisk(t *testing.T) {
	archive, err := os.ReadFile("../testdata/ovirt-archive.ovf")
	if err != nil {
		t.Fatal(err)
	}
	second := strings.NewReplacer(`ovf:boot="true"`, `ovf:boot="false"`, `ovf:boot="false"`, `ovf:boot="true"`).Replace(string(archive))
	xen := strings.NewReplacer(`xmlns:ovirt="http://www.ovirt.org/ovf"`, `xmlns:xenovf="`+ovf.NSXenCenter+`"`, ` ovirt:id="24"`, "", "ovf:boot=", "xenovf:isBootable=").Replace(second)
	for name, descriptor := range map[string]string{"oVirt": second, "XenCenter": xen} {
		env, err := ovf.Parse([]byte(descriptor))
		if err != nil {
			t.Fatal(err)
		}
		if got := bootDisk(t, env); got != "disk-b" {
			t.Errorf("%s: boots from %q, want disk-b", name, got)
		}
		st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
		if err != nil || !bytes.Equal(back.Bytes(), []byte(descriptor)) {
			t.Errorf("%s: not the same without an edit, %v", name, err)
		}
		for i := range st.ComponentDescriptors {
			if m := st.ComponentDescriptors[i].MachineTemplate; m != nil {
				v := m.Value.VolumeTemplates
				v[0].VolumeTemplate.Value.VolumeImage.Value.Bootable, v[1].VolumeTemplate.Value.VolumeImage.Value.Bootable = cimi.Bool(true), nil
			}
		}
		edited, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := bootDisk(t, edited); got != "disk-a" {
			t.Errorf("%s: after the edit it boots from %q, want disk-a\n%s", name, got, edited.Bytes())
		}
	}
}

func bootDisk(t *testing.T, env *ovf.Envelope) string {
	for _, a := range read(t, env, "").System.AllMachines()[0].Attachments {
		if a.Volume.Bootable {
			return a.Volume.Disk.OVFID
		}
	}
	return ""
}

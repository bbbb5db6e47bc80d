package systemtemplate_test

import (
	"bytes"
	"fmt"
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

// TestMarksOfManyDisks: of several marked disks the first is the one to boot from,
// and one that cannot be marked takes its place when no mark is left.
func TestMarksOfManyDisks(t *testing.T) {
	for name, marks := range map[string][3]string{
		"all": {"true", "true", "true"}, "the second alone": {"", "true", ""}, "the first alone": {"true", "", ""}, "not the third": {"false", "true", ""}, "none": {},
	} {
		for want := range 3 {
			env, err := ovf.Parse([]byte(threeDisks(marks)))
			if err != nil {
				t.Fatal(err)
			}
			st, _, err := systemtemplate.FromEnvelope(env, systemtemplate.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range st.ComponentDescriptors[0].MachineTemplate.Value.VolumeTemplates {
				v.VolumeTemplate.Value.VolumeImage.Value.Bootable = nil
				if i == want {
					v.VolumeTemplate.Value.VolumeImage.Value.Bootable = cimi.Bool(true)
				}
			}
			edited, _, err := systemtemplate.ToEnvelope(st, systemtemplate.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := bootDisk(t, edited); got != fmt.Sprint("disk", want) {
				t.Errorf("%s marked: boots from %q, want disk%d\n%s", name, got, want, edited.Bytes())
			}
		}
	}
}

// threeDisks is a descriptor of XenCenter's with disks on one controller, marked.
func threeDisks(marks [3]string) string {
	var files, disks, items strings.Builder
	for i, m := range marks {
		if m != "" {
			m = fmt.Sprintf(` xenovf:isBootable="%s"`, m)
		}
		fmt.Fprintf(&files, `<File ovf:id="file%d" ovf:href="disk%d.vhd"/>`, i, i)
		fmt.Fprintf(&disks, `<Disk ovf:diskId="disk%d" ovf:fileRef="file%d" ovf:capacity="1048576"%s/>`, i, i, m)
		fmt.Fprintf(&items, `<Item><rasd:AddressOnParent>%d</rasd:AddressOnParent><rasd:ElementName>Disk %d</rasd:ElementName><rasd:HostResource>ovf:/disk/disk%d</rasd:HostResource>`+
			`<rasd:InstanceID>%d</rasd:InstanceID><rasd:Parent>1</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>`, i, i, i, 10+i)
	}
	return `<Envelope xmlns="` + ovf.NS1 + `" xmlns:ovf="` + ovf.NS1 + `" xmlns:rasd="` + ovf.NSRASD + `" xmlns:xenovf="` + ovf.NSXenCenter + `">
<References>` + files.String() + `</References><DiskSection><Info>Disks</Info>` + disks.String() + `</DiskSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info><VirtualHardwareSection><Info>Hardware</Info>
<Item><rasd:ElementName>Controller</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceSubType>lsilogic</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
` + items.String() + `</VirtualHardwareSection></VirtualSystem></Envelope>`
}

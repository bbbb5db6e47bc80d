package check_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/check"
	"github.com/cimimove/cimimove/ovf/files"
)

// TestMissingOnce: what is wrong with the file of an entry of References is one
// finding, whether the file is not there or may not be looked for.
func TestMissingOnce(t *testing.T) {
	for href, want := range map[string]string{"gone.vmdk": "OVF-REF-011", "/var/images/gone.vmdk": "OVF-REF-008", "../gone.vmdk": "OVF-REF-008", "file:///gone.vmdk": "OVF-REF-008"} {
		for _, name := range []string{"app.ovf", ""} {
			folder := t.TempDir()
			descriptor := strings.ReplaceAll(missingFile, "HREF", href)
			if err := os.WriteFile(filepath.Join(folder, "app.ovf"), []byte(descriptor), 0o644); err != nil {
				t.Fatal(err)
			}
			pkg, err := files.Open(t.Context(), filepath.Join(folder, name), files.OpenOptions{})
			if err != nil {
				t.Fatalf("%s: %v, expected the descriptor to be read", href, err)
			}
			defer pkg.Close()
			quick := check.Quick(t.Context(), pkg)
			findings, err := check.Package(t.Context(), pkg, check.Options{})
			if err == nil {
				t.Errorf("%s: the package is taken for whole", href)
			}
			for mode, list := range map[string][]ovf.Finding{"quick": quick, "whole": findings} {
				if len(list) != 1 || list[0].ID != want || list[0].Object != "file f1" || list[0].Severity != ovf.Error {
					t.Errorf("%s of %q, %s: findings %+v, want %s alone", href, name, mode, list, want)
				}
			}
		}
	}
}

const missingFile = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData">
<References><File ovf:id="f1" ovf:href="HREF"/></References>
<DiskSection><Info>Disks</Info><Disk ovf:diskId="d1" ovf:fileRef="f1" ovf:capacity="1048576" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>A machine</Info><VirtualHardwareSection><Info>Hardware</Info>
<Item><rasd:ElementName>1 CPU</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></Item>
<Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:ElementName>64 MB</rasd:ElementName><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>64</rasd:VirtualQuantity></Item>
<Item><rasd:ElementName>Disk</rasd:ElementName><rasd:HostResource>ovf:/disk/d1</rasd:HostResource><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceType>17</rasd:ResourceType></Item>
</VirtualHardwareSection></VirtualSystem></Envelope>
`
